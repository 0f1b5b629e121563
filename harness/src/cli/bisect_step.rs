//! `perfsec bisect step`: the program for `git bisect run`.

use std::ffi::OsString;

use super::args::{ObtainArgs, StepArgs};
use super::session::Session;
use super::{Exit, Failure, record, unmatched};
use crate::bisect::{self, BisectMark, JudgedCommit};
use crate::engine::{EngineLab, Reuse};
use crate::kbuild::TreeSpec;
use crate::plan::Filter;

/// Judges the tree. An error that is not the kernel's fault stops git, which would otherwise take
/// the commit for bad.
pub(super) fn step(args: &StepArgs) -> Result<Exit, Failure> {
    let JudgedCommit { mark, text } = judge(args).map_err(|failure| match failure.exit {
        Exit::Signal(_) => failure,
        _ => Failure { exit: Exit::Stop, ..failure },
    })?;
    // The mark does not depend on whether anybody reads the text.
    let _ = super::print(&text);
    Ok(match mark {
        BisectMark::Good => Exit::Success,
        BisectMark::Bad => Exit::Failed,
        BisectMark::Skip => Exit::Skip,
    })
}

/// True if a command line that does not parse is one of `bisect step`.
pub(super) fn is_meant(words: impl Iterator<Item = OsString>) -> bool {
    let mut words = words.skip(1);
    words.any(|word| word == "bisect") && words.any(|word| word == "step")
}

fn judge(args: &StepArgs) -> Result<JudgedCommit, Failure> {
    let baseline = args.baseline.as_deref().map(record::read).transpose()?;
    let suite = args.cases.suite(&args.known)?;
    let filter = match (args.filter.filter(), &baseline) {
        (filter, Some(run)) if filter == Filter::default() => run.started.asked.filter.clone(),
        (filter, _) => filter,
    };
    unmatched::select(&filter, &suite.library)?;
    let setup = args.boot.setup(&ObtainArgs::default())?;
    let session = Session::open(args.boot.quiet)?;
    let engine = session.engine(setup)?;
    let source = session.stopped(engine.tree(&TreeSpec::at(&args.tree)))?;
    let from = args.baseline.as_ref().map(|path| path.display().to_string());
    let baseline = baseline.as_ref().zip(from.as_deref());
    let mut lab = EngineLab::new(&engine, &suite, Reuse::Nothing);
    session.stopped(bisect::step(&mut lab, &source, &filter, baseline))
}
