//! `perfsec allow`

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::args::AllowArgs;
use super::session::{self, Session};
use super::{Exit, Failure, record};
use crate::allow::{Comparison, Form, Module, Rules, denials, observed, pairs};
use crate::audit::{Denial, Log, is_name};
use crate::case::Library;
use crate::explain::{Knowledge, Sorted};
use crate::known::KnownDifferences;
use crate::obtain::KernelSpec;
use crate::plan::PlannedCell;
use crate::policy;
use crate::printable::printable_line;
use crate::record::{CellResult, LaneRun, Run};

/// The module's name, when no file says it.
const NAME: &str = "perfsec_allow";

pub(super) fn allow(args: &AllowArgs) -> Result<Exit, Failure> {
    let name = name(args)?;
    let (denials, verifying) = match Source::open(args)? {
        Source::Run(run) => {
            let library = library(args, &run)?;
            let chosen = Chosen::of(args, &run, &library)?;
            let denials = chosen.denials();
            (denials, Some((run, library)))
        }
        Source::Log(log) => (of_log(args, &log)?, None),
    };
    let of_domain = |denial: &&Denial| {
        let kind = denial.source.kind();
        args.domain.is_empty() || args.domain.iter().any(|domain| kind == Some(domain))
    };
    let rules = Rules::of(denials.iter().filter(of_domain));
    if rules.is_empty() {
        let why = rules.left.first().map_or("nothing was denied", |left| left.why);
        let error = format!("no module is written: {why}");
        return Err(Failure { exit: Exit::NothingRan, error: error.into() });
    }
    let from = args.from.file_name().unwrap_or(args.from.as_os_str()).to_string_lossy();
    let from = match from.as_ref() {
        "-" => "the log on standard input".to_owned(),
        name => printable_line(name),
    };
    let module = Module { name: &name, rules: &rules, from: &from };
    let te = args.out.as_deref().and_then(Path::extension).is_some_and(|end| end == "te");
    let form = if args.te || te { Form::Te } else { Form::Cil };
    let text = module.text(form);
    match &args.out {
        Some(path) => fs::write(path, &text)
            .map_err(|error| Failure::host(format!("cannot write {}: {error}", path.display())))?,
        None => super::print(&text)?,
    }
    let (true, Some((run, library))) = (args.verify, &verifying) else { return Ok(Exit::Success) };
    let (report, exit) = verify(args, run, library, &module)?;
    match &args.out {
        Some(_) => super::print(&report)?,
        // What is on standard output stays a module.
        None => super::print(&format!("\n{}", form.commented(&report)))?,
    }
    Ok(exit)
}

/// What the module is called.
fn name(args: &AllowArgs) -> Result<String, Failure> {
    let stem = args.out.as_deref().and_then(Path::file_stem);
    let Some(stem) = stem.map(|stem| stem.to_string_lossy().into_owned()) else {
        return Ok(NAME.to_owned());
    };
    if is_name(&stem) {
        return Ok(stem);
    }
    Err(Failure::input(format!(
        "`{}` is no name for a module: a letter, then letters, digits, `_`, `-` and `.`",
        printable_line(&stem)
    )))
}

/// Where the records come from.
enum Source {
    Run(Run),
    Log(Log),
}

impl Source {
    /// A run record begins with a brace, and no line of a log does.
    fn open(args: &AllowArgs) -> Result<Self, Failure> {
        let path = &args.from;
        let unreadable =
            |error: io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
        let log = |log: io::Result<Log>| log.map(Self::Log).map_err(unreadable);
        if path.as_os_str() == "-" {
            return log(Log::read(io::stdin().lock()));
        }
        let mut file = BufReader::new(File::open(path).map_err(unreadable)?);
        if file.fill_buf().map_err(unreadable)?.starts_with(b"{") {
            return record::read(path).map(Self::Run);
        }
        log(Log::read(file))
    }
}

