//! `perfsec coverage`

use super::args::CoverageArgs;
use super::run::{self, Signals, execute};
use super::{Exit, Failure, lanes};
use crate::cache::Cache;
use crate::coverage::{self, Points, PointsError, SourceError, Table};
use crate::record::{self, Event};
use crate::report::Progress;

pub(super) fn coverage(args: &CoverageArgs) -> Result<Exit, Failure> {
    let points = Points::built_in()?;
    let places = args.tree.as_deref().map(coverage::scan).transpose()?;
    let sources = places.map(|places| coverage::sources(&places, &points)).unwrap_or_default();
    if args.list {
        super::print(&format!("{}{sources}", coverage::describe(&points)))?;
        return Ok(Exit::Success);
    }
    let mut table = Table::default();
    let judged = match &args.from {
        Some(path) => {
            let events = record::read(path)?;
            events.iter().for_each(|event| table.event(event));
            if table.is_empty() {
                let path = path.display();
                let error = format!("{path} has no coverage: no `perfsec coverage` wrote it");
                return Err(Failure { exit: Exit::NothingRan, error: error.into() });
            }
            Exit::of_run(&events)
        }
        None => measure(args, &points, &mut table)?,
    };
    super::print(&format!("{}{sources}", table.text(&points)))?;
    Ok(match judged {
        // What cells were expected to see is not what this is about, only that they could run.
        Exit::Success | Exit::Failed if table.is_empty() => Exit::NothingRan,
        Exit::Success | Exit::Failed if table.is_complete(&points) => Exit::Success,
        Exit::Success | Exit::Failed => Exit::Failed,
        other => other,
    })
}

/// Runs the cells with everything traced that asks.
fn measure(args: &CoverageArgs, points: &Points, table: &mut Table) -> Result<Exit, Failure> {
    let library = run::library(&args.cases)?;
    let cells = args.filter.filter().select(&library).map_err(Failure::input)?;
    run::demand(&cells)?;
    let signals = Signals::watch().map_err(Failure::host)?;
    let cache = Cache::open()?;
    let mut progress = Progress::new();
    let ready = lanes::prepare(&args.machine, &cache, &|text| progress.say(text))?;
    let mut writers = run::writers(&run::record_path(&cache), args.out.as_deref())?;
    let mut plans = ready.lanes(&cells, &cache)?;
    for plan in &mut plans {
        plan.coverage = Some(points.symbols());
    }
    let jobs = args.jobs.unwrap_or_else(run::default_jobs).max(1);
    let exit =
        execute(&plans, args.machine.limits(), jobs, &signals.interrupt, |event: &Event| {
            progress.event(event);
            table.event(event);
            writers.iter_mut().try_for_each(|writer| writer.write(event))
        })?;
    Ok(signals.exit().unwrap_or(exit))
}

impl From<PointsError> for Failure {
    fn from(error: PointsError) -> Self {
        super::exit::cannot(Exit::Input, &error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        super::exit::cannot(Exit::Input, &error)
    }
}
