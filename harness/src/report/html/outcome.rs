//! The details of an outcome: reason, difference, observation, notes and cells.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::attempts::{heading, repeats};
use super::super::difference::{DiffSide, lines};
use super::table::{Column, DistinctOutcome};
use super::text::{LONG, anchor, clipped, fragment, link};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::CellResult;
use crate::transcript::{FittedTranscript, Transcript};

/// The `id` of an outcome. perfsec's own ids begin with `_`, which no name of a case does.
pub(super) fn id(outcome: &DistinctOutcome) -> String {
    format!("_o{}", outcome.number)
}

/// The class of a verdict in the style sheet.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Xfail => "xfail",
        Verdict::Xpass => "xpass",
        Verdict::Skip => "skip",
        Verdict::Flaky => "flaky",
        Verdict::Error => "error",
        Verdict::Miss => "miss",
    }
}

/// A verdict, in its colour.
pub(super) fn badge(verdict: Verdict) -> Markup {
    html! { b class={ "v " (class(verdict)) } { (verdict) } }
}

/// An outcome that can be opened. The `id` is inside, so that a browser opens it for a link.
pub(super) fn outcome(outcome: &DistinctOutcome, columns: &[Column], open: bool) -> Markup {
    let judgement = &outcome.first.judgement;
    let hint = judgement.reason.clone().or_else(|| judgement.observed.lines().next());
    html! {
        details.outcome open[open] {
            summary {
                // Passing outcomes are below a line that says so.
                @if outcome.verdict() != Verdict::Pass { (badge(outcome.verdict())) " " }
                span.n { (counted(outcome.cells.len(), "cell")) } " "
                span.hint { (hint.as_deref().map(clipped).unwrap_or_default()) }
            }
            div.detail id=(id(outcome)) {
                (details(outcome))
                @if outcome.verdict() != Verdict::Pass { (cells(outcome, columns)) }
            }
        }
    }
}

fn details(outcome: &DistinctOutcome) -> Markup {
    let judgement = &outcome.first.judgement;
    html! {
        @if let Some(reason) = &judgement.reason { p.reason { (clipped(reason)) } }
        @if let Some(known) = &judgement.known {
            p {
                "Known difference " b { (known.name) }
                @if judgement.reason.as_ref() != Some(&known.reason) {
                    ": " (clipped(&known.reason))
                }
                @if let Some(target) = &known.link { " (" (link(target)) ")" }
            }
        }
        @if judgement.attempts.is_empty() {
            (transcript(outcome.first, &judgement.observed))
        } @else {
            (attempts(outcome.first))
        }
        (notes(&judgement.notes, outcome.noted))
    }
}

/// The attempts at a flaky cell, each transcript once.
fn attempts(cell: &CellResult) -> Markup {
    let judgement = &cell.judgement;
    let attempts = &judgement.attempts;
    html! {
        @for (at, attempt) in attempts.iter().enumerate() {
            p.legend { (clipped(&heading(attempts, at))) }
            @if repeats(attempts, at).is_none() {
                (transcript(cell, &attempt.observed))
            }
        }
    }
}

fn transcript(cell: &CellResult, observed: &Transcript) -> Markup {
    let expected = &cell.judgement.expected;
    let seen: Vec<_> = observed.lines().collect();
    let place = html! { code { (cell.path.display()) ":" (cell.line) } };
    html! {
        @if expected.transcript() == observed {
            @if !observed.is_empty() {
                p.legend { "As expected at " (place) ":" }
                (verbatim(&seen))
            }
        } @else if observed.is_empty() {
            p.legend { "Nothing was observed. Expected at " (place) ":" }
            (verbatim(&expected.transcript().lines().collect::<Vec<_>>()))
        } @else if expected.is_empty() {
            p.legend { "Observed:" }
            (verbatim(&seen))
        } @else {
            p.legend {
                del { "- expected" } ", with its line in " code { (cell.path.display()) } "; "
                ins { "+ observed" }
            }
            (diff(expected, observed))
        }
    }
}

/// Preformatted lines. If they need scrolling, they must be reachable by keyboard.
pub(super) fn verbatim<T: AsRef<str>>(lines: &[T]) -> Markup {
    let scrolls = lines.len() > 30 || lines.iter().any(|line| line.as_ref().len() > 60);
    html! {
        pre tabindex=[scrolls.then_some("0")] {
            @for line in lines { (clipped(line.as_ref())) "\n" }
        }
    }
}

fn diff(expected: &FittedTranscript, observed: &Transcript) -> Markup {
    html! {
        pre.diff tabindex="0" {
            @for line in lines(expected, observed) {
                @let text = html! {
                    (line.side.sign())
                    @for (emphasis, part) in &line.parts {
                        @if *emphasis { b { (clipped(part)) } } @else { (clipped(part)) }
                    }
                };
                @match line.side {
                    DiffSide::Both => (text),
                    DiffSide::Expected => {
                        del { (text) }
                        @if let Some(number) = line.at { "  " i { "# line " (number) } }
                    }
                    DiffSide::Observed => ins { (text) },
                }
                "\n"
            }
        }
    }
}

fn notes(notes: &[String], noted: Option<usize>) -> Markup {
    let list = || html! { ul.notes { @for note in notes { li { (clipped(note)) } } } };
    let count = || counted(notes.len(), "note");
    html! {
        @match noted {
            Some(number) => p.legend { a href={ "#_o" (number) } { (count()) ", shown above" } },
            None if notes.len() > LONG => details { summary { (count()) } (list()) },
            None if !notes.is_empty() => (list()),
            None => {}
        }
    }
}

/// The cells of an outcome, each with the kernels on which it has this outcome.
fn cells(outcome: &DistinctOutcome, columns: &[Column]) -> Markup {
    let mut kernels: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (column, cell) in &outcome.cells {
        let seen = kernels.entry((&cell.at, &cell.name)).or_default();
        if !seen.contains(column) {
            seen.push(*column);
        }
    }
    html! {
        p.legend { "Cells:" }
        ul.cells {
            @for ((at, name), seen) in &kernels {
                li {
                    a href=(fragment(&anchor(name))) { (at) }
                    @if columns.len() > 1 {
                        " on "
                        @for (place, column) in seen.iter().enumerate() {
                            @if place > 0 { ", " }
                            (columns[*column].kernel)
                        }
                    }
                }
            }
        }
    }
}
