//! `perfsec allow`

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use super::args::AllowArgs;
use super::session::Session;
use super::{Exit, Failure, destination, record};
use crate::allow::{
    Language, Module, Rerun, Rules, Verification, denials, is_under_own_policy, planned,
};
use crate::audit::{Denial, Log, is_name};
use crate::case::Library;
use crate::engine::{EngineLab, Reuse, Suite};
use crate::explain::{Knowledge, Triage};
use crate::foreign;
use crate::policy;
use crate::record::{CellResult, Run};
use crate::text::{Text, eprint_line};

/// The module's name without `--out`.
const NAME: &str = "perfsec_allow";

pub(super) fn allow(args: &AllowArgs) -> Result<Exit, Failure> {
    let name = name(args)?;
    let (denials, verifying) = match Input::open(args)? {
        Input::Run(run) => {
            let suite = suite(args, &run)?;
            let selection = SelectedCells::of(args, &run, &suite.library)?;
            let denials = selection.denials();
            (denials, Some((run, suite)))
        }
        Input::Log(log) => (denials_of_log(args, &log)?, None),
    };
    let of_domain = |denial: &&Denial| {
        let kind = denial.source.kind();
        args.domain.is_empty() || args.domain.iter().any(|domain| kind == Some(domain))
    };
    let rules = Rules::from_denials(denials.iter().filter(of_domain));
    if rules.is_empty() {
        let why = rules.unused.first().map_or("nothing was denied", |record| record.why);
        let error = format!("no module is written: {why}");
        return Err(Failure { exit: Exit::NothingRan, error: error.into() });
    }
    let from = args.from.file_name().unwrap_or(args.from.as_os_str()).to_string_lossy();
    let from = match from.as_ref() {
        "-" => "the log on standard input".to_owned(),
        name => name.to_owned(),
    };
    let module = Module { name: &name, rules: &rules, from: &from };
    let te = args.out.as_deref().and_then(Path::extension).is_some_and(|end| end == "te");
    let language = if args.te || te { Language::Te } else { Language::Cil };
    let text = module.text(language);
    match &args.out {
        Some(path) => {
            fs::write(path, text.plain()).map_err(|error| destination::unwritable(path, &error))?;
        }
        None => super::print(&text)?,
    }
    let (true, Some((run, suite))) = (args.verify, &verifying) else { return Ok(Exit::Success) };
    let (report, exit) = verify(args, run, suite, &module)?;
    match &args.out {
        Some(_) => super::print(&report)?,
        // Standard output stays a valid module.
        None => super::print(Text::new().end().append(&language.commented(&report)))?,
    }
    Ok(exit)
}

/// The module's name: that of its file.
fn name(args: &AllowArgs) -> Result<String, Failure> {
    let stem = args.out.as_deref().and_then(Path::file_stem);
    let Some(stem) = stem.map(|stem| stem.to_string_lossy().into_owned()) else {
        return Ok(NAME.to_owned());
    };
    if is_name(&stem) {
        return Ok(stem);
    }
    Err(Failure::input(format!(
        "`{stem}` is not a module name: a letter, then letters, digits, `_`, `-` and `.`"
    )))
}

/// The beginning of a run record.
const RUN: &[u8] = b"{\"event\":";

/// The source of the records.
enum Input {
    Run(Box<Run>),
    Log(Box<Log>),
}

impl Input {
    /// A run record begins with the key of its first event; a log in JSON has others.
    fn open(args: &AllowArgs) -> Result<Self, Failure> {
        let path = &args.from;
        let unreadable =
            |error: io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
        let log =
            |log: io::Result<Log>| log.map(|log| Self::Log(Box::new(log))).map_err(unreadable);
        if path.as_os_str() == "-" {
            return log(Log::read(io::stdin().lock()));
        }
        let mut file = BufReader::new(foreign::open_named(path).map_err(unreadable)?);
        if file.fill_buf().map_err(unreadable)?.starts_with(RUN) {
            return record::read_from(file, path).map(|run| Self::Run(Box::new(run)));
        }
        log(Log::read(file))
    }
}

