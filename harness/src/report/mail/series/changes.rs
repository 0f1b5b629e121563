//! Cells that changed, in groups that changed in the same way, those that nobody stated first.

use std::collections::BTreeSet;

use super::super::failures::{LINES, ROOM};
use super::super::page::Page;
use crate::compare::{Comparison, Exclusion, Group};
use crate::counted::counted;
use crate::series::{Changed, Outcome, Tested};

/// How many globs of a group are shown.
const GLOBS: usize = 12;

/// How large a mail may become before further groups are only counted.
const FULL: usize = ROOM + 20_000;

/// Whether there is something to tell.
pub(super) fn any(changed: &Changed) -> bool {
    !changed.comparison.groups.is_empty() || told(&changed.comparison).next().is_some()
}

/// What a patch changes.
pub(super) fn of_patch(changed: &Changed, outcome: &Outcome, page: &mut Page) {
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
    apart(comparison, page);
}

/// What the whole series changes.
pub(super) fn whole(outcome: &Outcome, page: &mut Page) {
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
        if matches!(last.tested, Some(Tested::Same { .. })) {
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
            page.prose(2, &format!("changes {known} as its patches do, and {new} otherwise:"));
        }
    }
    if undone > 0 {
        let cells = counted(undone, "cell");
        page.prose(2, &format!("what a patch changes in {cells}, another undoes"));
    }
    list(&new, page);
    apart(comparison, page);
}

/// What changed between two commits of which nothing was stated.
pub(in crate::report::mail) fn groups(comparison: &Comparison, page: &mut Page) {
    list(&comparison.groups.iter().collect::<Vec<_>>(), page);
    apart(comparison, page);
}

/// Whether the same cells changed in the same way.
fn same(one: &Group, other: &Group) -> bool {
    let way = |group: &Group| (group.kind, group.verdict_a, group.verdict_b);
    way(one) == way(other) && one.changes == other.changes && one.cells.names == other.cells.names
}

/// What is said before the groups of one kind.
fn heading(group: &Group, comparison: &Comparison, outcome: &Outcome, page: &mut Page) {
    let alike = comparison.groups.iter().filter(|other| other.stated == group.stated);
    let cells = counted(alike.map(|group| group.cells.count).sum(), "cell");
    page.gap();
    match group.stated.and_then(|at| outcome.stated.get(at)) {
        Some(stated) => page.item(2, &format!("changes {cells} as stated: {}", stated.reason)),
        None if outcome.stated.is_empty() => page.prose(2, &format!("changes {cells}:")),
        None => page.prose(2, &format!("changes {cells} in a way that nobody stated:")),
    }
}

/// Groups, as long as there is room.
fn list(groups: &[&Group], page: &mut Page) {
    for (at, group) in groups.iter().enumerate() {
        if !one(at + 1, group, page) {
            unshown(&groups[at..], page);
            break;
        }
    }
}

/// Those for which there is no room.
fn unshown(groups: &[&Group], page: &mut Page) {
    let cells = counted(groups.iter().map(|group| group.cells.count).sum(), "cell");
    page.gap();
    page.prose(2, &format!("and {cells} more, for which there is no room"));
}

/// One group, if there is room for it; its diff needs more.
fn one(number: usize, group: &Group, page: &mut Page) -> bool {
    if page.size() > FULL {
        return false;
    }
    let shown = page.size() <= ROOM;
    page.gap();
    let guess = group.guess.join("; ");
    page.numbered(number, &guess);
    let verdicts = match (group.verdict_a, group.verdict_b) {
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
        page.prose(5, &format!("and {} lines more", group.diff.len() - LINES));
    }
    true
}

/// What could not be compared, and must be told. What both skip is not for this kernel.
fn told(comparison: &Comparison) -> impl Iterator<Item = (&'static str, &Exclusion)> {
    let Comparison { not_judged, skipped, changed_cases, .. } = comparison;
    let all = [("not judged", not_judged), ("skipped", skipped), ("not compared", changed_cases)];
    all.into_iter()
        .flat_map(|(words, all)| all.iter().map(move |apart| (words, apart)))
        .filter(|(_, apart)| !apart.is_on_both())
}

/// What could not be compared.
fn apart(comparison: &Comparison, page: &mut Page) {
    let place = |why: &str| why.replace("on A", "before").replace("on B", "after");
    for (words, apart) in told(comparison) {
        page.gap();
        let cells = counted(apart.cells.count, "cell");
        page.item(2, &format!("{cells} {words}: {}", place(&apart.why)));
        for (glob, count) in apart.cells.globs.iter().take(GLOBS) {
            page.name(4, glob, &format!("  ({count})"));
        }
    }
}
