//! `perfsec merge`

use std::path::{Path, PathBuf};

use super::args::MergeArgs;
use super::output::{self, Output};
use super::{Exit, Failure, record};
use crate::record::merge as join;
use crate::report::{Format, FormatOptions};
use crate::text::eprint_line;

pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    if let Some(out) = &args.out {
        let inputs: Vec<&Path> = args.runs.iter().map(PathBuf::as_path).collect();
        output::distinct(&inputs, &[out])?;
    }
    let read = |path: &PathBuf| Ok((path.clone(), record::read(path)?));
    let runs = args.runs.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    let merged = join(runs)?;
    for cell in &merged.unstable {
        eprint_line!("warning: {cell} ran in several shards, with different results");
    }
    match &args.out {
        Some(path) => {
            Output::create(Format::Jsonl, path)?.finish(&merged.run, &FormatOptions::default())?
        }
        None => super::print(&Format::Jsonl.render(&merged.run, &FormatOptions::default()))?,
    }
    eprint_line!("{} records: {}", args.runs.len(), merged.run.counts());
    Ok(Exit::Success)
}