/// The denials about perf in a log.
fn denials_of_log(args: &AllowArgs, log: &Log) -> Result<Vec<Denial>, Failure> {
    let filter = &args.filter;
    if args.verify
        || !filter.names.is_empty()
        || !filter.grant.is_empty()
        || !filter.mode.is_empty()
    {
        return Err(Failure::input(format!(
            "{} is a log: --verify and filters of cells are for run records",
            args.from.display()
        )));
    }
    if let (Some(damage), true) = (&log.damage, log.groups.is_empty()) {
        return Err(Failure::input(format!("no complete AVC record in the log: {damage}")));
    }
    let knowledge = Knowledge::built_in()?;
    let triage = Triage::new(log, &knowledge);
    let needed: Vec<_> = triage.needed().map(|group| group.denial.clone()).collect();
    let harmless = triage.about_perf.len() - needed.len();
    let Triage { undetermined, unrelated, .. } = triage;
    let kinds = |number, what: &str| match number {
        0 => {}
        1 => eprint_line!("left out: 1 kind of record that {}", what.replace("are", "is")),
        number => eprint_line!("left out: {number} kinds of records that {what}"),
    };
    kinds(unrelated.len(), "are not about perf");
    kinds(undetermined.len(), "may not be about perf (no SYSCALL record says)");
    kinds(harmless, "are not why a call failed (`perfsec explain` says why)");
    match log.damaged {
        0 => {}
        1 => eprint_line!("warning: left out 1 line that is not a complete AVC record"),
        number => {
            eprint_line!("warning: left out {number} lines that are not complete AVC records");
        }
    }
    Ok(needed)
}

/// The cases of the run.
fn suite(args: &AllowArgs, run: &Run) -> Result<Suite, Failure> {
    let mut cases = args.cases.clone();
    // The run's directory may exist only where the run was made; --cases names it elsewhere.
    let asked = run.started.asked.cases_directory.clone();
    cases.cases = cases.cases.or(asked.filter(|directory| directory.is_dir()));
    Ok(Suite { known: Arc::default(), ..cases.suite(&[])? })
}

/// The cells of a run whose denials a module can allow.
struct SelectedCells<'a> {
    cells: Vec<&'a CellResult>,
}

impl<'a> SelectedCells<'a> {
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
            let load = if left.len() == 1 { "cell that loads" } else { "cells that load" };
            let left = left.len();
            eprint_line!("left out: {left} {load} another policy than the module extends");
        }
        Ok(Self { cells })
    }

    fn denials(&self) -> Vec<Denial> {
        let mut log = Log::default();
        for denial in self.cells.iter().flat_map(|cell| denials(cell)) {
            log.add(denial, None);
        }
        log.groups.into_iter().map(|group| group.denial).collect()
    }
}

/// The policy to extend: that of the run, or the named one if the run has several.
fn policy_of(args: &AllowArgs, run: &Run) -> Result<String, Failure> {
    let names: BTreeSet<_> = run.lanes.iter().map(|lane| &lane.started.policy).collect();
    let named: Vec<_> = args.machine.boot.policy.iter().map(ToString::to_string).collect();
    match (names.len(), named.as_slice()) {
        (0, _) => Err(Failure::input("the run has no lane")),
        (1, [one]) if one == policy::DEFAULT || names.contains(one) => {
            Ok(names.into_iter().next().cloned().unwrap_or_default())
        }
        (_, [one]) if names.contains(one) => Ok(one.clone()),
        _ => {
            let names: Vec<_> = names.into_iter().map(String::as_str).collect();
            let names = names.join(", ");
            Err(Failure::input(format!("the run has the policies {names}: name one with --policy")))
        }
    }
}

/// Runs the run's cells again under its policy and the module.
fn verify(
    args: &AllowArgs,
    run: &Run,
    suite: &Suite,
    module: &Module<'_>,
) -> Result<(Text, Exit), Failure> {
    let policy = policy_of(args, run)?;
    let Some(rerun) = Rerun::of(run, &policy, &suite.library) else {
        return Err(Failure::input(
            "no cell of the run can run again: the cases have changed (--cases names a directory)",
        ));
    };
    let mut machine = args.machine.clone();
    machine.boot.policy = vec![policy.parse().map_err(Failure::input)?];
    if machine.kernel.is_empty() {
        machine.kernel = rerun.kernels().map_err(Failure::input)?;
    }
    let session = Session::open(args.machine.boot.quiet)?;
    // The cases are written for the policy without the module.
    session.ignore_verdicts();
    let (engine, kernels) = session.boot(&machine)?;
    let [own] = engine.policies() else { return Err(Failure::input("no policy")) };
    let mut lab = EngineLab::new(&engine, suite, Reuse::Nothing);
    let filter = args.filter.filter();
    let say = |text: &str| engine.say(text);
    let obtaining = engine.obtaining(&say);
    let verified = rerun.verify(&mut lab, &kernels, own, module, filter, &obtaining)?;
    let Verification { effect, unseen, refused, .. } = &verified;
    let exit = match session.interrupted() {
        Some(exit) => exit,
        None if refused.is_some() => Exit::Kernel,
        None if !effect.holds() => Exit::Failed,
        None if !effect.unseen.is_empty() || *unseen > 0 => Exit::NotJudged,
        None if effect.cells == 0 => Exit::NotJudged,
        None => Exit::Success,
    };
    Ok((verified.text(), exit))
}
