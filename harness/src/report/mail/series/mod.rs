//! The report on a patch series: what each patch changes, in the order that reviewers need.

mod changes;
mod patches;
mod table;

pub(super) use changes::groups;

use std::path::Path;

use super::kernels::{boot_and_policy, compiler, relevant_options, tools, version};
use super::labels::{base, list, short};
use super::page::Page;
use super::reproduce::{command, filter_arguments, options, portable_revision, values};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::mbox::Mailbox;
use crate::series::{BaseOutcome, PatchOutcome, SeriesOutcome, TestResult};
use crate::text::{Text, line};

/// Writes the report.
///
/// `tester` vouches for a series without a [problem](SeriesOutcome::problems) that was checked with
/// all cells; their name is the only text that may not be ASCII.
#[must_use]
pub fn text(outcome: &SeriesOutcome, tester: Option<&Mailbox>) -> Text {
    let problems = outcome.problems();
    let mut page = Page::default();
    page.title(&outcome.headline());
    page.gap();
    for problem in problems.iter().skip(1) {
        page.item(2, &format!("{}.", sentence(&outcome.words(problem))));
    }
    for note in &outcome.notes {
        page.item(2, &format!("note: {note}"));
    }
    tested(outcome, &mut page);
    table::write(outcome, &mut page);
    patches::write(outcome, &mut page);
    changes::whole_series(outcome, &mut page);
    stated(outcome, &mut page);
    reproduce(outcome, &mut page);
    let mut text = page.finish();
    let vouchable = problems.is_empty() && outcome.run.asked.is_whole();
    if let Some(line) = tester.filter(|_| vouchable).and_then(Mailbox::trailer) {
        text.end();
        line!(text, "Tested-by: {line}");
    }
    text
}

/// The section on one patch.
#[must_use]
pub fn patch_text(patch: &PatchOutcome, outcome: &SeriesOutcome) -> Text {
    let mut page = Page::default();
    patches::one(patch, outcome, &mut page);
    page.finish()
}

/// A text with its first letter in upper case.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Writes what was tested, and what ran it.
fn tested(outcome: &SeriesOutcome, page: &mut Page) {
    let series = &outcome.series;
    page.heading("Series:");
    let patches = counted(outcome.patches.len(), "patch");
    let cover = series.cover.as_ref().map_or(String::new(), |cover| format!(": {cover}"));
    page.field("patches", &format!("v{}, {patches}{cover}", series.version));
    page.field("from", &format!("{}, sha256 {}", file(&series.name), short(&series.sha256)));
    let commit = short(&outcome.base.commit);
    page.field("base", &format!("{} (commit {commit})", outcome.base.describe));
    if !outcome.built.config.is_empty() {
        page.field("config", &list(&outcome.built.config));
    }
    if !outcome.built.make.is_empty() {
        page.field("make", &outcome.built.make.join(" "));
    }
    let Some(lane) = outcome.lanes.first() else { return };
    page.heading("Kernel of the base:");
    page.field("version", &version(&lane.kernel));
    let built = &outcome.built.compiler;
    let found = compiler(&lane.kernel).unwrap_or("unknown");
    page.field("compiler", if built.is_empty() { found } else { built });
    page.field("options", &relevant_options(lane.kernel.config.as_ref()));
    for lane in &outcome.lanes {
        page.field("lane", &format!("{}: {}", boot_and_policy(lane), counted(lane.cells, "cell")));
    }
    if let Some(TestResult::Ran(ran)) = &outcome.base.tested
        && let Some((_, cells)) = ran.counts.iter().find(|(it, _)| *it == Verdict::Fail)
    {
        let cells = counted(*cells, "cell");
        page.field("already", &format!("{cells} FAIL without the series: not introduced by it"));
    }
    tools(&outcome.run, outcome.lanes.iter(), page);
}

/// The last part of a path, or a range of revisions unchanged.
fn file(name: &str) -> String {
    if name.contains("..") { name.to_owned() } else { base(Path::new(name)) }
}

/// Writes the stated changes that did not happen.
fn stated(outcome: &SeriesOutcome, page: &mut Page) {
    let unmet = || outcome.stated.iter().filter(|stated| !stated.unmet.is_empty());
    if unmet().next().is_none() {
        return;
    }
    page.heading("Stated, and did not happen:");
    for stated in unmet() {
        let by = match stated.patch {
            Some(number) => format!("patch {number}"),
            None => "any patch".to_owned(),
        };
        page.item(2, &format!("by {by}: {}", stated.reason));
        for glob in &stated.unmet {
            page.name(4, glob, "");
        }
    }
}

/// Writes the command that repeats the check, or continues an interrupted one.
fn reproduce(outcome: &SeriesOutcome, page: &mut Page) {
    let BaseOutcome { named, commit, tree, own, .. } = &outcome.base;
    let given = &outcome.run.command;
    let mut words = vec!["perfsec".to_owned(), "series".to_owned()];
    if *own {
        let dirty = given.iter().filter(|word| *word == "--dirty").cloned();
        words.extend(["--tree".to_owned(), base(Path::new(tree))].into_iter().chain(dirty));
    } else {
        words.extend(["--base".to_owned(), portable_revision(named, short(commit)).to_owned()]);
    }
    for value in values(given, "--expect") {
        words.extend(["--expect".to_owned(), base(Path::new(&value))]);
    }
    words.extend(options(given));
    words.push(file(&outcome.series.name));
    words.extend(filter_arguments(&outcome.run));
    let what = if outcome.ended { "To reproduce" } else { "To continue" };
    let place = if *own { "with the same tree" } else { "in a clone of the kernel" };
    page.heading(&format!("{what}, {place}:"));
    page.gap();
    command(&words, page);
    if let Some(directory) = &outcome.run.asked.cases_directory {
        let hash = short(&outcome.run.asked.cases_sha256);
        page.gap();
        page.prose(2, &format!("where {} has the cases with sha256 {hash}", base(directory)));
    }
}
