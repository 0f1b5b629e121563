//! The command that reproduces the results in a fresh clone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use perfsec_wire::Mode;

use super::labels::{TestedKernel, base, list, short};
use super::page::{Page, WIDTH};
use super::plain;
use crate::case::Coordinates;
use crate::judge::Verdict;
use crate::kernel::{Kernel, Origin};
use crate::policy;
use crate::record::{CellResult, LaneRun, Run, RunStarted};

/// Number of filters above which those of each area are merged.
const FILTERS: usize = 6;

/// Columns from the margin to the command.
const INDENT: usize = 2;

/// Columns from the margin to its continuation lines.
const CONTINUED: usize = 6;

/// Writes the command: for the failures, else for cells that were not judged, else for the whole
/// run.
pub(super) fn write(run: &Run, kernels: &[TestedKernel<'_>], page: &mut Page) {
    let failed = [Verdict::Fail, Verdict::Flaky].as_slice();
    let unjudged = [Verdict::Error, Verdict::Miss, Verdict::Xpass].as_slice();
    let wanted = [failed, unjudged]
        .into_iter()
        .find(|wanted| run.cells().any(|cell| wanted.contains(&cell.judgement.verdict)));
    let concerns = |lane: &LaneRun| match wanted {
        Some(wanted) => lane.cells.iter().any(|cell| wanted.contains(&cell.judgement.verdict)),
        None => true,
    };
    let concerned: Vec<(&TestedKernel<'_>, Vec<&LaneRun>)> = kernels
        .iter()
        .map(|tested| {
            (tested, tested.lanes.iter().copied().filter(|lane| concerns(lane)).collect())
        })
        .filter(|(_, lanes): &(_, Vec<_>)| !lanes.is_empty())
        .collect();
    if concerned.is_empty() {
        return;
    }

    let mut words = vec!["cargo".to_owned(), "xtask".to_owned(), "run".to_owned()];
    let mut remarks = Vec::new();
    for (tested, _) in &concerned {
        let kernel = tested.kernel;
        let mut name = spec(kernel);
        if matches!(kernel.origin, Origin::File { .. } | Origin::Deb { .. } | Origin::Rpm { .. }) {
            // Two files with the same name.
            if kernels.iter().filter(|other| spec(other.kernel) == name).count() > 1 {
                name = format!("{name}-{}", tested.label);
            }
            if let Some(sha256) = kernel.sha256() {
                remarks.push(format!("{name} is the image with sha256 {}", short(sha256)));
            }
        }
        words.extend(["--kernel".to_owned(), name]);
    }
    let lanes = || concerned.iter().flat_map(|(_, lanes)| lanes);
    let policies: BTreeSet<&str> = lanes().map(|lane| lane.started.policy.as_str()).collect();
    if policies.iter().any(|name| *name != policy::DEFAULT) {
        for name in policies {
            words.extend(["--policy".to_owned(), base(Path::new(name))]);
            if name.contains('/') {
                let lane = lanes().find(|lane| lane.started.policy == name);
                let hash = lane.map_or("", |lane| short(&lane.started.policy_sha256));
                remarks.push(format!("{} compiles to sha256 {hash}", base(Path::new(name))));
            }
        }
    }
    if let Some(directory) = &run.started.asked.cases_directory {
        words.extend(["--cases".to_owned(), base(directory)]);
        let hash = short(&run.started.asked.cases_sha256);
        remarks.push(format!("{} has the cases with sha256 {hash}", base(directory)));
    }
    for value in values(&run.started.command, "--module") {
        words.extend(["--module".to_owned(), base(Path::new(&value))]);
    }
    for option in ["--boolean", "--dontaudit", "--distribution", "--append", "--config", "--make"] {
        for value in values(&run.started.command, option) {
            words.extend([option.to_owned(), value]);
        }
    }
    words.extend(match wanted {
        Some(wanted) => {
            let cells = lanes().flat_map(|lane| &lane.cells);
            filters(cells.filter(|cell| wanted.contains(&cell.judgement.verdict)))
        }
        None => filter_arguments(&run.started),
    });

    page.heading("To reproduce, in a clone of perfsec:");
    page.gap();
    command(&words, page);
    if !remarks.is_empty() {
        page.gap();
        page.prose(INDENT, &format!("where {}", list(&remarks)));
    }
}

/// The kernel as an argument of `--kernel`.
fn spec(kernel: &Kernel) -> String {
    match &kernel.origin {
        Origin::File { path } | Origin::Deb { path, .. } | Origin::Rpm { path, .. } => base(path),
        // A release candidate cannot be named, but its series can.
        Origin::Debian { .. } if kernel.version.candidate.is_some() => {
            format!("debian:{}.{}", kernel.version.major, kernel.version.minor)
        }
        Origin::Debian { .. } => format!("debian:{}", kernel.version),
        Origin::Running { .. } => format!("vmlinuz-{}", kernel.release),
        Origin::Tree { tree, .. } if tree.starts_with("debian:") => {
            format!("tree:debian:{}", kernel.version)
        }
        Origin::Tree { tree, commit, .. } => {
            format!("tree:{}@{}", base(Path::new(tree)), short(commit))
        }
    }
}

/// The values of an option on a command line.
pub(super) fn values(command: &[String], option: &str) -> Vec<String> {
    let mut words = command.iter();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == option {
            found.extend(words.next().cloned());
        } else if let Some(value) =
            word.strip_prefix(option).and_then(|rest| rest.strip_prefix('='))
        {
            found.push(value.to_owned());
        }
    }
    found
}

/// The options of a command line that say how kernels are built and booted, and which cases they
/// run. Files are named without their directories, which exist on this host only.
pub(super) fn options(command: &[String]) -> Vec<String> {
    let mut words: Vec<String> =
        command.iter().filter(|word| *word == "--no-default-config").cloned().collect();
    for option in ["--config", "--policy", "--module", "--cases", "--qemu"] {
        for value in values(command, option).iter().filter(|value| *value != policy::DEFAULT) {
            words.extend([option.to_owned(), base(Path::new(value))]);
        }
    }
    let as_they_are = [
        "--boolean",
        "--dontaudit",
        "--make",
        "--distribution",
        "--accel",
        "--append",
        "--boot-limit",
    ];
    for option in as_they_are {
        words.extend(values(command, option).into_iter().flat_map(|it| [option.to_owned(), it]));
    }
    words
}

/// A name of a revision that means the same in every clone: its tag or its commit, but not a
/// branch.
pub(super) fn portable_revision<'a>(named: &'a str, commit: &'a str) -> &'a str {
    let tag = named.strip_prefix('v');
    match tag.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit())) {
        true => named,
        false => commit,
    }
}

