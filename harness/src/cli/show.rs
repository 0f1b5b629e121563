//! `perfsec show`

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::{BootMode, Lockdown, Step};

use super::args::ShowArgs;
use super::{Exit, Failure, unmatched};
use crate::case::{Case, Circumstances, Coordinates, Setting, UNPRIVILEGED};
use crate::counted::counted;
use crate::kernel::KernelVersion;
use crate::text::{Text, line};

/// A kernel newer than every condition, for when none is named.
const NEWEST: KernelVersion = KernelVersion::new(u32::MAX, 0, 0);

pub(super) fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let library = args.cases.library()?;
    let filter = args.filter.filter();
    let mut cells = unmatched::select(&filter, &library)?;
    // Controls run with the cells that need them, but nobody asked to see them.
    let selects = filter.matcher().map_err(Failure::input)?;
    cells.retain(|cell| selects(&cell.name(), &cell.at));
    if args.all_kernels {
        let chosen: BTreeSet<_> = cells.iter().map(|cell| cell.name()).collect();
        for (_, text) in library.expectations(|name| chosen.contains(name)) {
            super::print(&text)?;
        }
        return Ok(Exit::Success);
    }
    let (distribution, version) = kernel(args.kernel.as_deref())?;
    let kernel = Circumstances::hypothetical(version, distribution);
    if let Some(name) = &args.policy {
        check_policy(name)?;
    }
    let setting = Setting { policy: args.policy.as_deref(), ..Setting::from(kernel) };
    let mut by_case: BTreeMap<&str, (&Case, Vec<&Coordinates>)> = BTreeMap::new();
    for cell in &cells {
        by_case.entry(&cell.case.name).or_insert((&*cell.case, Vec::new())).1.push(&cell.at);
    }
    for (case, mut cells) in by_case.into_values() {
        cells.sort();
        super::print(&describe(case, &cells, &setting, args.all_cells))?;
    }
    Ok(Exit::Success)
}

/// Checks that perfsec has a policy of this name.
fn check_policy(name: &str) -> Result<(), Failure> {
    let names = perfsec_cases::policy_names();
    if names.contains(&name) {
        return Ok(());
    }
    let close = crate::suggest::closest(name, &names);
    let known = names.join(", ");
    Err(Failure::input(format!("cannot find a policy `{name}`{close} (one of: {known})")))
}

/// The distribution and the version that `--kernel` names; the newest version without it.
pub(super) fn kernel(named: Option<&str>) -> Result<(Option<&str>, KernelVersion), Failure> {
    let Some(text) = named else { return Ok((None, NEWEST)) };
    let Some((distribution, version)) = text.split_once(':') else {
        return Ok((None, newest_in_series(version(text)?, text)));
    };
    let wrong = |what: &str| {
        let how = "write the newest of a series as debian:6.12, or one version as debian:6.12.94";
        Failure::input(format!("cannot show kernel {text}: {what}; {how}"))
    };
    if distribution != DEBIAN {
        return Err(wrong("debian is the only distribution known here"));
    }
    let exact = count_numbers(version) > 2;
    let version = version.parse::<KernelVersion>().map_err(|_| wrong("that is not a version"))?;
    if version.series() < KernelVersion::PERFMON.series() {
        return Err(wrong("CAP_PERFMON came with 5.8"));
    }
    // A whole version needs no list of series.
    if !exact && !is_series(version.series()) {
        return Err(wrong("perfsec knows no such series of Debian"));
    }
    Ok((Some(distribution), newest_in_series(version, text)))
}

const DEBIAN: &str = "debian";

/// The last series of each major version that Debian packages.
const LAST: [(u32, u32); 3] = [(5, 19), (6, 19), (7, 3)];

fn is_series((major, minor): (u32, u32)) -> bool {
    LAST.iter().any(|(known, last)| *known == major && minor <= *last)
}

/// Counts the numbers at the start of a version.
fn count_numbers(version: &str) -> usize {
    let digits = |part: &&str| part.starts_with(|letter: char| letter.is_ascii_digit());
    version.trim_start_matches('v').split('.').take_while(digits).count()
}

/// The newest version of the series, if the text names no more than a series.
fn newest_in_series(version: KernelVersion, text: &str) -> KernelVersion {
    let text = text.rsplit(':').next().unwrap_or(text);
    match version.candidate {
        None if count_numbers(text) < 3 => KernelVersion { patch: u32::MAX, ..version },
        _ => version,
    }
}

/// Lists what differs from the defaults of a case.
fn write_setting(out: &mut Text, case: &Case) {
    if case.boot != BootMode::Selinux {
        line!(out, "  booted as {}", case.boot);
    }
    if let Some(policy) = &case.policy {
        line!(out, "  under the policy {policy}");
    }
    if !case.audit {
        line!(out, "  with audit off");
    }
    if case.lockdown != Lockdown::None {
        line!(out, "  under lockdown {}", case.lockdown);
    }
    if case.uid != UNPRIVILEGED {
        line!(out, "  uid {}", case.uid);
    }
}

fn version(text: &str) -> Result<KernelVersion, Failure> {
    let version: KernelVersion = text.parse().map_err(Failure::input)?;
    if version.series() < KernelVersion::PERFMON.series() {
        return Err(Failure::input(format!(
            "cannot show kernel {version}: CAP_PERFMON came with 5.8; write a version like 6.12 or \
             6.12.40"
        )));
    }
    Ok(version)
}

