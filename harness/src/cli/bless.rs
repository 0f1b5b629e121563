//! `perfsec bless`

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::args::BlessArgs;
use super::session::Session;
use super::{Exit, Failure, unmatched};
use crate::bless::{Precedents, rewrite};
use crate::case::{Case, Circumstances, Coordinates, Library, Setting};
use crate::engine::Suite;
use crate::judge::Verdict;
use crate::plan::PlannedCell;
use crate::record::Selection;
use crate::text::{Text, eprint_line};
use crate::transcript::Transcript;

type Seen = BTreeMap<String, BTreeMap<Coordinates, Transcript>>;

pub(super) fn bless(args: &BlessArgs) -> Result<Exit, Failure> {
    if std::env::var_os("CI").is_some() {
        return Err(Failure::input(
            "bless does not run in CI: a person has to look at what it writes",
        ));
    }
    let library = Library::directory_to_bless(&args.cases)?;
    let directory = Some(args.cases.clone());
    // No known difference hides what the kernel does.
    let suite = Suite { library, directory, known: Arc::default() };
    let cells = unmatched::select(&args.filter.filter(), &suite.library)?;
    if !args.overwrite {
        refuse_dirty(&cells)?;
    }
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels) = session.boot(&args.machine)?;
    let plans = engine.plan(&kernels, engine.policies(), &cells, &suite);
    let plans = session.stopped(plans)?;
    if (kernels.len(), engine.policies().len()) != (1, 1) {
        return Err(Failure::input("bless looks at one kernel under one policy at a time"));
    }
    let (mut seen, mut unseen) = (Seen::new(), Vec::new());
    let asked = Selection { cases_directory: suite.directory.clone(), ..Selection::default() };
    let run = engine.execute(&plans, asked, &mut |_| Ok(()))?.whole()?;
    for cell in run.cells() {
        match (cell.judgement.verdict, cell.observation.is_some()) {
            (Verdict::Fail, true) => {
                let lines = cell.judgement.observed.clone();
                seen.entry(cell.case.clone()).or_default().insert(cell.at.clone(), lines);
            }
            (Verdict::Flaky | Verdict::Error | Verdict::Miss, _) | (Verdict::Fail, false) => {
                unseen.push(format!(
                    "{}: {}",
                    cell.name,
                    cell.judgement.reason.as_deref().unwrap_or("")
                ));
            }
            _ => {}
        }
    }
    if let Some(exit) = session.interrupted() {
        return Ok(exit);
    }
    let built_in = Library::built_in()?;
    let precedents = Precedents::of(built_in.cases.iter().chain(&suite.library.cases));
    let machine = run.lanes.iter().flat_map(|lane| &lane.ready).next();
    let machine = machine.map(|ready| &ready.facts.machine);
    let policy = engine.policies().first().map(|policy| policy.name.as_str());
    for kernel in &kernels {
        let kernel = Circumstances { machine, ..Circumstances::from(kernel) };
        let setting = Setting { policy, ..Setting::from(kernel) };
        for case in &suite.library.cases {
            if let Some(cells) = seen.get(&case.name) {
                write(case, &setting, cells, &precedents)?;
            }
        }
    }
    for cell in &unseen {
        eprint_line!("not blessed: {cell}");
    }
    Ok(if unseen.is_empty() { Exit::Success } else { Exit::NotJudged })
}

fn write(
    case: &Case,
    setting: &Setting<'_>,
    cells: &BTreeMap<Coordinates, Transcript>,
    precedents: &Precedents,
) -> Result<(), Failure> {
    let blessed = rewrite(case, setting, cells, precedents).map_err(Failure::input)?;
    fs::write(&case.path, &blessed.text)
        .map_err(|error| Failure::host(format!("cannot write {}: {error}", case.path.display())))?;
    let mut text = Text::of_line(format_args!("{}: {blessed}", case.path.display()));
    if blessed.loses_conditions {
        text.line("  it had lines for some kernels only (`if`, `unless`): restore them by hand");
    }
    super::print(&text)
}

/// Refuses case files with uncommitted changes: nobody could tell them from what bless writes.
fn refuse_dirty(cells: &[PlannedCell]) -> Result<(), Failure> {
    let mut paths: Vec<&Path> = cells.iter().map(|cell| cell.case.path.as_path()).collect();
    paths.dedup();
    let output = Command::new("git").args(["status", "--porcelain", "--"]).args(&paths).output();
    let Ok(output) = output else { return Ok(()) };
    let changed = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && !changed.trim().is_empty() {
        return Err(Failure::input(format!(
            "these case files have uncommitted changes; commit them, or add --overwrite:\n{}",
            changed.trim_end()
        )));
    }
    Ok(())
}
