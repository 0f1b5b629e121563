//! The matrix: areas, cases and cells against kernels.

use maud::{Markup, html};

use super::outcome::{badge, class, id, outcome};
use super::table::{Area, CaseSection, CellRow, Column, Matrix};
use super::text::{anchor, clipped, fragment, link};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{Run, VerdictCounts};

/// Number of bad cases that are initially open; with everything open, a reader finds nothing.
const OPEN_CASES: usize = 12;

/// Number of outcomes of an open case that are open.
const OPEN_OUTCOMES: usize = 3;

pub(super) fn matrix(run: &Run, table: &Matrix) -> Markup {
    let mut open = OPEN_CASES;
    html! {
        section aria-labelledby="_cells" {
            h2 #_cells { "Cells" }
            @if table.areas.is_empty() {
                p { "No cell has a result." }
            } @else {
                (filter(&run.counts(), table))
                div.matrix.wide[table.columns.len() > 3] {
                    div.line.heads aria-hidden="true" {
                        span.name { "area, case, cell" }
                        @for column in &table.columns { span.k { (label(column)) } }
                    }
                    @for each in &table.areas { (area(each, &table.columns, &mut open)) }
                }
                p #_nothing hidden { "No cell matches the filter." }
            }
        }
    }
}

fn label(column: &Column) -> Markup {
    html! { b { (column.kernel) } " " small { (column.policy) } }
}

/// The filter; it is hidden until the script shows it, without which it does not work.
fn filter(counts: &VerdictCounts, table: &Matrix) -> Markup {
    html! {
        noscript {
            p.note { "Filter and search need scripting. The page is complete without it." }
        }
        form #_filter role="search" aria-label="Cells" hidden {
            label { "Search " input type="search" name="q" autocomplete="off" spellcheck="false"
                placeholder="cell, title, EACCES, avc denied …"; }
            fieldset {
                legend { "Verdict" }
                @for (verdict, count) in counts.iter() {
                    label.chip {
                        input type="checkbox" name="verdict" value=(class(verdict));
                        " " (badge(verdict)) " " (count)
                    }
                }
            }
            label { "Area " select name="area" {
                option value="" { "all" }
                @for area in &table.areas { option value=(area.name) { (area.name) } }
            } }
            @if table.columns.len() > 1 {
                label { "Kernel " select name="kernel" {
                    option value="" { "all" }
                    @for (at, column) in table.columns.iter().enumerate() {
                        option value=(at) { (column.kernel) ", " (column.policy) }
                    }
                } }
            }
            span.buttons {
                button type="button" name="open" { "Open all" }
                button type="button" name="close" { "Close all" }
                button type="reset" { "Clear filter" }
            }
            output name="shown" aria-live="polite" {}
        }
    }
}

fn area(area: &Area, columns: &[Column], open: &mut usize) -> Markup {
    html! {
        // With the slash it cannot be the name of a case.
        details.area id={ (anchor(area.name)) "/" } data-area=(area.name) open[area.is_bad()] {
            summary.line {
                span.name { b { (area.name) } " " small { (counted(area.cases.len(), "case")) } }
                @for (at, column) in columns.iter().enumerate() {
                    (numbers(column, columns.len(), &area.counts(at)))
                }
            }
            @for each in &area.cases { (case(each, columns, open)) }
        }
    }
}

fn numbers(column: &Column, columns: usize, counts: &VerdictCounts) -> Markup {
    html! {
        span.k {
            @if columns > 1 { span.vh { ", " (column.kernel) " " (column.policy) ": " } }
            @for (verdict, count) in counts.iter() {
                span class={ "n " (class(verdict)) } { (count) " " (verdict) } " "
            }
            @if counts.total() == 0 { span.none { "–" } }
        }
    }
}

fn case(case: &CaseSection, columns: &[Column], open: &mut usize) -> Markup {
    let first = case.first;
    let opened = case.is_bad() && *open > 0;
    if opened {
        *open -= 1;
    }
    let (plain, notable): (Vec<_>, Vec<_>) =
        case.outcomes.iter().partition(|outcome| outcome.verdict() == Verdict::Pass);
    html! {
        details.case id=(anchor(&first.case)) open[opened] {
            summary.line {
                span.name { b { (first.case) } " " span.title { (clipped(&first.title)) } }
                @for (at, column) in columns.iter().enumerate() {
                    (numbers(column, columns.len(), &case.counts(at)))
                }
            }
            div.body {
                p.source {
                    code { (first.path.display()) }
                    @for source in &first.source { " · " (link(source)) }
                }
                @for (at, each) in notable.iter().enumerate() {
                    @let open = each.verdict().is_bad() && opened && at < OPEN_OUTCOMES;
                    (outcome(each, columns, open))
                }
                table {
                    thead {
                        tr {
                            th scope="col" { "cell" }
                            @for column in columns { th.k scope="col" { (label(column)) } }
                        }
                    }
                    tbody { @for each in &case.rows { (row(each, case)) } }
                }
                @if !plain.is_empty() {
                    details.plain {
                        summary {
                            "Observed in passing cells: " (counted(plain.len(), "transcript"))
                        }
                        @for each in &plain { (outcome(each, columns, plain.len() == 1)) }
                    }
                }
            }
        }
    }
}

fn row(row: &CellRow, case: &CaseSection) -> Markup {
    let id_of_row = anchor(&row.cell.name);
    html! {
        tr id=(id_of_row) {
            th scope="row" { a href=(fragment(&id_of_row)) { (row.cell.at) } }
            @for seen in &row.seen {
                td {
                    @for (place, (at, times)) in seen.iter().enumerate() {
                        @let outcome = &case.outcomes[*at];
                        @let verdict = outcome.verdict();
                        @if place > 0 { " " }
                        a class=(class(verdict)) href={ "#" (id(outcome)) } { (verdict) }
                        @if *times > 1 { " ×" (times) }
                    }
                    @if seen.is_empty() { span.none title="no result" { "–" } }
                }
            }
        }
    }
}
