//! `perfsec run`

use super::args::RunArgs;
use super::baseline::NamedBaseline;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure, mail, unmatched};
use crate::judge::Verdict;
use crate::plan::{self, Filter, PlannedCell};
use crate::printable::printable_line;
use crate::report;

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let suite = args.cases.suite(&args.known)?;
    let filter = Filter { shard: args.shard, ..args.filter.filter() };
    let mut cells = filter.select(&suite.library)?;
    if let Some(shard) = args.shard.filter(|_| cells.is_empty()) {
        // An empty part is not an error unless the whole is empty.
        session::select(&args.filter.filter(), &suite)?;
        anstream::eprintln!("shard {shard} has no cell");
    } else {
        if cells.is_empty() {
            return Err(unmatched::no_cell(&filter, &suite.library));
        }
        // Another shard may have the cells that this one lacks.
        if args.shard.is_none() {
            session::warn_of_unmet(&filter, &cells)?;
        }
    }
    if args.list {
        let mut names: Vec<_> = cells.iter().map(PlannedCell::name).collect();
        names.sort();
        super::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        return Ok(Exit::Success);
    }

    if let Some(seed) = args.shuffle {
        cells = plan::shuffle(&cells, seed);
    }
    cells = plan::repeat(cells, args.repeat.into());

    let baseline = args.baseline.as_deref().map(NamedBaseline::read).transpose()?;
    let mut outputs = Output::requested(args)?;
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels) = session.boot(&args.machine)?;
    let plans = session.stopped(engine.plan(&kernels, engine.policies(), &cells, &suite))?;
    baseline.iter().try_for_each(|baseline| baseline.check(&plans))?;
    let ended = engine.execute(&plans, suite.asked(filter), &mut |event| {
        outputs.iter_mut().try_for_each(|output| output.event(event))
    })?;
    let printed = super::print(&if args.machine.boot.quiet {
        report::brief(&ended.run)
    } else {
        format!("{}run record: {}\n", report::summary(&ended.run), ended.record.display())
    });
    let options = mail::vouched(&args.options, &args.format, &ended.run);
    let written = outputs.into_iter().try_for_each(|output| output.finish(&ended.run, &options));
    let run = ended.whole()?;
    written.and(printed)?;
    let exit = match session.exit(&run) {
        Exit::NothingRan if cells.is_empty() => return Ok(Exit::Success),
        exit => exit,
    };
    let exit = match baseline {
        None => exit,
        Some(baseline) => {
            let (text, exit) = baseline.judge(&run, exit)?;
            super::print(&text)?;
            exit
        }
    };
    let gone: Vec<_> =
        run.cells().filter(|cell| cell.judgement.verdict == Verdict::Xpass).collect();
    if exit != Exit::Success || !args.strict || gone.is_empty() {
        return Ok(exit);
    }
    for cell in gone {
        let known = cell.judgement.known.as_ref().map_or("", |known| known.name.as_str());
        let text = format!("a known difference is gone, which --strict does not allow: {known}");
        anstream::eprintln!("XPASS {}: {}", printable_line(&cell.name), printable_line(&text));
    }
    Ok(Exit::Failed)
}
