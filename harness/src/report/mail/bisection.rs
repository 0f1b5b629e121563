//! The report on a bisection: the first bad commit, or the commits among which it is.

use std::collections::BTreeSet;

use super::kernels::{boot_and_policy, compiler, relevant_options, tools, version};
use super::page::Page;
use super::plain;
use super::reproduce::{command, options, portable_revision};
use super::series;
use crate::bisect::{Bisection, CommitInfo, Culprit, counts};
use crate::counted::counted;
use crate::text::Text;

/// Number of globs in the command, above which it covers all cells.
const GLOBS: usize = 12;

/// Number of lines of the log that are shown.
const LINES: usize = 80;

/// The result in one line.
pub(super) fn headline(outcome: &Bisection) -> String {
    let cells = counted(outcome.across.different(), "cell");
    plain::prose(&match &outcome.found {
        Culprit::First { commit, .. } => format!("perfsec: {commit} changes what {cells} see"),
        Culprit::Skipped { commits } => {
            let commits = counted(commits.len(), "commit");
            format!("perfsec: one of {commits} changes what {cells} see")
        }
    })
}

/// Writes the report.
pub(super) fn text(outcome: &Bisection) -> Text {
    let mut page = Page::default();
    page.title(&format!("{}.", headline(outcome)));
    page.gap();
    page.prose(
        2,
        "Each cell is a program with chosen file capabilities in a chosen SELinux domain that \
         calls perf; what it sees are the return values of its calls, the capabilities that are \
         checked, and the records that audit logs.",
    );
    match &outcome.found {
        Culprit::First { commit, .. } => {
            page.heading("First bad commit:");
            one(commit, &mut page);
        }
        Culprit::Skipped { commits } => {
            page.heading("The first bad commit is one of these; the others could not be tested:");
            commits.iter().for_each(|commit| page.item(2, &commit.to_string()));
        }
    }
    page.gap();
    outcome.notes.iter().for_each(|note| page.item(2, &format!("note: {note}")));
    page.heading(match &outcome.found {
        Culprit::First { .. } => "What changes with it:",
        Culprit::Skipped { .. } => "What changed between the ends:",
    });
    series::groups(&outcome.across, &mut page);
    steps(outcome, &mut page);
    kernel(outcome, &mut page);
    page.heading("git bisect log:");
    page.gap();
    outcome.log.lines().take(LINES).for_each(|line| page.verbatim(2, line));
    reproduce(outcome, &mut page);
    page.finish()
}

fn one(commit: &CommitInfo, page: &mut Page) {
    page.field("commit", commit.commit.as_str());
    page.field("subject", &commit.subject);
    page.field("author", &commit.author);
    page.field("date", &commit.date);
}

/// Writes the ends and the steps of the bisection.
fn steps(outcome: &Bisection, page: &mut Page) {
    page.heading("How it was found:");
    for (name, end) in [("good", &outcome.good), ("bad", &outcome.bad)] {
        page.field(name, &end.to_string());
    }
    for step in &outcome.steps {
        page.field(step.mark.word(), &format!("{}: {}", step.commit, without_log(&step.why)));
    }
    page.field("in all", &counts(outcome));
}

/// The reason for skipping a commit, without the path of the log on this host.
fn without_log(why: &str) -> &str {
    why.split("; the log is ").next().unwrap_or(why)
}

/// Writes the kernel, and what ran it.
fn kernel(outcome: &Bisection, page: &mut Page) {
    if let Some(lane) = &outcome.lane {
        page.heading("Kernel:");
        page.field("version", &version(&lane.kernel));
        page.field("compiler", compiler(&lane.kernel).unwrap_or("unknown"));
        page.field("config", &relevant_options(lane.kernel.config.as_ref()));
        page.field("booted", &boot_and_policy(lane));
    }
    tools(&outcome.run, outcome.lane.iter(), page);
}

/// Writes the command that repeats the bisection.
fn reproduce(outcome: &Bisection, page: &mut Page) {
    let mut words = ["perfsec", "bisect"].map(str::to_owned).to_vec();
    for (option, end) in [("--good", &outcome.good), ("--bad", &outcome.bad)] {
        let end = portable_revision(&end.named, end.words.commit.short());
        words.extend([option.to_owned(), end.to_owned()]);
    }
    words.extend(options(&outcome.run.command));
    let globs = outcome.across.groups.iter().flat_map(|group| &group.cells.globs);
    let globs = globs.map(|(glob, _)| glob.split(" (policy ").next().unwrap_or(glob).to_owned());
    let globs: BTreeSet<String> = globs.collect();
    if globs.len() <= GLOBS {
        words.extend(globs);
    }
    page.heading("To reproduce, in a clone of the kernel:");
    page.gap();
    command(&words, page);
}
