//! The judge's own summary, for a terminal or a log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use perfsec_wire::Boot;

use super::difference;
use crate::judge::Verdict;
use crate::record::{CellResult, Death, Event, LaneStarted};

/// Folds events and writes the summary when they are over.
#[derive(Debug, Default)]
pub struct Text {
    lanes: Vec<Lane>,
    interrupted: bool,
}

#[derive(Debug)]
struct Lane {
    started: LaneStarted,
    cells: Vec<CellResult>,
    deaths: Vec<Death>,
    refused: Option<String>,
    boots: usize,
    millis: u64,
}

/// How many lines of a dead guest's console are shown; the run record has the rest.
const CONSOLE_LINES: usize = 30;

/// How many cells are named that were not judged for the same reason; the run record has the rest.
const UNJUDGED_NAMES: usize = 5;

impl Text {
    /// Takes in an event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Lane(started) => self.lanes.push(Lane {
                started: started.clone(),
                cells: Vec::new(),
                deaths: Vec::new(),
                refused: None,
                boots: 0,
                millis: 0,
            }),
            Event::Cell(cell) => {
                if let Some(lane) = self.lane(cell.lane) {
                    lane.cells.push((**cell).clone());
                }
            }
            Event::Death(death) => {
                if let Some(lane) = self.lane(death.lane) {
                    lane.deaths.push(death.clone());
                }
            }
            Event::LaneEnd(end) => {
                if let Some(lane) = self.lane(end.lane) {
                    lane.refused = end.refused.as_ref().map(|refused| refused.reason.clone());
                    (lane.boots, lane.millis) = (end.boots, end.millis);
                }
            }
            Event::End(end) => self.interrupted = end.interrupted,
            Event::Run(_) | Event::Ready(_) | Event::Coverage(_) => {}
        }
    }

    fn lane(&mut self, number: usize) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.started.lane == number)
    }

    /// The summary: for each lane what did not pass, then what it counts; with ANSI styles.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut out = String::new();
        for lane in &self.lanes {
            lane.write(&mut out);
        }
        let mut total = Counts::default();
        self.lanes.iter().flat_map(|lane| &lane.cells).for_each(|cell| total.add(cell));
        if self.lanes.len() > 1 {
            let _ = writeln!(out, "in all: {total}");
        }
        if self.interrupted {
            let _ = writeln!(out, "the run was interrupted");
        }
        out
    }
}

impl Lane {
    fn write(&self, out: &mut String) {
        let kernel = &self.started.kernel;
        for death in &self.deaths {
            let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
            let _ = writeln!(out, "{BAD}died{BAD:#}{cell}: {} ({})", death.cause, death.end);
            let lines: Vec<_> = death.console.lines().collect();
            for line in &lines[lines.len().saturating_sub(CONSOLE_LINES)..] {
                let _ = writeln!(out, "  | {}", printable(line));
            }
        }
        if let Some(reason) = &self.refused {
            let _ = writeln!(out, "{BAD}nothing could be tested{BAD:#}: {reason}");
        }
        for (cells, verdict) in self.groups() {
            let Some(first) = cells.first() else { continue };
            // It has been said, and what the cells are about is beside the point.
            if !verdict.judged() && self.refused.is_some() && first.judgement.reason == self.refused
            {
                continue;
            }
            let _ = writeln!(out, "{}{verdict}{:#} {}", style(verdict), style(verdict), first.name);
            if let [_, others @ ..] = cells.as_slice() {
                let shown = if verdict.judged() { others.len() } else { UNJUDGED_NAMES - 1 };
                for other in others.iter().take(shown) {
                    let _ = writeln!(out, "      {}", other.name);
                }
                if others.len() > shown {
                    let _ = writeln!(out, "      and {} more", others.len() - shown);
                }
            }
            let _ = writeln!(out, "  {} ({}:{})", first.title, first.path.display(), first.line);
            let judgement = &first.judgement;
            if let Some(reason) = &judgement.reason {
                let _ = writeln!(out, "  {}", printable(reason));
            }
            if judgement.verdict == Verdict::Fail && !judgement.observed.is_empty() {
                let text = difference(&judgement.expected, &judgement.observed, &first.path);
                for line in text.lines() {
                    let _ = writeln!(out, "  {line}");
                }
            }
            for note in &judgement.notes {
                let _ = writeln!(out, "  note: {}", printable(note));
            }
            out.push('\n');
        }
        let skipped = self.reasons(Verdict::Skip);
        for (reason, count) in skipped {
            let _ = writeln!(out, "SKIP {count} cells: {reason}");
        }
        let unseen: BTreeMap<_, _> = self
            .cells
            .iter()
            .filter_map(|cell| cell.observation.as_ref()?.caps_unseen.as_deref())
            .fold(BTreeMap::new(), |mut counts, why| {
                *counts.entry(why).or_insert(0) += 1;
                counts
            });
        for (why, count) in unseen {
            let _ = writeln!(out, "capability checks of {count} cells were not compared: {why}");
        }
        let mut counts = Counts::default();
        self.cells.iter().for_each(|cell| counts.add(cell));
        let boots =
            if self.boots == 1 { "1 boot".to_owned() } else { format!("{} boots", self.boots) };
        let seconds = self.millis as f64 / 1000.0;
        let _ = writeln!(
            out,
            "Linux {} ({}), {}: {counts} in {seconds:.1} s, {boots}",
            kernel.version,
            kernel.origin,
            world(&self.started)
        );
    }

