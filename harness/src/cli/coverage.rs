//! `perfsec coverage`

use super::args::CoverageArgs;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure};
use crate::coverage::{self, CoverageTable, Points, PointsError, SourceError};
use crate::known::KnownDifferences;

pub(super) fn coverage(args: &CoverageArgs) -> Result<Exit, Failure> {
    let points = Points::built_in()?;
    let places = args.tree.as_deref().map(coverage::scan).transpose()?;
    let sources =
        places.map(|places| coverage::format_sources(&places, &points)).unwrap_or_default();
    if args.list {
        super::print(&format!("{}{sources}", coverage::format_points(&points)))?;
        return Ok(Exit::Success);
    }
    let (table, judged) = match &args.from {
        Some(path) => {
            let run = super::record::read(path)?;
            let table = CoverageTable::new(&run);
            if table.is_empty() {
                let path = path.display();
                let error = format!("{path} has no coverage: no `perfsec coverage` wrote it");
                return Err(Failure { exit: Exit::NothingRan, error: error.into() });
            }
            (table, Exit::of_run(&run))
        }
        None => measure(args, &points)?,
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
fn measure(args: &CoverageArgs, points: &Points) -> Result<(CoverageTable, Exit), Failure> {
    let library = session::library(&args.cases)?;
    let filter = args.filter.filter();
    let cells = session::select(&filter, &library)?;
    let mut outputs: Vec<_> =
        args.out.iter().map(|path| Output::record(path)).collect::<Result<_, _>>()?;
    let mut session = Session::open(&args.machine)?;
    let mut plans = session.lanes(&cells, KnownDifferences::built_in()?)?;
    for plan in &mut plans {
        plan.coverage = Some(points.symbols());
    }
    let asked = session::asked(&args.cases, filter, &library);
    let run = session.execute(&plans, asked, &mut outputs)?.whole()?;
    Ok((CoverageTable::new(&run), session.exit(&run)))
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