/// Describes a case, its questions, and what these cells must see.
fn describe(case: &Case, cells: &[&Coordinates], setting: &Setting<'_>, all: bool) -> Text {
    let mut out = Text::new();
    line!(out, "{}: {}", case.name, case.title);
    line!(out, "  file {}", case.path.display());
    for source in &case.source {
        line!(out, "  from {source}");
    }
    for (name, value) in &case.sysctls {
        line!(out, "  sysctl {name} = {value}");
    }
    write_setting(&mut out, case);
    write_processes(&mut out, case);
    for (name, condition) in case.conditions() {
        let holds = if condition.holds(&setting.kernel) { "holds" } else { "does not hold" };
        line!(out, "  {name} {holds}: {}", condition.reason);
    }
    write_questions(&mut out, case);
    // The cell with the most lines shows most of the questions.
    let lines = |at: &&&Coordinates| case.expected(at, setting).to_string().lines().count();
    let telling: Vec<_> = cells.iter().copied().max_by_key(|at| lines(&at)).into_iter().collect();
    let shown = if all { cells } else { &telling };
    // Cells with the same expectation are shown together.
    let mut groups: Vec<(Vec<&Coordinates>, String)> = Vec::new();
    for at in shown {
        let text = case.expected(at, setting).to_string();
        match groups.iter_mut().find(|(_, known)| *known == text) {
            Some((group, _)) => group.push(at),
            None => groups.push((vec![at], text)),
        }
    }
    for (group, text) in groups {
        out.end();
        for at in group {
            line!(out, "{}", case.cell_name(at));
        }
        for words in text.lines() {
            line!(out, "    {words}");
        }
    }
    if let more @ 1.. = cells.len() - shown.len() {
        out.end();
        line!(out, "({}: --all-cells shows them)", counted(more, "more cell"));
    }
    if let Some(reason) = case.unmet_requirement(&setting.kernel) {
        out.end();
        line!(out, "(skipped on this kernel, which lacks: {reason})");
    }
    out.end();
    out
}

/// Lists the processes beside the subject, and the steps before it starts.
fn write_processes(out: &mut Text, case: &Case) {
    for process in &case.processes {
        line!(
            out,
            "  process {}: uid {}, grant {}, domain {}",
            process.name,
            process.uid,
            process.grant,
            process.domain
        );
        for step in &process.steps {
            line!(out, "    {step}");
        }
    }
    for step in &case.given {
        match step {
            Step::Agent(_) => line!(out, "  given {step}"),
            step => line!(out, "  given {step}, by the agent"),
        }
    }
}

/// Lists the steps with their questions.
fn write_questions(out: &mut Text, case: &Case) {
    let Some(questions) = &case.questions else { return };
    out.end();
    for (step, questions) in case.steps.iter().zip(questions) {
        match questions.returns.as_slice() {
            [] => line!(out, "  {step}"),
            [only] => line!(out, "  {step} returns {only}"),
            several => {
                line!(out, "  {step}");
                for returned in several {
                    line!(out, "    returns {returned}");
                }
            }
        }
        for question in &questions.asks {
            line!(out, "    asks {question}");
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("debian:6.1", (6, 1, u32::MAX))]
    #[case("debian:6.1.192", (6, 1, 192))]
    #[case("debian:6.1.0", (6, 1, 0))]
    #[case("debian:7.4.2", (7, 4, 2))]
    #[case("6.12", (6, 12, u32::MAX))]
    #[case("6.12.40", (6, 12, 40))]
    fn a_series_is_its_newest_version(#[case] text: &str, #[case] version: (u32, u32, u32)) {
        let found = kernel(Some(text)).ok().map(|(_, version)| version);
        assert_eq!(found, Some(KernelVersion::new(version.0, version.1, version.2)));
    }

    #[rstest]
    #[case::release_candidate("7.3-rc7", "7.3-rc7")]
    #[case::none("debian:6.12.94-1", "6.12.94")]
    fn a_whole_version_is_that_version(#[case] text: &str, #[case] version: &str) {
        let found = kernel(Some(text)).ok().map(|(_, version)| version.to_string());
        assert_eq!(found.as_deref(), Some(version));
    }

    #[rstest]
    #[case("debian:4.19", "CAP_PERFMON came with 5.8")]
    #[case("debian:5.7.9", "CAP_PERFMON came with 5.8")]
    #[case("4.19", "CAP_PERFMON came with 5.8")]
    #[case("debian:61", "write the newest of a series as debian:6.12")]
    #[case("debian:6", "write the newest of a series as debian:6.12")]
    #[case("debian:6.20", "no such series")]
    #[case("debian:9.1", "no such series")]
    #[case("debian:bookworm", "write the newest of a series as debian:6.12")]
    #[case("fedora:6.12", "the only distribution known")]
    fn an_error_about_a_kernel_says_what_to_write(#[case] text: &str, #[case] words: &str) {
        let failure = kernel(Some(text)).unwrap_err();
        assert_eq!(failure.exit, Exit::Input);
        assert!(failure.error.to_string().contains(words), "{}", failure.error);
    }
}
