//! `perfsec bisect`

use super::args::{BisectArgs, BisectCommand, BisectFormat};
use super::bisect_search::Search;
use super::destination;
use super::{Exit, Failure, bisect_config, bisect_step, mail};
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
    let search = Search::prepare(&args.search, &args.mail.reply_to_mbox)?;
    let engine = search.session.engine(search.setup)?;
    let found = (|| {
        let source = engine.tree(&TreeSpec::at(&args.tree))?;
        let (good, bad) = (Revision::find(&source, good)?, Revision::find(&source, bad)?);
        let mut lab = EngineLab::new(&engine, &search.suite, Reuse::Nothing);
        bisect::bisect(&mut lab, &source, &search.filter, good, bad)
    })();
    let outcome = search.session.stopped(found)?;
    let text = match (letter, args.search.report.format) {
        (Some(letter), _) => write(letter, &outcome)?,
        (None, BisectFormat::Text) => bisect::text(&outcome),
        (None, BisectFormat::Json) => text::json(&outcome),
    };
    destination::write(search.out, &text)?;
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
