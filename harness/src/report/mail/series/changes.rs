//! The cells that changed, in groups that changed in the same way, unstated changes first.

use std::collections::BTreeSet;

use super::super::failures::{LINES, ROOM};
use super::super::page::Page;
use crate::compare::{Comparison, Exclusion, Group};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::series::{CellChanges, SeriesOutcome, TestResult};

/// Number of globs of a group that are shown.
const GLOBS: usize = 12;

/// Size of a mail, in octets, after which groups are only counted.
const FULL: usize = ROOM + 20_000;

/// True if there is anything to report.
pub(super) fn any(changed: &CellChanges) -> bool {
    !changed.comparison.groups.is_empty()
        || reported_exclusions(&changed.comparison).next().is_some()
}

/// Writes what a patch changes.
pub(super) fn patch(changed: &CellChanges, outcome: &SeriesOutcome, page: &mut Page) {
    let comparison = &changed.comparison;
    for (at, group) in comparison.groups.iter().enumerate() {
        if at == 0 || comparison.groups[at - 1].stated != group.stated {
            heading(group, comparison, outcome, page);
        }
        if !one(at + 1, group, page) {
            unshown(&comparison.groups[at..].iter().collect::<Vec<_>>(), page);
            break;
        }
    }
    exclusions(comparison, page);
}

/// Writes what the whole series changes.
pub(super) fn whole_series(outcome: &SeriesOutcome, page: &mut Page) {
    if outcome.patches.len() < 2 || !outcome.ended {
        return;
    }
    let last = outcome.patches.iter().rev().find(|patch| patch.tested.is_some());
    let Some(last) = last else { return };
    page.title(&format!(
        "The whole series, {} against patch {}:",
        outcome.base.describe, last.number
    ));
    page.gap();
    let Some(comparison) = &outcome.whole else {
        if matches!(last.tested, Some(TestResult::Same { .. })) {
            page.prose(2, "changes no cell: the kernel is bit for bit that of the base");
        } else {
            page.prose(2, "could not be compared");
        }
        return;
    };
    let of_patches: Vec<&Group> = (outcome.patches.iter())
        .filter_map(|patch| patch.changed.as_ref())
        .flat_map(|changed| &changed.comparison.groups)
        .collect();
    let (known, new): (Vec<&Group>, Vec<&Group>) = (comparison.groups.iter())
        .partition(|group| of_patches.iter().any(|other| same(group, other)));
    let cells = |groups: &[&Group]| counted(groups.iter().map(|it| it.cells.count).sum(), "cell");
    let left = comparison.groups.iter().flat_map(|group| &group.cells.names);
    let left: BTreeSet<&str> = left.map(String::as_str).collect();
    let undone = outcome.changed().difference(&left).count();
    match (known.len(), new.len()) {
        (0, 0) => page.prose(2, "changes no cell"),
        (_, 0) => page.prose(2, &format!("changes {}, as its patches do", cells(&known))),
        (0, _) => page.prose(2, &format!("changes {}:", cells(&new))),
        (_, _) => {
            let (known, new) = (cells(&known), cells(&new));
            page.prose(2, &format!("changes {known} as its patches do, and {new} in another way:"));
        }
    }
    if undone > 0 {
        let cells = counted(undone, "cell");
        page.prose(2, &format!("what one patch changes in {cells}, another one undoes"));
    }
    list(&new, page);
    exclusions(comparison, page);
}

/// Writes what changed between two commits, without stated changes.
pub(in crate::report::mail) fn groups(comparison: &Comparison, page: &mut Page) {
    list(&comparison.groups.iter().collect::<Vec<_>>(), page);
    exclusions(comparison, page);
}

/// True if the same cells changed in the same way.
fn same(one: &Group, other: &Group) -> bool {
    let way = |group: &Group| (group.kind, group.verdict_a, group.verdict_b);
    way(one) == way(other) && one.changes == other.changes && one.cells.names == other.cells.names
}

