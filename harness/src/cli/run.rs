//! `perfsec run`

use super::args::RunArgs;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure};
use crate::plan::{self, PlannedCell};
use crate::report;

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let library = session::library(&args.cases)?;
    let mut cells = args.filter.filter().select(&library).map_err(Failure::input)?;
    if args.list {
        let mut names: Vec<_> = cells.iter().map(PlannedCell::name).collect();
        names.sort();
        super::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        return Ok(if names.is_empty() { Exit::NothingRan } else { Exit::Success });
    }
    session::demand(&cells)?;

    if let Some(seed) = args.shuffle {
        cells = plan::shuffled(&cells, seed);
    }
    cells = plan::repeated(cells, args.repeat.into());

    let mut outputs = Output::of_run(args)?;
    let mut session = Session::open(&args.machine)?;
    let plans = session.lanes(&cells)?;
    let asked = session::asked(&args.cases, &args.filter, &library);
    let ended = session.execute(&plans, asked, &mut outputs)?;
    let summary = report::summary(&ended.run);
    let record = session.record.display();
    let printed = super::print(&format!("{summary}run record: {record}\n"));
    let written = outputs.into_iter().try_for_each(|output| output.finish(&ended.run));
    let run = ended.whole()?;
    written.and(printed)?;
    Ok(session.exit(&run))
}
