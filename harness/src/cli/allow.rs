//! `perfsec allow`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use super::args::AllowArgs;
use super::session::Session;
use super::{Exit, Failure, record};
use crate::allow::{Form, Module, Rerun, Rules, Verified, denials, is_under_own_policy, planned};
use crate::audit::{Denial, Log, is_name};
use crate::case::Library;
use crate::engine::{EngineLab, Reuse, Suite};
use crate::explain::{Knowledge, Sorted};
use crate::known::KnownDifferences;
use crate::policy;
use crate::printable::printable_line;
use crate::record::{CellResult, Run};

/// The module's name, when no file says it.
const NAME: &str = "perfsec_allow";

pub(super) fn allow(args: &AllowArgs) -> Result<Exit, Failure> {
    let name = name(args)?;
    let (denials, verifying) = match Source::open(args)? {
        Source::Run(run) => {
            let suite = suite(args, &run)?;
            let chosen = Chosen::of(args, &run, &suite.library)?;
            let denials = chosen.denials();
            (denials, Some((run, suite)))
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
    let (true, Some((run, suite))) = (args.verify, &verifying) else { return Ok(Exit::Success) };
    let (report, exit) = verify(args, run, suite, &module)?;
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
fn suite(args: &AllowArgs, run: &Run) -> Result<Suite, Failure> {
    let mut cases = args.cases.clone();
    // Where the run was made, its directory is there; elsewhere --cases names it.
    let asked = run.started.asked.cases_directory.clone();
    cases.cases = cases.cases.or(asked.filter(|directory| directory.is_dir()));
    cases.suite(KnownDifferences::default())
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
        let selects = filter.matcher()?;
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
            .partition(|cell| planned(cell, library).is_none_or(|cell| is_under_own_policy(&cell)));
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

/// Runs the run's cells again under its policy and the module.
fn verify(
    args: &AllowArgs,
    run: &Run,
    suite: &Suite,
    module: &Module<'_>,
) -> Result<(String, Exit), Failure> {
    let policy = policy_of(args, run)?;
    let Some(rerun) = Rerun::of(run, &policy, &suite.library) else {
        return Err(Failure::input(
            "no cell of the run can be run again: its cases are not these (--cases names a directory)",
        ));
    };
    let mut machine = args.machine.clone();
    machine.boot.policy = vec![policy];
    if machine.kernel.is_empty() {
        machine.kernel = rerun.kernels().map_err(Failure::input)?;
    }
    let session = Session::open()?;
    // Cells were written for the policy without the module.
    session.ignore_verdicts();
    let (engine, kernels) = session.boot(&machine)?;
    let [own] = engine.policies() else { return Err(Failure::input("no policy")) };
    let mut lab = EngineLab::new(&engine, suite, Reuse::Nothing);
    let filter = args.filter.filter();
    let verified = rerun.verify(&mut lab, &kernels, own, module, filter, engine.cache())?;
    let Verified { comparison, unseen, refused, .. } = &verified;
    let exit = match session.interrupted() {
        Some(exit) => exit,
        None if refused.is_some() => Exit::Kernel,
        None if !comparison.holds() => Exit::Failed,
        None if !comparison.unseen.is_empty() || *unseen > 0 => Exit::NotJudged,
        None if comparison.cells == 0 => Exit::NotJudged,
        None => Exit::Success,
    };
    Ok((verified.text(), exit))
}
