//! `perfsec reproduce`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::args::ReproduceArgs;
use super::destination::{self, Destination};
use super::{Exit, Failure, output, show, unmatched};
use crate::case::{Circumstances, Setting};
use crate::counted::counted;
use crate::plan::PlannedCell;
use crate::policy::source_text;
use crate::reproduce::{Reproducer, reproducer};
use crate::text::{Text, eprint_line};

pub(super) fn reproduce(args: &ReproduceArgs) -> Result<Exit, Failure> {
    let library = args.cases.library()?;
    let filter = args.filter.filter();
    let mut cells = unmatched::select(&filter, &library)?;
    // Controls run with the cells that need them, but nobody asked for them.
    let selects = filter.matcher().map_err(Failure::input)?;
    cells.retain(|cell| selects(&cell.name(), &cell.at));
    let (distribution, version) = show::kernel(args.kernel.as_deref())?;
    let setting = Setting::from(Circumstances::hypothetical(version, distribution));
    let kernel = match &args.kernel {
        Some(named) => format!("Linux {named}"),
        None => "the newest Linux".to_owned(),
    };
    let write = |cell: &PlannedCell| {
        let cell = Reproducer { case: &cell.case, at: &cell.at, kernel: &kernel };
        reproducer(&cell, &setting)
    };
    let outputs: Vec<_> =
        args.out.iter().chain(&args.policy_out).map(|path| path.as_path()).collect();
    output::distinct(&[], &outputs)?;
    let policy = Destination::optional(args.policy_out.as_deref())?;
    let exit = match (&args.directory, cells.as_slice()) {
        (Some(directory), cells) => write_all(directory, cells, write)?,
        (None, [cell]) => {
            let out = Destination::optional(args.out.as_deref())?;
            let text = write(cell).map_err(|obstacle| Failure {
                exit: Exit::NothingRan,
                error: format!("cannot write a reproducer of {}: {obstacle}", cell.name()).into(),
            })?;
            destination::write(out, &Text::of_block(text))?;
            Exit::Success
        }
        (None, cells) => {
            return Err(Failure::input(format!(
                "the filters select {}: name one whole, such as {}, or write a file for each with \
                 --directory DIR",
                counted(cells.len(), "cell"),
                cells[0].name()
            )));
        }
    };
    if let Some(file) = policy {
        let text = source_text("minimal").map_err(Failure::host)?.unwrap_or_default();
        file.write(&Text::of_block(text))?;
    }
    Ok(exit)
}

/// Writes a file for each cell that has a reproducer, and counts the others by their reason.
fn write_all<E: std::fmt::Display>(
    directory: &Path,
    cells: &[PlannedCell],
    write: impl Fn(&PlannedCell) -> Result<String, E>,
) -> Result<Exit, Failure> {
    let failed = |path: &Path, error: &std::io::Error| destination::unwritable(path, error);
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    let mut written = 0;
    for cell in cells {
        match write(cell) {
            Ok(text) => {
                let path = directory.join(format!("{}.c", cell.name().replace('/', ",")));
                fs::write(&path, text).map_err(|error| failed(&path, &error))?;
                written += 1;
            }
            Err(obstacle) => *others.entry(obstacle.to_string()).or_default() += 1,
        }
    }
    for (reason, count) in &others {
        eprint_line!("{} without a reproducer: {reason}", counted(*count, "cell"));
    }
    eprint_line!("{} in {}", counted(written, "reproducer"), directory.display());
    Ok(if written == 0 { Exit::NothingRan } else { Exit::Success })
}
