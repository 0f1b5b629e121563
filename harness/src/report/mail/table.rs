//! A table of the cells that passed, by area of cases, mode and grant.

use std::collections::BTreeMap;

use perfsec_wire::Mode;

use super::page::{Page, WIDTH};
use super::plain;
use crate::grant::Grant;
use crate::judge::Verdict;
use crate::record::{CellResult, Run};

/// The first columns, in this order; further grants are ordered by their number of cells.
const FIRST: [&str; 4] = ["none", "perfmon", "sys_admin", "perfmon+sys_admin"];

/// Longest name of an area that is shown in full.
const AREA: usize = 12;

/// Cells passed and cells that ran.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    passed: usize,
    ran: usize,
}

type TableRow = (String, Mode);

/// Writes the table, without skipped cells and lanes in which nothing could be tested.
pub(super) fn write(run: &Run, kernels: usize, page: &mut Page) {
    let ran: Vec<&CellResult> = run
        .lanes
        .iter()
        .filter(|lane| lane.refused().is_none())
        .flat_map(|lane| &lane.cells)
        .filter(|cell| cell.judgement.verdict != Verdict::Skip)
        .collect();
    if ran.is_empty() {
        return;
    }
    let together = if kernels > 1 { ", all kernels together" } else { "" };
    page.heading(&format!("Cells passed/run by case area, mode and grant{together}:"));
    for line in lines(&ran) {
        page.line(&line);
    }
}

fn lines(cells: &[&CellResult]) -> Vec<String> {
    let mut shares: BTreeMap<TableRow, BTreeMap<Grant, Share>> = BTreeMap::new();
    for cell in cells {
        let row = shares.entry((area(&cell.case), cell.at.mode)).or_default();
        let share = row.entry(cell.at.grant).or_default();
        share.ran += 1;
        share.passed += usize::from(cell.judgement.verdict == Verdict::Pass);
    }
    let names = shares.keys().map(|(area, _)| area.len());
    let left = 2 + names.max().unwrap_or(0) + 2 + "permissive".len();
    let columns = Columns::choose(&shares, left);
    let mut lines = vec![columns.head(left)];
    let mut before = None;
    for ((area, mode), row) in &shares {
        let shown = if before.replace(area) == Some(area) { "" } else { area.as_str() };
        let width = left - 2 - 2 - "permissive".len();
        lines.push(format!("  {shown:<width$}  {:<10}{}", mode.to_string(), columns.row(row)));
    }
    lines
}

/// The grants that have a column of their own, with its width; the others share the last column.
struct Columns {
    own: Vec<(Grant, usize)>,
    others: Option<usize>,
}

impl Columns {
    fn choose(shares: &BTreeMap<TableRow, BTreeMap<Grant, Share>>, left: usize) -> Self {
        let mut totals: BTreeMap<Grant, usize> = BTreeMap::new();
        for (grant, share) in shares.values().flatten() {
            *totals.entry(*grant).or_default() += share.ran;
        }
        let mut grants: Vec<(Grant, usize)> = totals.into_iter().collect();
        let rank = |grant: &Grant| {
            let name = grant.to_string();
            FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len())
        };
        grants.sort_by_key(|(grant, total)| (rank(grant), std::cmp::Reverse(*total)));
        let width = |grant: &Grant| {
            let shown = shares.values().filter_map(|row| row.get(grant)).map(|share| share.width());
            2 + shown.max().unwrap_or(0).max(grant.to_string().len())
        };
        let widths: Vec<(Grant, usize)> =
            grants.iter().map(|(grant, _)| (*grant, width(grant))).collect();
        if left + widths.iter().map(|(_, width)| width).sum::<usize>() <= WIDTH {
            return Self { own: widths, others: None };
        }
        // The width of the total fits every sum that the column will show.
        let most = Share { passed: 0, ran: grants.iter().map(|(_, total)| total).sum() };
        let others = 2 + most.width().max("others".len());
        let mut room = WIDTH.saturating_sub(left + others);
        let own = widths.into_iter().take_while(|(_, width)| {
            let fits = *width <= room;
            room = room.saturating_sub(*width);
            fits
        });
        Self { own: own.collect(), others: Some(others) }
    }

    fn head(&self, left: usize) -> String {
        let own = self.own.iter().map(|(grant, width)| format!("{:>width$}", grant.to_string()));
        let others = self.others.map(|width| format!("{:>width$}", "others"));
        format!("{:left$}{}", "", own.chain(others).collect::<String>())
    }

    fn row(&self, row: &BTreeMap<Grant, Share>) -> String {
        let own = self.own.iter().map(|(grant, width)| {
            let share = row.get(grant).copied().unwrap_or_default();
            format!("{:>width$}", share.to_string())
        });
        let rest = row.iter().filter(|(grant, _)| self.own.iter().all(|(own, _)| own != *grant));
        let rest = rest.fold(Share::default(), |sum, (_, share)| Share {
            passed: sum.passed + share.passed,
            ran: sum.ran + share.ran,
        });
        let others = self.others.map(|width| format!("{:>width$}", rest.to_string()));
        own.chain(others).collect()
    }
}

impl Share {
    fn width(self) -> usize {
        Self { passed: self.ran, ..self }.to_string().len()
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ran {
            0 => f.write_str("-"),
            ran => write!(f, "{}/{ran}", self.passed),
        }
    }
}

/// The first part of a case's name.
fn area(case: &str) -> String {
    let mut area = plain::prose(case.split('/').next().unwrap_or_default());
    area.truncate(AREA);
    area
}
