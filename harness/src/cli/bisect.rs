//! `perfsec bisect`

use std::path::Path;

use super::args::{BisectArgs, BisectCommand, BisectFormat, ObtainArgs};
use super::destination::{self, Destination};
use super::session::{self, Session};
use super::{Exit, Failure, bisect_config, bisect_step, mail, output};
use crate::bisect::{self, Bisection, Culprit, Revision};
use crate::engine::{EngineLab, Reuse};
use crate::kbuild::TreeSpec;
use crate::report::mail::{Letter, Regzbot};
use crate::text::{self, Text};

pub(super) fn bisect(args: &BisectArgs) -> Result<Exit, Failure> {
    match &args.command {
        Some(BisectCommand::Step(args)) => return bisect_step::step(args),
        Some(BisectCommand::Config(args)) => return bisect_config::config(args),
        None => {}
    }
    let (Some(good), Some(bad)) = (&args.good, &args.bad) else {
        return Err(Failure::input("--good and --bad name the ends"));
    };
    // Mistakes are reported before hours of building, not after.
    let letter = letter(args)?;
    let suite = args.cases.suite(&args.known)?;
    let filter = args.filter.filter();
    session::select(&filter, &suite)?;
    let setup = args.boot.setup(&ObtainArgs::default())?;
    let inputs = args.known.iter().chain(&args.mail.reply_to_mbox).map(|path| path.as_path());
    let inputs: Vec<&Path> = inputs.chain(output::named(&args.boot)).collect();
    output::distinct(&inputs, &args.report.out.as_deref().into_iter().collect::<Vec<_>>())?;
    let out = Destination::optional(args.report.out.as_deref())?;
    let session = Session::open(args.boot.quiet)?;
    // Commits are compared with the ends, not with what the cases expect.
    session.ignore_verdicts();
    let engine = session.engine(setup)?;
    let found = (|| {
        let source = engine.tree(&TreeSpec::at(&args.tree))?;
        let (good, bad) = (Revision::find(&source, good)?, Revision::find(&source, bad)?);
        let mut lab = EngineLab::new(&engine, &suite, Reuse::Nothing);
        bisect::bisect(&mut lab, &source, &filter, good, bad)
    })();
    let outcome = session.stopped(found)?;
    let text = match (letter, args.report.format) {
        (Some(letter), _) => write(letter, &outcome)?,
        (None, BisectFormat::Text) => bisect::text(&outcome),
        (None, BisectFormat::Json) => text::json(&outcome),
    };
    destination::write(out, &text)?;
    Ok(match outcome.found {
        Culprit::First { .. } => Exit::Success,
        Culprit::Skipped { .. } => Exit::Failed,
    })
}

/// The mail, if one is asked for.
fn letter(args: &BisectArgs) -> Result<Option<Letter>, Failure> {
    if !args.mail.mail {
        return Ok(None);
    }
    mail::letter(&args.mail, args.from.as_ref(), None).map(Some)
}

/// The mail about the finding.
fn write(letter: Letter, outcome: &Bisection) -> Result<Text, Failure> {
    let introduced = format!("introduced={}", outcome.introduced());
    let regzbot = Regzbot::parse(&[introduced]).map_err(Failure::input)?;
    Ok(Letter { regzbot, ..letter }.write_bisection(outcome))
}
