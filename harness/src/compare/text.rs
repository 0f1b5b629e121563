//! A comparison as text for a terminal.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::comparison::{Comparison, SideSummary};
use super::group::{CaseReason, Cells, DifferenceKind, Exclusion, Group};
use crate::counted::{counted, inflected};
use crate::text::{Text, line};

/// Number of globs of a group that are shown; `--verbose` and JSON name all cells.
const GLOBS: usize = 8;

/// Number of lines of a diff that are shown.
const LINES: usize = 20;

/// Longest line, in characters; no line from a kernel comes close.
const WIDTH: usize = 2000;

const HEADING: Style = Style::new().bold();
const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();

/// Formats a comparison; `verbose` names every cell.
#[must_use]
pub fn text(comparison: &Comparison, verbose: bool) -> Text {
    let mut out = Writer { out: Text::new(), verbose };
    out.side("A", &comparison.a);
    out.side("B", &comparison.b);
    for note in &comparison.notes {
        out.line(0, &format!("note: {note}"));
    }
    out.reasons(comparison);
    let mut last = None;
    for (number, group) in comparison.groups.iter().enumerate() {
        if last != Some((group.is_expected(), group.kind)) {
            last = Some((group.is_expected(), group.kind));
            out.heading(group, &comparison.groups);
        }
        out.group(number + 1, group, comparison);
    }
    out.out.end();
    out.exclusions("could not be compared", &comparison.not_judged);
    out.exclusions("skipped", &comparison.skipped);
    out.exclusions("not compared", &comparison.changed_cases);
    out.exclusions("not on both sides", &comparison.only);
    out.end(comparison);
    out.out
}

/// Writes the text.
pub(super) struct Writer {
    pub(super) out: Text,
    pub(super) verbose: bool,
}

