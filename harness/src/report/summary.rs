//! The judge's own summary, for a terminal or a log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use perfsec_wire::Boot;

use super::difference;
use crate::judge::Verdict;
use crate::printable::{printable, printable_line};
use crate::record::{CellResult, LaneRun, LaneStarted, Run, VerdictCounts};

/// How many lines of a dead guest's console are shown; the run record has the rest.
pub(super) const CONSOLE_LINES: usize = 30;

/// How many cells are named that were not judged for the same reason; the run record has the rest.
const UNJUDGED_NAMES: usize = 5;

/// For each lane what did not pass, then what it counts; with ANSI styles.
#[must_use]
pub fn summary(run: &Run) -> String {
    let mut out = String::new();
    for lane in &run.lanes {
        write(lane, &mut out);
    }
    if run.lanes.len() > 1 {
        let _ = writeln!(out, "in all: {}", styled(&run.counts()));
    }
    match &run.end {
        Some(end) if end.interrupted => out.push_str("the run was interrupted\n"),
        Some(_) if run.unseen() > 0 => {
            let _ = writeln!(out, "{} cells have no result", run.unseen());
        }
        Some(_) => {}
        None => {
            let _ = writeln!(out, "the run did not end: {} cells have no result", run.unseen());
        }
    }
    out
}

fn write(lane: &LaneRun, out: &mut String) {
    let kernel = &lane.started.kernel;
    for death in &lane.deaths {
        let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
        let _ = writeln!(out, "{BAD}died{BAD:#}{cell}: {} ({})", death.cause, death.end);
        let lines: Vec<_> = death.console.lines().collect();
        for line in &lines[lines.len().saturating_sub(CONSOLE_LINES)..] {
            let _ = writeln!(out, "  | {}", printable(line.trim_end()));
        }
    }
    if let Some(reason) = lane.refused() {
        let _ = writeln!(out, "{BAD}nothing could be tested{BAD:#}: {reason}");
    }
    for (cells, verdict) in groups(lane) {
        let Some(first) = cells.first() else { continue };
        // It has been said, and what the cells are about is beside the point.
        if !verdict.judged()
            && lane.refused().is_some()
            && first.judgement.reason.as_deref() == lane.refused()
        {
            continue;
        }
        let _ = writeln!(
            out,
            "{}{verdict}{:#} {}",
            style(verdict),
            style(verdict),
            printable_line(&first.name)
        );
        if let [_, others @ ..] = cells.as_slice() {
            let shown = if verdict.judged() { others.len() } else { UNJUDGED_NAMES - 1 };
            for other in others.iter().take(shown) {
                let _ = writeln!(out, "      {}", printable_line(&other.name));
            }
            if others.len() > shown {
                let _ = writeln!(out, "      and {} more", others.len() - shown);
            }
        }
        let (title, path) = (printable_line(&first.title), first.path.display().to_string());
        let _ = writeln!(out, "  {title} ({}:{})", printable_line(&path), first.line);
        let judgement = &first.judgement;
        if let Some(reason) = &judgement.reason {
            let _ = writeln!(out, "  {}", printable_line(reason.trim_end()));
        }
        if judgement.verdict == Verdict::Fail && !judgement.observed.is_empty() {
            let text = difference(&judgement.expected, &judgement.observed, &first.path);
            for line in text.lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        for note in &judgement.notes {
            let _ = writeln!(out, "  note: {}", printable_line(note.trim_end()));
        }
        out.push('\n');
    }
    let skipped = reasons(lane, Verdict::Skip);
    for (reason, count) in skipped {
        let _ = writeln!(out, "SKIP {count} cells: {}", printable_line(reason));
    }
    let unseen: BTreeMap<_, _> = lane
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
    let counts = styled(&lane.counts());
    let (boots, millis) = lane.end.as_ref().map_or((0, 0), |end| (end.boots, end.millis));
    let boots = if boots == 1 { "1 boot".to_owned() } else { format!("{boots} boots") };
    let seconds = millis as f64 / 1000.0;
    let _ = writeln!(
        out,
        "Linux {} ({}), {}: {counts} in {seconds:.1} s, {boots}",
        kernel.version,
        kernel.origin,
        world(&lane.started)
    );
}

/// Bad cells, those that differ in the same way together.
fn groups(lane: &LaneRun) -> Vec<(Vec<&CellResult>, Verdict)> {
    let mut groups: Vec<(Vec<&CellResult>, Verdict)> = Vec::new();
    let alike = |a: &CellResult, b: &CellResult| {
        let (a, b) = (&a.judgement, &b.judgement);
        let same_expectation = a.expected == b.expected || a.observed.is_empty();
        (a.verdict, &a.reason, &a.observed) == (b.verdict, &b.reason, &b.observed)
            && same_expectation
    };
    for cell in lane.cells.iter().filter(|cell| cell.judgement.verdict.is_bad()) {
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

fn reasons(lane: &LaneRun, verdict: Verdict) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for cell in lane.cells.iter().filter(|cell| cell.judgement.verdict == verdict) {
        *reasons.entry(cell.judgement.reason.as_deref().unwrap_or("no reason")).or_insert(0) += 1;
    }
    reasons
}

/// Counts, each in the colour of its verdict.
fn styled(counts: &VerdictCounts) -> String {
    let word = |(verdict, count)| format!("{0}{count} {verdict}{0:#}", style(verdict));
    match counts.total() {
        0 => counts.to_string(),
        _ => counts.iter().map(word).collect::<Vec<_>>().join(", "),
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
        Boot::AuditLate => format!("policy {}, audit enabled late", lane.policy),
        Boot::NoFileCaps => format!("policy {}, no_file_caps", lane.policy),
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
