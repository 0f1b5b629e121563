//! `perfsec survey`

use std::path::Path;

use super::args::{SurveyArgs, SurveyFormat};
use super::destination::{self, Destination};
use super::session::Session;
use super::{Exit, Failure};
use crate::engine::{Engine, LanePlan, Suite};
use crate::judge::Verdict;
use crate::record::Digest;
use crate::survey::{self, Operations, Survey};
use crate::text::{self, Text, eprint_line};

pub(super) fn survey(args: &SurveyArgs) -> Result<Exit, Failure> {
    let operations = Operations::built_in()?;
    let suite = args.cases.suite(&[])?;
    let out = Destination::optional(args.out.as_deref())?;
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels) = session.boot(&args.machine)?;
    let ([kernel], [policy]) = (kernels.as_slice(), engine.policies()) else {
        return Err(Failure::input(
            "a survey is of one policy on one kernel: `perfsec compare` compares two".to_owned(),
        ));
    };
    let found = engine.survey(kernel, policy, &args.domain, &operations, &suite);
    let Some(mut surveyed) = session.stopped(found)? else {
        let error = format!(
            "Linux {} does not come up under {}: `perfsec run` with the same options says why",
            kernel.version, policy.name
        );
        return Err(Failure { exit: Exit::Kernel, error: error.into() });
    };
    let planned = engine.plan_survey(kernel, policy, &surveyed, &operations, &suite);
    let (contexts, plans) = session.stopped(planned)?;
    let confirmed = confirm(&session, &engine, contexts, &plans, &suite, &mut surveyed.survey)?;
    destination::write(out, &render(&surveyed.survey, args.format))?;
    Ok(confirmed)
}

/// Runs the cells of the operations in these domains.
fn confirm(
    session: &Session,
    engine: &Engine<'_>,
    contexts: Vec<String>,
    plans: &[LanePlan],
    suite: &Suite,
    survey: &mut Survey,
) -> Result<Exit, Failure> {
    if plans.is_empty() {
        return Ok(Exit::Success);
    }
    let execution = engine.execute(plans, suite.asked(Default::default()), &mut |_| Ok(()))?;
    let run = execution.read()?;
    let wrong = |context: &String| {
        let of_context = run.cells().filter(|cell| cell.at.domain == *context);
        let mut bad = of_context.filter(|cell| {
            !matches!(cell.judgement.verdict, Verdict::Pass | Verdict::Xfail | Verdict::Skip)
        });
        bad.next().map(|cell| format!("{} {}", cell.judgement.verdict, cell.name))
    };
    for context in contexts {
        match wrong(&context) {
            None => survey.confirmed.push(context),
            Some(cell) => eprint_line!("not as computed: {cell}"),
        }
    }
    let digest: Digest = execution.ended()?;
    Ok(session.exit(&digest))
}

fn render(survey: &Survey, format: SurveyFormat) -> Text {
    match format {
        SurveyFormat::Text => survey::text(survey),
        SurveyFormat::Html => survey::html(survey),
        SurveyFormat::Json => text::json(survey),
    }
}

/// Compares two surveys.
pub(super) fn compare(before: &Path, after: &Path) -> Result<(Text, Exit), Failure> {
    let (before, after) = (Survey::read(before)?, Survey::read(after)?);
    let same = survey::difference(&before, &after).is_empty();
    let exit = if same { Exit::Success } else { Exit::Failed };
    Ok((survey::render(&before, &after), exit))
}
