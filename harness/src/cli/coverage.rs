//! `perfsec coverage`

use super::args::CoverageArgs;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure};
use crate::coverage::{self, CoverageTable, Points};
use crate::record::Digest;

pub(super) fn coverage(args: &CoverageArgs) -> Result<Exit, Failure> {
    let points = Points::built_in()?;
    let places = args.tree.as_deref().map(coverage::scan).transpose()?;
    let sources =
        places.map(|places| coverage::format_sources(&places, &points)).unwrap_or_default();
    if args.list {
        super::print(coverage::format_points(&points).append(&sources))?;
        return Ok(Exit::Success);
    }
    let (table, judged) = match &args.from {
        Some(path) => {
            let run = super::record::read(path)?;
            let table = CoverageTable::new(&run);
            if table.is_empty() {
                let path = path.display();
                let error = format!("{path} has no coverage: it is not from `perfsec coverage`");
                return Err(Failure { exit: Exit::NothingRan, error: error.into() });
            }
            (table, Exit::of_run(&Digest::of(&run)))
        }
        None => measure(args, &points)?,
    };
    super::print(table.text(&points).append(&sources))?;
    Ok(match judged {
        // Coverage does not depend on verdicts, only on cells that could run.
        Exit::Success | Exit::Failed | Exit::Flaky => match table.is_complete(&points) {
            _ if table.is_empty() => Exit::NothingRan,
            true => Exit::Success,
            false => Exit::Failed,
        },
        other => other,
    })
}

/// Runs the cells and traces every decision point.
fn measure(args: &CoverageArgs, points: &Points) -> Result<(CoverageTable, Exit), Failure> {
    let suite = args.cases.suite(&[])?;
    let filter = args.filter.filter();
    let cells = session::select(&filter, &suite)?;
    let mut outputs: Vec<_> =
        args.out.iter().map(|path| Output::record(path)).collect::<Result<_, _>>()?;
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels) = session.boot(&args.machine)?;
    let plans = engine.plan(&kernels, engine.policies(), &cells, &suite);
    let mut plans = session.stopped(plans)?;
    for plan in &mut plans {
        plan.coverage = Some(points.symbols());
    }
    let run = engine.execute(&plans, suite.asked(filter), &mut |event| {
        outputs.iter_mut().try_for_each(|output| output.event(event))
    })?;
    let exit = session.exit(&run.digest);
    Ok((CoverageTable::new(&run.whole()?), exit))
}
