//! `perfsec report`

use super::args::ReportArgs;
use super::output::Output;
use super::{Exit, Failure, record};

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    let run = record::read(&args.run)?;
    match &args.out {
        Some(path) => Output::create(args.format, path)?.finish(&run)?,
        None => super::print(&args.format.render(&run))?,
    }
    Ok(Exit::Success)
}