/// What is about perf in a log.
fn of_log(args: &AllowArgs, log: &Log) -> Result<Vec<Denial>, Failure> {
    let filter = &args.filter;
    if args.verify
        || !filter.names.is_empty()
        || !filter.grant.is_empty()
        || !filter.mode.is_empty()
    {
        return Err(Failure::input(format!(
            "{} is a log: --verify and the choice of cells are for run records",
            args.from.display()
        )));
    }
    if let (Some(damage), true) = (&log.damage, log.kinds.is_empty()) {
        return Err(Failure::input(format!("no whole AVC record in the log: {damage}")));
    }
    let knowledge = Knowledge::built_in()?;
    let Sorted { about, unsaid, others } = Sorted::of(log, &knowledge);
    let kinds = |number, what: &str| match number {
        0 => {}
        1 => anstream::eprintln!("1 kind of records {} and is left out", what.replace("are", "is")),
        number => anstream::eprintln!("{number} kinds of records {what} and are left out"),
    };
    kinds(others.len(), "are not about perf");
    kinds(unsaid.len(), "may not be about perf (no SYSCALL record says)");
    match log.damaged {
        0 => {}
        1 => anstream::eprintln!("warning: 1 line is no whole AVC record and is left out"),
        number => {
            anstream::eprintln!("warning: {number} lines are no whole AVC record and are left out");
        }
    }
    Ok(about.into_iter().map(|kind| kind.denial.clone()).collect())
}

/// The cases that the run had.
fn library(args: &AllowArgs, run: &Run) -> Result<Library, Failure> {
    let mut cases = args.cases.clone();
    // Where the run was made, its directory is there; elsewhere --cases names it.
    let asked = run.started.asked.cases_directory.clone();
    cases.cases = cases.cases.or(asked.filter(|directory| directory.is_dir()));
    session::library(&cases)
}

/// The cells of a run that a module can be about.
struct Chosen<'a> {
    cells: Vec<&'a CellResult>,
}

impl<'a> Chosen<'a> {
    fn of(args: &AllowArgs, run: &'a Run, library: &Library) -> Result<Self, Failure> {
        let policy = policy_of(args, run)?;
        let lanes = run.lanes.iter().filter(|lane| lane.started.policy == policy);
        let filter = args.filter.filter();
        let selects = filter.matcher().map_err(Failure::input)?;
        let selected: Vec<_> = lanes
            .flat_map(|lane| &lane.cells)
            .filter(|cell| selects(&cell.name, &cell.at))
            .collect();
        if selected.is_empty() {
            let error = "the filter selects no cell of the run";
            return Err(Failure { exit: Exit::NothingRan, error: error.into() });
        }
        let (cells, left): (Vec<_>, Vec<_>) = selected
            .into_iter()
            .partition(|cell| planned(cell, library).is_none_or(|cell| is_under_own(&cell)));
        if left.iter().any(|cell| denials(cell).next().is_some()) {
            let load = if left.len() == 1 { "cell loads" } else { "cells load" };
            anstream::eprintln!(
                "{} {load} a policy of their own, which the module is not for: left out",
                left.len()
            );
        }
        Ok(Self { cells })
    }

    fn denials(&self) -> Vec<Denial> {
        let mut log = Log::default();
        for denial in self.cells.iter().flat_map(|cell| denials(cell)) {
            log.add(denial, None);
        }
        log.kinds.into_iter().map(|kind| kind.denial).collect()
    }
}

/// The policy that is extended: the run's, or the one that is named when it has several.
fn policy_of(args: &AllowArgs, run: &Run) -> Result<String, Failure> {
    let names: BTreeSet<_> = run.lanes.iter().map(|lane| &lane.started.policy).collect();
    let named = args.machine.boot.policy.as_slice();
    match (names.len(), named) {
        (0, _) => Err(Failure::input("the run has no lane")),
        (1, [one]) if one == policy::DEFAULT || names.contains(one) => {
            Ok(names.into_iter().next().cloned().unwrap_or_default())
        }
        (_, [one]) if names.contains(one) => Ok(one.clone()),
        _ => {
            let names: Vec<_> = names.into_iter().map(String::as_str).collect();
            let names = printable_line(&names.join(", "));
            Err(Failure::input(format!("the run's policies are {names}: name one with --policy")))
        }
    }
}

/// The cell as it can be run again: its case is the same as it was.
fn planned(cell: &CellResult, library: &Library) -> Option<PlannedCell> {
    let case = library.cases.iter().find(|case| case.name == cell.case)?;
    let same = !cell.case_sha256.is_empty() && case.sha256.starts_with(&cell.case_sha256);
    let there = case.axes.coordinates().any(|at| at == cell.at);
    // A denial may be what the module allows, so no cell waits for a control.
    (same && there).then(|| PlannedCell {
        case: Arc::new(case.clone()),
        at: cell.at.clone(),
        control: None,
    })
}