/// Writes the heading of the groups of one stated change, or of the unstated ones.
fn heading(group: &Group, comparison: &Comparison, outcome: &SeriesOutcome, page: &mut Page) {
    let alike = comparison.groups.iter().filter(|other| other.stated == group.stated);
    let cells = counted(alike.map(|group| group.cells.count).sum(), "cell");
    page.gap();
    match group.stated.and_then(|at| outcome.stated.get(at)) {
        Some(stated) => page.item(2, &format!("changes {cells} as stated: {}", stated.reason)),
        None if outcome.stated.is_empty() => page.prose(2, &format!("changes {cells}:")),
        None => page.prose(2, &format!("changes {cells} in a way that was not stated:")),
    }
}

/// Writes groups as long as there is room.
fn list(groups: &[&Group], page: &mut Page) {
    for (at, group) in groups.iter().enumerate() {
        if !one(at + 1, group, page) {
            unshown(&groups[at..], page);
            break;
        }
    }
}

/// Counts the groups for which there is no room.
fn unshown(groups: &[&Group], page: &mut Page) {
    let cells = counted(groups.iter().map(|group| group.cells.count).sum(), "cell");
    page.gap();
    page.prose(2, &format!("and {cells} more, omitted to save space"));
}

/// Writes a group if there is room for it, and its diff if there is room for that.
fn one(number: usize, group: &Group, page: &mut Page) -> bool {
    if page.size() > FULL {
        return false;
    }
    let shown = page.size() <= ROOM;
    page.gap();
    let guess = group.guess.join("; ");
    page.numbered(number, &guess);
    let verdicts = match (group.verdict_a, group.verdict_b) {
        // The change only uncovers it in another way.
        (Verdict::Fail, Verdict::Fail) => "FAIL before and after, not introduced here".to_owned(),
        (a, Verdict::Fail) if a.judged() => format!("{a} before, FAIL after: introduced here"),
        (a, b) if a == b => format!("{a} before and after"),
        (a, b) => format!("{a} before, {b} after"),
    };
    page.item(5, &format!("{}, {verdicts}:", counted(group.cells.count, "cell")));
    for (glob, count) in group.cells.globs.iter().take(GLOBS) {
        let remark = if *count == 1 { String::new() } else { format!("  ({count})") };
        page.name(7, glob, &remark);
    }
    let rest: usize = group.cells.globs.iter().skip(GLOBS).map(|(_, count)| count).sum();
    if rest > 0 {
        page.prose(7, &format!("and {rest} more"));
    }
    if group.diff.is_empty() || !shown {
        return true;
    }
    if group.cells.count > 1 {
        page.prose(5, "such as");
        page.name(7, &group.example, "");
    }
    page.gap();
    for line in group.diff.iter().take(LINES) {
        page.verbatim(5, line);
    }
    if group.diff.len() > LINES {
        page.prose(5, &format!("and {} more", counted(group.diff.len() - LINES, "line")));
    }
    true
}

/// The cells that could not be compared, except those that both sides skip.
fn reported_exclusions(
    comparison: &Comparison,
) -> impl Iterator<Item = (&'static str, &Exclusion)> {
    let Comparison { not_judged, skipped, changed_cases, .. } = comparison;
    let all = [("not judged", not_judged), ("skipped", skipped), ("not compared", changed_cases)];
    all.into_iter()
        .flat_map(|(words, all)| all.iter().map(move |exclusion| (words, exclusion)))
        .filter(|(_, exclusion)| !exclusion.is_on_both())
}

/// Writes the cells that could not be compared.
fn exclusions(comparison: &Comparison, page: &mut Page) {
    let place = |why: &str| why.replace("on A", "before").replace("on B", "after");
    for (words, exclusion) in reported_exclusions(comparison) {
        page.gap();
        let cells = counted(exclusion.cells.count, "cell");
        page.item(2, &format!("{cells} {words}: {}", place(&exclusion.why)));
        for (glob, count) in exclusion.cells.globs.iter().take(GLOBS) {
            page.name(4, glob, &format!("  ({count})"));
        }
    }
}