impl Writer {
    /// Writes a line.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        line!(self.out, "{:indent$}{}", "", one_line(text));
    }

    fn side(&mut self, letter: &str, side: &SideSummary) {
        let policies = match side.policies.as_slice() {
            [] => String::new(),
            names => format!(", policy {}", names.join(", ")),
        };
        self.line(0, &format!("{letter}: {}{policies}; {}", side.kernel, side.from));
    }

    fn heading(&mut self, group: &Group, groups: &[Group]) {
        let here = groups
            .iter()
            .filter(|other| (other.is_expected(), other.kind) == (group.is_expected(), group.kind));
        let count = here.map(|group| group.cells.count).sum::<usize>();
        let expected = if group.is_expected() { ", as the cases expect" } else { "" };
        let words = heading(group.kind);
        let words = format!("{words}{expected}: {}", counted(count, "cell"));
        self.out.end().paint(HEADING, words).end();
    }

    pub(super) fn group(&mut self, number: usize, group: &Group, comparison: &Comparison) {
        let verdicts = match (group.verdict_a, group.verdict_b) {
            (a, b) if a == b => format!("{a} on both"),
            (a, b) => format!("{a} on A, {b} on B"),
        };
        self.out.end();
        for (at, sentence) in group.guess.iter().enumerate() {
            match at {
                0 => self.line(1, &format!("{number:2}. {sentence}")),
                _ => self.line(5, sentence),
            }
        }
        for because in &group.because {
            self.because(because, comparison);
        }
        self.line(5, &format!("{}, {verdicts}:", counted(group.cells.count, "cell")));
        self.cells(7, &group.cells);
        if !group.diff.is_empty() && group.cells.count > 1 {
            self.line(5, &format!("such as {}", group.example));
        }
        let shown =
            if group.diff.len() > LINES + 1 && !self.verbose { LINES } else { group.diff.len() };
        for line in &group.diff[..shown] {
            let style = match line.as_bytes().first() {
                Some(b'-') => REMOVED,
                Some(b'+') => ADDED,
                _ => Style::new(),
            };
            self.out.span("       ").paint(style, one_line(line)).end();
        }
        if shown < group.diff.len() {
            self.line(8, &format!("and {} more lines", group.diff.len() - shown));
        }
    }

    fn because(&mut self, because: &CaseReason, comparison: &Comparison) {
        let words = only(because, comparison);
        self.line(5, &words);
    }

    /// Writes what the cases expect of the two kernels: each reason once, with its number of cells.
    fn reasons(&mut self, comparison: &Comparison) {
        let mut counts: BTreeMap<&CaseReason, usize> = BTreeMap::new();
        for group in comparison.groups.iter().filter(|group| group.is_expected()) {
            for because in &group.because {
                *counts.entry(because).or_default() += group.cells.count;
            }
        }
        if counts.is_empty() {
            return;
        }
        self.line(0, "the cases expect these differences:");
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (because, count) in counts {
            let cells = inflected(count, "cell ", "cells");
            self.line(2, &format!("{count:4} {cells} {}", only(because, comparison)));
        }
    }

    pub(super) fn cells(&mut self, indent: usize, cells: &Cells) {
        if self.verbose {
            cells.names.iter().for_each(|name| self.line(indent, name));
            return;
        }
        let shown = if cells.globs.len() > GLOBS + 1 { GLOBS } else { cells.globs.len() };
        for (glob, count) in &cells.globs[..shown] {
            match count {
                1 => self.line(indent, glob),
                count => self.line(indent, &format!("{glob}  ({count})")),
            }
        }
        let rest: usize = cells.globs[shown..].iter().map(|(_, count)| count).sum();
        if rest > 0 {
            self.line(indent, &format!("and {rest} more (--verbose names them)"));
        }
    }

    fn exclusions(&mut self, heading: &str, all: &[Exclusion]) {
        for exclusion in all {
            let count = counted(exclusion.cells.count, "cell");
            self.line(0, &format!("{heading}: {count}, {}", exclusion.why));
            self.cells(2, &exclusion.cells);
        }
    }

    fn end(&mut self, comparison: &Comparison) {
        let of =
            |all: &[Exclusion]| all.iter().map(|exclusion| exclusion.cells.count).sum::<usize>();
        let mut parts = vec![format!("{} the same", comparison.same)];
        if comparison.different() > 0 {
            let ways = counted(comparison.groups.len(), "way");
            parts.push(format!("{} different in {ways}", comparison.different()));
        }
        for (count, words) in [
            (of(&comparison.skipped), "skipped"),
            (of(&comparison.changed_cases), "of changed cases"),
            (of(&comparison.not_judged), "not judged"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {words}"));
            }
        }
        let (a, b) = (&comparison.a.version, &comparison.b.version);
        let parts = parts.join(", ");
        self.line(
            0,
            &format!("Linux {a} and {b}: {} on both, {parts}", counted(comparison.common, "cell")),
        );
    }
}

/// A text as one line of limited length.
fn one_line(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A reason, with the kernel for which it holds.
fn only(because: &CaseReason, comparison: &Comparison) -> String {
    let (a, b) = (&comparison.a, &comparison.b);
    let (letter, side) = if because.on_b { ("B", b) } else { ("A", a) };
    // Two builds of one version are distinguished by their letters.
    match a.version == b.version {
        true => format!("only on {letter}: {}", because.reason),
        false => format!("only in {}: {}", side.version, because.reason),
    }
}

fn heading(kind: DifferenceKind) -> &'static str {
    match kind {
        DifferenceKind::Fault => "a kernel died or reported a fault",
        DifferenceKind::Result => "a syscall returns something else",
        DifferenceKind::ExtraCheck => "an extra check",
        DifferenceKind::MissingCheck => "a missing check",
        DifferenceKind::NewRecord => "a new record",
        DifferenceKind::LostRecord => "a lost record",
        DifferenceKind::Order => "order only",
        DifferenceKind::Answer => "a check has another answer",
        DifferenceKind::Number => "a check is made more or less often",
        DifferenceKind::Other => "something else",
        DifferenceKind::Flaky => "flaky on one side",
        DifferenceKind::Verdict => "the verdict only",
    }
}
