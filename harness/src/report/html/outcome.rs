//! What came of cells, told in full: why, what differs and what was seen.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::difference::{Side, lines};
use super::table::{Column, Outcome, met};
use super::text::{anchor, clipped, fragment, link, many};
use crate::judge::Verdict;
use crate::record::CellResult;

/// How many notes are shown without being asked for: a policy that lacks classes makes a hundred.
const NOTES: usize = 8;

/// The `id` of an outcome. What is ours begins with `_`, which no case's name does.
pub(super) fn id(outcome: &Outcome) -> String {
    format!("_o{}", outcome.number)
}

/// A verdict's class in the style sheet.
pub(super) fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Xfail => "xfail",
        Verdict::Xpass => "xpass",
        Verdict::Skip => "skip",
        Verdict::Error => "error",
        Verdict::Miss => "miss",
    }
}

/// A verdict as a word in its colour.
pub(super) fn badge(verdict: Verdict) -> Markup {
    html! { b class={ "v " (class(verdict)) } { (verdict) } }
}

/// An outcome that can be opened. The `id` is inside, so that a browser opens it on its own.
pub(super) fn outcome(outcome: &Outcome, columns: &[Column], open: bool) -> Markup {
    let judgement = &outcome.first.judgement;
    let hint = judgement.reason.as_deref().or(judgement.observed.first().map(String::as_str));
    html! {
        details.outcome open[open] {
            summary {
                (badge(outcome.verdict())) " "
                span.n { (many(outcome.cells.len(), "cell")) } " "
                span.hint { (hint.map(clipped).unwrap_or_default()) }
            }
            div.told id=(id(outcome)) {
                (told(outcome.first))
                @if outcome.verdict() != Verdict::Pass { (cells(outcome, columns)) }
            }
        }
    }
}

fn told(cell: &CellResult) -> Markup {
    let judgement = &cell.judgement;
    html! {
        @if let Some(reason) = &judgement.reason { p.reason { (clipped(reason)) } }
        @if let Some(known) = &judgement.known {
            p {
                "Known difference " b { (known.name) }
                @if judgement.reason.as_ref() != Some(&known.reason) { ": " (clipped(&known.reason)) }
                @if let Some(target) = &known.link { " (" (link(target)) ")" }
            }
        }
        (transcript(cell))
        @if !judgement.notes.is_empty() { (notes(&judgement.notes)) }
    }
}

fn transcript(cell: &CellResult) -> Markup {
    let judgement = &cell.judgement;
    let (expected, observed) = (&judgement.expected, &judgement.observed);
    let (path, line) = (cell.path.display(), cell.line);
    html! {
        @if observed.is_empty() && expected.is_empty() {
        } @else if observed.is_empty() {
            p.legend { "Nothing was seen. What was expected, at " code { (path) ":" (line) } ":" }
            pre tabindex="0" { @for line in expected { (clipped(&line.text)) "\n" } }
        } @else if met(cell) {
            p.legend { "What was seen is what is expected at " code { (path) ":" (line) } ":" }
            pre tabindex="0" { @for line in observed { (clipped(line)) "\n" } }
        } @else if expected.is_empty() {
            p.legend { "What was seen:" }
            pre tabindex="0" { @for line in observed { (clipped(line)) "\n" } }
        } @else {
            p.legend {
                del { "- expected" } ", with its line in " code { (path) } "; " ins { "+ observed" }
            }
            (diff(cell))
        }
    }
}

fn diff(cell: &CellResult) -> Markup {
    let judgement = &cell.judgement;
    html! {
        pre.diff tabindex="0" {
            @for line in lines(&judgement.expected, &judgement.observed) {
                @let text = html! {
                    (line.side.sign())
                    @for (emphasis, part) in &line.parts {
                        @if *emphasis { b { (clipped(part)) } } @else { (clipped(part)) }
                    }
                };
                @match line.side {
                    Side::Both => (text),
                    Side::Expected => {
                        del { (text) }
                        @if let Some(number) = line.at { "  " i { "# line " (number) } }
                    }
                    Side::Observed => ins { (text) },
                }
                "\n"
            }
        }
    }
}

fn notes(notes: &[String]) -> Markup {
    let list = html! { ul.notes { @for note in notes { li { (clipped(note)) } } } };
    html! {
        @if notes.len() > NOTES {
            details { summary { (many(notes.len(), "note")) } (list) }
        } @else {
            (list)
        }
    }
}

/// The cells of an outcome, each with the kernels on which it came out so.
fn cells(outcome: &Outcome, columns: &[Column]) -> Markup {
    let mut kernels: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (column, cell) in &outcome.cells {
        let seen = kernels.entry((&cell.at, &cell.name)).or_default();
        if !seen.contains(column) {
            seen.push(*column);
        }
    }
    html! {
        p.legend { "So in:" }
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