/// The filters of the run, as arguments.
pub(super) fn filter_arguments(run: &RunStarted) -> Vec<String> {
    let filter = &run.asked.filter;
    let mut words = filter.names.clone();
    words.extend(filter.grants.iter().flat_map(|grant| ["--grant".to_owned(), grant.to_string()]));
    words.extend(filter.modes.iter().flat_map(|mode| ["--mode".to_owned(), mode.to_string()]));
    words.extend(filter.shard.iter().flat_map(|shard| ["--shard".to_owned(), shard.to_string()]));
    words
}

/// A few filters that select at least these cells: for each case the common prefix of the names of
/// its cells, and the mode if there is only one.
fn filters<'a>(cells: impl Iterator<Item = &'a CellResult>) -> Vec<String> {
    let mut cases: BTreeMap<&str, Vec<&Coordinates>> = BTreeMap::new();
    for cell in cells {
        cases.entry(&cell.case).or_default().push(&cell.at);
    }
    let modes: BTreeSet<Mode> = cases.values().flatten().map(|at| at.mode).collect();
    let mut names: Vec<String> = cases.iter().map(|(case, at)| common(case, at)).collect();
    if names.len() > FILTERS {
        let area = |case: &&str| format!("{}/", case.split('/').next().unwrap_or(case));
        names = cases.keys().map(area).collect::<BTreeSet<_>>().into_iter().collect();
    }
    if let [mode] = modes.iter().collect::<Vec<_>>()[..]
        && *mode != Mode::Disabled
    {
        names.extend(["--mode".to_owned(), mode.to_string()]);
    }
    names
}

/// The common prefix of the names of these cells of a case, up to a `/`.
fn common(case: &str, cells: &[&Coordinates]) -> String {
    let mut name = format!("{case}/");
    let parts: Vec<Vec<String>> =
        cells.iter().map(|at| at.to_string().split('/').map(str::to_owned).collect()).collect();
    let Some(first) = parts.first() else { return name };
    for (at, part) in first.iter().enumerate() {
        if parts.iter().any(|other| other.get(at) != Some(part)) {
            return name;
        }
        name.push_str(part);
        if at + 1 < first.len() {
            name.push('/');
        }
    }
    name
}

