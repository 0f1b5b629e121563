//! `perfsec run`

use super::args::RunArgs;
use super::baseline::NamedBaseline;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure, mail};
use crate::judge::Verdict;
use crate::known::KnownDifferences;
use crate::plan::{self, Filter, PlannedCell};
use crate::printable::printable_line;
use crate::report;

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let suite = args.cases.suite(KnownDifferences::with(&args.known)?)?;
    let filter = Filter { shard: args.shard, ..args.filter.filter() };
    let mut cells = filter.select(&suite.library)?;
    if args.list {
        let mut names: Vec<_> = cells.iter().map(PlannedCell::name).collect();
        names.sort();
        super::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        return Ok(if names.is_empty() { Exit::NothingRan } else { Exit::Success });
    }
    if let Some(shard) = args.shard.filter(|_| cells.is_empty()) {
        // That this part is empty is no fault if the whole is not.
        suite.select(&args.filter.filter())?;
        anstream::eprintln!("shard {shard} has no cell");
    } else {
        session::demand(&cells)?;
        // What a shard lacks another may have.
        if args.shard.is_none() {
            session::warn_of_unmet(&filter, &cells)?;
        }
    }

    if let Some(seed) = args.shuffle {
        cells = plan::shuffled(&cells, seed);
    }
    cells = plan::repeated(cells, args.repeat.into());

    let baseline = args.baseline.as_deref().map(NamedBaseline::read).transpose()?;
    let mut outputs = Output::of_run(args)?;
    let session = Session::open()?;
    let (engine, kernels) = session.boot(&args.machine)?;
    let plans = session.stopped(engine.plan(&kernels, engine.policies(), &cells, &suite.known))?;
    baseline.iter().try_for_each(|baseline| baseline.check(&plans))?;
    let ended = engine.execute(&plans, suite.asked(filter), &mut |event| {
        outputs.iter_mut().try_for_each(|output| output.event(event))
    })?;
    let summary = report::summary(&ended.run);
    let record = ended.record.display();
    let printed = super::print(&format!("{summary}run record: {record}\n"));
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