    /// Bad cells, those that differ in the same way together.
    fn groups(&self) -> Vec<(Vec<&CellResult>, Verdict)> {
        let mut groups: Vec<(Vec<&CellResult>, Verdict)> = Vec::new();
        let alike = |a: &CellResult, b: &CellResult| {
            let (a, b) = (&a.judgement, &b.judgement);
            let same_expectation = a.expected == b.expected || a.observed.is_empty();
            (a.verdict, &a.reason, &a.observed) == (b.verdict, &b.reason, &b.observed)
                && same_expectation
        };
        for cell in self.cells.iter().filter(|cell| cell.judgement.verdict.is_bad()) {
            match groups
                .iter_mut()
                .find(|(cells, _)| cells.first().is_some_and(|first| alike(first, cell)))
            {
                Some((cells, _)) => cells.push(cell),
                None => groups.push((vec![cell], cell.judgement.verdict)),
            }
        }
        groups
    }

    fn reasons(&self, verdict: Verdict) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for cell in self.cells.iter().filter(|cell| cell.judgement.verdict == verdict) {
            *reasons.entry(cell.judgement.reason.as_deref().unwrap_or("no reason")).or_insert(0) +=
                1;
        }
        reasons
    }
}

/// Number of cells by verdict.
#[derive(Clone, Debug, Default)]
struct Counts(BTreeMap<Verdict, usize>);

impl Counts {
    fn add(&mut self, cell: &CellResult) {
        *self.0.entry(cell.judgement.verdict).or_insert(0) += 1;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no cell");
        }
        let words: Vec<_> = Verdict::ALL
            .into_iter()
            .filter_map(|verdict| {
                let count = self.0.get(&verdict)?;
                Some(format!("{0}{count} {verdict}{0:#}", style(verdict)))
            })
            .collect();
        f.write_str(&words.join(", "))
    }
}

/// What a lane's kernel was booted as, in a few words.
pub(super) fn world(lane: &LaneStarted) -> String {
    match lane.boot {
        Boot::Selinux => format!("policy {}", lane.policy),
        Boot::NoPolicy => "no policy loaded".to_owned(),
        Boot::NoSelinux => "without SELinux".to_owned(),
        Boot::NoAudit => format!("policy {}, audit=0", lane.policy),
        Boot::AuditUnset => format!("policy {}, audit never enabled", lane.policy),
    }
}

const BAD: Style = AnsiColor::Red.on_default().bold();

/// The colour of a verdict.
pub(super) fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass | Verdict::Xpass => AnsiColor::Green.on_default(),
        Verdict::Fail => BAD,
        Verdict::Error | Verdict::Miss => AnsiColor::Magenta.on_default(),
        Verdict::Xfail | Verdict::Skip => AnsiColor::Yellow.on_default(),
    }
}

/// Text from a guest, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}
