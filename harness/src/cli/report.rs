//! `perfsec report`

use super::args::ReportArgs;
use super::output::{self, Output};
use super::{Exit, Failure, record};

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    if let Some(schema) = args.schema {
        match &args.out {
            Some(path) => output::text(path, &schema.text())?,
            None => super::print(&schema.text())?,
        }
        return Ok(Exit::Success);
    }
    // The command line demands it of everything else.
    let Some(path) = &args.run else { return Err(Failure::input("no run record is named")) };
    let run = record::read(path)?;
    match &args.out {
        Some(path) => Output::create(args.format, path)?.finish(&run, &args.options)?,
        None => super::print(&args.format.render(&run, &args.options))?,
    }
    Ok(Exit::Success)
}
