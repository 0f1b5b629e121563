//! `perfsec run`

use super::args::RunArgs;
use super::baseline::NamedBaseline;
use super::completion::Completion;
use super::debugger::Debugger;
use super::output::Output;
use super::session::{self, Session};
use super::{Exit, Failure, mail, unmatched};
use crate::engine::{self, Suite};
use crate::machines::{Aftermath, MachineName};
use crate::plan::{self, Filter, PlannedCell};
use crate::report;
use crate::text::{Text, eprint_line, line};

/// The error of a run after which the machine differs.
const NOT_RESTORED: &str = "the machine is not as it was before: the lines that begin with \
                            `perfsec: left` say what differs, and how to put it back";

/// The warning of a run that lost its machine.
const NOT_SEEN: &str = "the machine was lost, so perfsec did not see that everything was put back; \
                        it does that by itself, and its kernel's log says so if it cannot \
                        (`perfsec: left`)";

/// The domain of a login user in policies that derive from the reference policy.
const LOGIN_DOMAIN: &str = "user_u:user_r:user_t:s0";

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    match Completion::requested(args)? {
        None => run_as(args, None),
        Some(completion) => run_as(&completion.options(args)?, Some(completion)),
    }
}

/// The cells that the options select.
fn select(args: &RunArgs, suite: &Suite, filter: &Filter) -> Result<Vec<PlannedCell>, Failure> {
    let cells = filter.select(&suite.library)?;
    if let Some(shard) = args.shard.filter(|_| cells.is_empty()) {
        // An empty part is not an error unless the whole is empty.
        session::select(&args.filter.filter(), suite)?;
        eprint_line!("shard {shard} has no cell");
    } else {
        if cells.is_empty() {
            return Err(unmatched::no_cell(filter, &suite.library));
        }
        // Another shard may have the cells that this one lacks.
        if args.shard.is_none() {
            session::warn_of_unmet(filter, &cells)?;
        }
    }
    Ok(cells)
}

/// The domains of the loaded policy in which cells run; none to run them in those of ours.
fn domains(args: &RunArgs) -> Vec<String> {
    let runs_already = args.on.as_ref().is_some_and(MachineName::has_kernel);
    let has_own_policy = args.system.guest.is_some() || runs_already;
    match args.domain.as_slice() {
        [] if has_own_policy && !args.add_module => vec![LOGIN_DOMAIN.to_owned()],
        domains => domains.to_vec(),
    }
}

/// The cells in the order and as often as the options say.
fn arranged(args: &RunArgs, cells: Vec<PlannedCell>) -> Vec<PlannedCell> {
    let cells = match args.shuffle {
        Some(seed) => plan::shuffle(&cells, seed),
        None => cells,
    };
    plan::repeat(cells, args.repeat.into())
}

fn run_as(args: &RunArgs, completion: Option<Completion>) -> Result<Exit, Failure> {
    let mut suite = args.cases.suite(&args.known)?;
    if args.add_module {
        suite.library = suite.library.in_added_domains();
    }
    let filter = Filter { shard: args.shard, ..args.filter.filter() };
    let domains = domains(args);
    let cells = match domains.as_slice() {
        [] => Some(arranged(args, select(args, &suite, &filter)?)),
        // They depend on the answers of the policy.
        _ => None,
    };
    if args.list {
        let listed = cells.map_or_else(|| session::in_domains(&suite, &domains, &filter), Ok)?;
        let mut names: Vec<_> = listed.iter().map(PlannedCell::name).collect();
        names.sort();
        super::print(&names.iter().map(Text::of_line).collect())?;
        return Ok(Exit::Success);
    }

    let baseline = args.baseline.as_deref().map(NamedBaseline::read).transpose()?;
    let mut outputs = Output::requested(args)?;
    let session = Session::open(args.machine.boot.quiet)?;
    let debugger = args.gdb.map(Debugger::at_step).transpose()?;
    let (engine, kernels) = match (&args.on, &debugger) {
        (Some(MachineName::Here), _) => session.here(&args.machine, args.add_module)?,
        (Some(MachineName::Ssh(destination)), _) => session.over_ssh(&args.machine, destination)?,
        (Some(MachineName::Site(name)), _) => session.on_site(&args.machine, name)?,
        (None, None) => session.boot_with(&args.machine, &args.system)?,
        (None, Some(debugger)) => {
            session.boot_debugged(&args.machine, &args.system, debugger.socket())?
        }
    };
    let plans = match &cells {
        Some(cells) if args.add_module => engine.plan_extended(&kernels, cells, &suite),
        Some(cells) => engine.plan(&kernels, engine.policies(), cells, &suite),
        None => engine.plan_in_domains(&kernels, &domains, &suite, &|library| {
            Ok(arranged(args, filter.select(library)?))
        }),
    };
    let mut plans = session.stopped(plans)?;
    if let Some(debugger) = &debugger {
        let command = debugger.command(&plans, &filter)?;
        engine.note("the guest waits for gdb: paste this into another terminal");
        engine.note(&command);
    }
    let mut asked = suite.asked(filter);
    if let Some(Completion { run, keep, command }) = completion {
        asked.completes = Some(command);
        engine::take_over(run, keep, &suite, &mut plans)?;
    }
    baseline.iter().try_for_each(|baseline| baseline.check(&plans))?;
    let ended = engine.execute(&plans, asked, &mut |event| {
        outputs.iter_mut().try_for_each(|output| output.event(event))
    })?;
    let printed = super::print(&if outputs.iter().any(Output::is_printed) {
        Text::new()
    } else if args.machine.boot.quiet {
        report::brief(&ended.digest)
    } else {
        let mut text = report::summary(&ended.digest);
        if session.keeps_records() {
            line!(text, "run record: {}", ended.record.display());
        }
        text
    });
    // The whole run is large, and only these need it.
    let needed = baseline.is_some() || outputs.iter().any(Output::needs_run);
    let run = needed.then(|| ended.read()).transpose();
    let written = match &run {
        Ok(Some(run)) => {
            let options = mail::vouched(&args.options, &args.format, run);
            outputs.into_iter().try_for_each(|output| output.finish(run, &options))
        }
        _ => Ok(()),
    };
    let digest = ended.ended()?;
    written.and(printed)?;
    match engine.pool().aftermath() {
        Aftermath::Restored => {}
        Aftermath::Unseen => eprint_line!("warning: {NOT_SEEN}"),
        Aftermath::Changed => return Err(Failure::host(NOT_RESTORED)),
    }
    let exit = match session.exit(&digest) {
        Exit::NothingRan if plans.is_empty() => return Ok(Exit::Success),
        // Nothing was to be booted: it cannot run here.
        Exit::Kernel if args.on.as_ref().is_some_and(MachineName::has_kernel) => Exit::NothingRan,
        exit => exit,
    };
    let exit = match (baseline, run?) {
        (Some(baseline), Some(run)) => {
            let (text, exit) = baseline.judge(&run, exit)?;
            super::print(&text)?;
            exit
        }
        _ => exit,
    };
    let mut gone = digest.lanes().flat_map(|lane| &lane.gone).peekable();
    if exit != Exit::Success || !args.strict || gone.peek().is_none() {
        return Ok(exit);
    }
    for (cell, known) in gone {
        let text = format!("a known difference is gone, which --strict does not allow: {known}");
        eprint_line!("XPASS {cell}: {text}");
    }
    Ok(Exit::Failed)
}
