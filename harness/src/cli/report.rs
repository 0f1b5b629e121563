//! `perfsec report`

use super::args::ReportArgs;
use super::destination::{self, Destination};
use super::output::{self, Output};
use super::{Exit, Failure, mail, record};
use crate::report::Format;

pub(super) fn report(args: &ReportArgs) -> Result<Exit, Failure> {
    if let Some(schema) = args.schema {
        let out = Destination::optional(args.out.as_deref())?;
        destination::write(out, &schema.text())?;
        return Ok(Exit::Success);
    }
    if let (Some(run), Some(out)) = (&args.run, &args.out) {
        output::distinct(&[run], &[out])?;
    }
    if args.mail.mail {
        return mail::write(args);
    }
    if args.options.from.is_some() && args.format != Format::Text {
        return Err(Failure::input("--from is for --mail and for --format text"));
    }
    let run = record::read(args.record()?)?;
    let options = mail::vouched(&args.options, &[args.format], &run);
    match &args.out {
        Some(path) => Output::create(args.format, path)?.finish(&run, &options)?,
        None => super::print(&args.format.render(&run, &options))?,
    }
    Ok(Exit::Success)
}