/// Writes a shell command, on several lines if it is long.
pub(super) fn command(words: &[String], page: &mut Page) {
    let mut pieces: Vec<String> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        // An option and its value stay on one line.
        let value = word.starts_with("--").then(|| rest.next()).flatten();
        let value = value.map_or(String::new(), |value| format!(" {}", quoted(value)));
        pieces.push(quoted(word) + &value);
    }
    let (mut indent, mut line) = (INDENT, String::new());
    for piece in pieces {
        let full = indent + line.len() + 1 + piece.len() + " \\".len() > WIDTH;
        if full && !line.is_empty() {
            page.verbatim(indent, &format!("{line} \\"));
            (indent, line) = (CONTINUED, String::new());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&piece);
    }
    page.verbatim(indent, &line);
}

/// Quotes a word for a shell. Control characters are escaped, so no terminal obeys them.
fn quoted(word: &str) -> String {
    let word = plain::verbatim(word);
    shlex::try_quote(&word).map_or_else(|_| "''".to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::fixture;
    use super::*;

    fn at(domain: &str, paranoid: i32, grant: &str, mode: &str) -> Coordinates {
        Coordinates {
            domain: domain.to_owned(),
            paranoid: paranoid.into(),
            grant: grant.parse().unwrap(),
            mode: mode.parse().unwrap(),
        }
    }

    #[test]
    fn a_filter_is_the_common_prefix_of_the_names() {
        let first = at("none_t", 2, "none", "enforcing");
        let mode = at("none_t", 2, "none", "permissive");
        let domain = at("all_t", 2, "none", "enforcing");
        assert_eq!(common("a/b", &[&first]), "a/b/none_t/paranoid=2/none/enforcing");
        assert_eq!(common("a/b", &[&first, &mode]), "a/b/none_t/paranoid=2/none/");
        assert_eq!(common("a/b", &[&first, &domain]), "a/b/");
    }

    #[test]
    fn many_cases_are_covered_by_their_areas_and_one_mode_by_itself() {
        let cell = fixture::run().lanes[0].cells[0].clone();
        let of = |case: String, mode: &str| CellResult {
            case,
            at: Coordinates { mode: mode.parse().unwrap(), ..cell.at.clone() },
            ..cell.clone()
        };
        let few: Vec<_> = (0..2).map(|n| of(format!("open/{n}"), "enforcing")).collect();
        let rest = "all_t/paranoid=2/perfmon/enforcing";
        let names = [0, 1].map(|n| format!("open/{n}/{rest}"));
        assert_eq!(
            filters(few.iter()),
            [&names[..], &["--mode".into(), "enforcing".into()]].concat()
        );
        let mut many: Vec<_> = (0..9).map(|n| of(format!("open/{n}"), "enforcing")).collect();
        many.push(of("proc/maps".to_owned(), "permissive"));
        assert_eq!(filters(many.iter()), ["open/", "proc/"]);
    }

    #[rstest]
    #[case(&["run", "--append", "a=1", "--append=b"], &["a=1", "b"])]
    #[case(&["run", "--appendix", "a"], &[])]
    #[case(&["run", "--append"], &[])]
    fn the_values_of_an_option_are_found(#[case] command: &[&str], #[case] expected: &[&str]) {
        let command: Vec<String> = command.iter().map(ToString::to_string).collect();
        assert_eq!(values(&command, "--append"), expected);
    }

    #[test]
    fn a_long_command_is_continued_on_the_next_line_and_a_shell_reads_it_as_one() {
        let mut words: Vec<String> = vec!["run".to_owned()];
        words.extend((0..20).flat_map(|n| ["--kernel".to_owned(), format!("it's {n}")]));
        let mut page = Page::default();
        command(&words, &mut page);
        let text = page.finish().plain();
        assert!(text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(shlex::split(&text.replace("\\\n", " ")).unwrap(), words);
    }

    #[rstest]
    #[case("open/cpu/", "open/cpu/")]
    #[case("open/*", "'open/*'")]
    #[case("$(reboot)\n", "'$(reboot)'")]
    #[case("\x1b[2J;", "\"\\\\u{1b}[2J;\"")]
    fn a_word_is_quoted_for_a_shell(#[case] word: &str, #[case] expected: &str) {
        assert_eq!(quoted(word), expected);
    }
}
