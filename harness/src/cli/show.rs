//! `perfsec show`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use perfsec_wire::{Boot, Lockdown, Step};

use super::args::ShowArgs;
use super::{Exit, Failure, session};
use crate::case::{Case, Circumstances, Coordinates, UNPRIVILEGED};
use crate::kernel::KernelVersion;

/// A kernel newer than every condition knows, when none is named.
const NEWEST: KernelVersion = KernelVersion::new(u32::MAX, 0, 0);

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let library = session::library(&args.cases)?;
    let cells = args.filter.filter().select(&library).map_err(Failure::input)?;
    if cells.is_empty() {
        return Err(Failure {
            exit: Exit::NothingRan,
            error: "no case by that name: `perfsec run --list` lists every cell".into(),
        });
    }
    let (distribution, version) = kernel(args.kernel.as_deref())?;
    let kernel = Circumstances { version, distribution, config: None };
    let mut by_case: BTreeMap<&str, (&Case, Vec<&Coordinates>)> = BTreeMap::new();
    for cell in &cells {
        by_case.entry(&cell.case.name).or_insert((&*cell.case, Vec::new())).1.push(&cell.at);
    }
    for (case, mut cells) in by_case.into_values() {
        cells.sort();
        super::print(&describe(case, &cells, &kernel))?;
    }
    Ok(Exit::Success)
}

/// The distribution and the version that `--kernel` names; the newest when it names none.
pub(super) fn kernel(named: Option<&str>) -> Result<(Option<&str>, KernelVersion), Failure> {
    Ok(match named.map(|text| text.split_once(':').ok_or(text)) {
        None => (None, NEWEST),
        Some(Ok((distribution, version))) => (Some(distribution), parse(version)?),
        Some(Err(version)) => (None, parse(version)?),
    })
}

/// What is not as it is for most cases.
fn setting(out: &mut String, case: &Case) {
    if case.boot != Boot::Selinux {
        let _ = writeln!(out, "  booted as {}", case.boot);
    }
    if let Some(policy) = &case.policy {
        let _ = writeln!(out, "  under the policy {policy}");
    }
    if !case.audit {
        let _ = writeln!(out, "  with audit off");
    }
    if case.lockdown != Lockdown::None {
        let _ = writeln!(out, "  under lockdown {}", case.lockdown);
    }
    if case.uid != UNPRIVILEGED {
        let _ = writeln!(out, "  uid {}", case.uid);
    }
}

fn parse(text: &str) -> Result<KernelVersion, Failure> {
    text.parse().map_err(Failure::input)
}

fn describe(case: &Case, cells: &[&Coordinates], kernel: &Circumstances<'_>) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: {}", case.name, case.title);
    let _ = writeln!(out, "  file {}", case.path.display());
    for source in &case.source {
        let _ = writeln!(out, "  from {source}");
    }
    for (name, value) in &case.sysctls {
        let _ = writeln!(out, "  sysctl {name} = {value}");
    }
    setting(&mut out, case);
    for process in &case.processes {
        let _ = writeln!(
            out,
            "  process {}: uid {}, grant {}, domain {}",
            process.name, process.uid, process.grant, process.domain
        );
        for step in &process.steps {
            let _ = writeln!(out, "    {step}");
        }
    }
    for step in &case.given {
        match step {
            Step::Agent(_) => drop(writeln!(out, "  given {step}")),
            step => drop(writeln!(out, "  given {step}, by the agent")),
        }
    }
    for (name, condition) in &case.when {
        let holds = if condition.holds(kernel) { "holds" } else { "does not hold" };
        let _ = writeln!(out, "  {name} {holds}: {}", condition.reason);
    }
    // Cells that must see the same are shown together.
    let mut groups: Vec<(Vec<&Coordinates>, Vec<String>)> = Vec::new();
    for at in cells {
        let lines: Vec<_> = case.expected(at, kernel).into_iter().map(|line| line.text).collect();
        match groups.iter_mut().find(|(_, known)| *known == lines) {
            Some((group, _)) => group.push(at),
            None => groups.push((vec![at], lines)),
        }
    }
    for (group, lines) in groups {
        out.push('\n');
        for at in group {
            let _ = writeln!(out, "{}", case.cell_name(at));
        }
        for line in lines {
            let _ = writeln!(out, "    {line}");
        }
    }
    if let Some(reason) = case.unmet(kernel) {
        let _ = writeln!(out, "\n(skipped on this kernel, which lacks: {reason})");
    }
    out.push('\n');
    out
}