fn is_under_own(cell: &PlannedCell) -> bool {
    cell.policies().next().is_none()
}

/// Runs the run's cells again under its policy and the module.
fn verify(
    args: &AllowArgs,
    run: &Run,
    library: &Library,
    module: &Module<'_>,
) -> Result<(String, Exit), Failure> {
    let policy = policy_of(args, run)?;
    let lanes: Vec<_> = run.lanes.iter().filter(|lane| lane.started.policy == policy).collect();
    let mut cells = BTreeMap::new();
    let mut lost = BTreeSet::new();
    for cell in lanes.iter().flat_map(|lane| &lane.cells) {
        match planned(cell, library) {
            Some(planned) if is_under_own(&planned) => {
                cells.entry(cell.name.clone()).or_insert(planned);
            }
            Some(_) => {}
            None => {
                lost.insert(&cell.name);
            }
        }
    }
    if cells.is_empty() {
        return Err(Failure::input(
            "no cell of the run can be run again: its cases are not these (--cases names a directory)",
        ));
    }
    let cells: Vec<_> = cells.into_values().collect();
    let mut machine = args.machine.clone();
    machine.boot.policy = vec![policy];
    if machine.kernel.is_empty() {
        machine.kernel = kernels(&lanes)?;
    }
    let mut session = Session::open(&machine)?;
    // Cells were written for the policy without the module.
    session.ignore_verdicts();
    let Some(own) = session.ready.machine.policies.first().cloned() else {
        return Err(Failure::input("no policy"));
    };
    let text = module.text(Form::Cil);
    let extended = Arc::new(own.with_module(module.name, &text, &session.cache)?);
    // A kernel or a policy that the run did not have is run both ways.
    let had = |identity: &str| {
        lanes.iter().any(|lane| {
            lane.started.kernel.identity() == identity && lane.started.policy_sha256 == own.sha256
        })
    };
    let known = session.ready.kernels.iter().all(|kernel| had(kernel.identity()));
    session.ready.machine.policies = match known {
        true => vec![Arc::clone(&extended)],
        false => vec![Arc::clone(&own), Arc::clone(&extended)],
    };
    let plans = session.lanes(&cells, KnownDifferences::default())?;
    let asked = session::asked(&args.cases, args.filter.filter(), library);
    let again = session.execute(&plans, asked, &mut [])?.whole()?;
    let under = |policy: &str| -> Vec<&LaneRun> {
        again.lanes.iter().filter(|lane| lane.started.policy_sha256 == policy).collect()
    };
    let after = observed(under(&extended.sha256));
    let before = match known {
        true => observed(lanes.iter().copied()),
        false => observed(under(&own.sha256)),
    };
    let comparison = Comparison::of(&pairs(&before, &after), module.rules);
    let mut report = comparison.text();
    if !lost.is_empty() {
        report +=
            &format!("{} cells were not run again: their cases are not the run's\n", lost.len());
    }
    report += &format!("run record: {}\n", session.record.display());
    let refused = again.lanes.iter().find_map(LaneRun::refused);
    let exit = match (session.interrupted(), refused) {
        (Some(exit), _) => exit,
        (None, Some(reason)) => {
            report += &format!("nothing could be tested: {}\n", printable_line(reason));
            Exit::Kernel
        }
        (None, None) if !comparison.holds() => Exit::Failed,
        (None, None) if !comparison.unseen.is_empty() || again.unseen() > 0 => Exit::NotJudged,
        (None, None) if comparison.cells == 0 => Exit::NotJudged,
        (None, None) => Exit::Success,
    };
    Ok((report, exit))
}

/// The run's kernels, as they are named on the command line.
fn kernels(lanes: &[&LaneRun]) -> Result<Vec<KernelSpec>, Failure> {
    let mut specs = Vec::new();
    for lane in lanes {
        let kernel = &lane.started.kernel;
        let spec = KernelSpec::again(kernel).map_err(Failure::input)?;
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    Ok(specs)
}
