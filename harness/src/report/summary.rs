//! The summary of a run, for a terminal or a log.

use anstyle::{AnsiColor, Style};

use super::attempts::attempts;
use super::difference;
use super::wording::{boot_description, boots, without_result};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{AlikeCells, Death, Digest, LaneDigest, VerdictCounts};
use crate::text::{Text, line, span};

/// Number of cells named that were not judged for the same reason; the run record has the rest.
const UNJUDGED_NAMES: usize = 5;

/// For each lane the cells that did not pass, then its counts.
#[must_use]
pub fn summary(run: &Digest) -> Text {
    let mut out = Text::new();
    for lane in run.lanes() {
        failures(lane, &mut out);
        omissions(lane, &mut out);
        counts(lane, &mut out);
    }
    end(run, &mut out);
    out
}

/// The summary without lanes in which nothing failed, and without what was skipped: what did not
/// pass, and the last line.
#[must_use]
pub fn brief(run: &Digest) -> Text {
    let mut out = Text::new();
    for lane in run.lanes() {
        let mut bad = Text::new();
        failures(lane, &mut bad);
        out.append(&bad);
        // The line of the lane names the kernel of the failures above it.
        if !bad.is_empty() || run.lanes().len() == 1 {
            counts(lane, &mut out);
        }
    }
    end(run, &mut out);
    out
}

fn end(run: &Digest, out: &mut Text) {
    if run.lanes().len() > 1 {
        out.span("in all: ");
        styled(&run.counts(), out);
        out.end();
    }
    let unseen = without_result(run.unseen());
    match &run.end {
        Some(end) if end.interrupted => line!(out, "the run was interrupted"),
        Some(_) if run.unseen() > 0 => line!(out, "{unseen}"),
        Some(_) => {}
        None => line!(out, "the run did not end: {unseen}"),
    }
}

/// Deaths, and the cells that did not pass.
fn failures(lane: &LaneDigest, out: &mut Text) {
    for death in &lane.deaths {
        write_death(death, out);
    }
    if let Some(reason) = lane.refused() {
        out.paint(BAD, "nothing could be tested");
        line!(out, ": {reason}");
    }
    for group in &lane.bad {
        let judgement = &group.first.judgement;
        // That nothing could be tested is printed above, and what the cells are about does not
        // matter.
        if !judgement.verdict.judged()
            && lane.refused().is_some()
            && judgement.reason.as_deref() == lane.refused()
        {
            continue;
        }
        write_group(group, out);
    }
}

/// What was skipped or not compared, and why.
fn omissions(lane: &LaneDigest, out: &mut Text) {
    for (reason, count) in &lane.skipped {
        line!(out, "SKIP {}: {reason}", counted(*count, "cell"));
    }
    for (why, count) in &lane.unseen_checks {
        let cells = counted(*count, "cell");
        line!(out, "capability checks of {cells} were not compared: {why}");
    }
}

/// The line with the lane's counts.
fn counts(lane: &LaneDigest, out: &mut Text) {
    let kernel = &lane.started.kernel;
    let (started, millis) = lane.end.as_ref().map_or((0, 0), |end| (end.boots, end.millis));
    let seconds = millis as f64 / 1000.0;
    let boot = boot_description(&lane.started);
    span!(out, "Linux {} ({}), {boot}: ", kernel.version, kernel.origin);
    styled(&lane.counts, out);
    line!(out, " in {seconds:.1} s, {}", boots(started, lane.restored));
}

fn write_death(death: &Death, out: &mut Text) {
    let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
    out.paint(BAD, "died");
    line!(out, "{cell}: {death}");
    for words in death.console.lines() {
        line!(out, "  | {}", words.trim_end());
    }
    if let Some(memory) = &death.memory {
        line!(out, "  {memory}");
    }
}

/// Writes the names of cells that have the same verdict for the same reason, and the details of the
/// first.
fn write_group(group: &AlikeCells, out: &mut Text) {
    let AlikeCells { first, others } = group;
    let verdict = first.judgement.verdict;
    out.paint(style(verdict), verdict);
    line!(out, " {}", first.name);
    let shown = if verdict.judged() { others.len() } else { UNJUDGED_NAMES - 1 };
    for name in others.values().take(shown) {
        line!(out, "      {name}");
    }
    if others.len() > shown {
        line!(out, "      and {} more", others.len() - shown);
    }
    line!(out, "  {} ({}:{})", first.title, first.path.display(), first.line);
    let judgement = &first.judgement;
    if let Some(reason) = &judgement.reason {
        line!(out, "  {}", reason.trim_end());
    }
    if judgement.verdict == Verdict::Fail && !judgement.observed.is_empty() {
        let text = difference(&judgement.expected, &judgement.observed, &first.path);
        out.append_with_prefix("  ", &text);
    }
    out.append_with_prefix("  ", &attempts(judgement, &first.path));
    for note in &judgement.notes {
        line!(out, "  note: {}", note.trim_end());
    }
    out.end();
}

/// The counts, each in the colour of its verdict.
fn styled(counts: &VerdictCounts, out: &mut Text) {
    if counts.total() == 0 {
        span!(out, "{counts}");
    }
    for (at, (verdict, count)) in counts.iter().enumerate() {
        if at > 0 {
            out.span(", ");
        }
        out.paint(style(verdict), format_args!("{count} {verdict}"));
    }
}

const BAD: Style = AnsiColor::Red.on_default().bold();

/// The colour of a verdict.
pub(super) fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass | Verdict::Xpass => AnsiColor::Green.on_default(),
        Verdict::Fail => BAD,
        Verdict::Flaky | Verdict::Error | Verdict::Miss => AnsiColor::Magenta.on_default(),
        Verdict::Xfail | Verdict::Skip => AnsiColor::Yellow.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::Run;

    /// A record of a real run on two kernels, with every verdict but `MISS`.
    fn record() -> Run {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        crate::record::read(&path).unwrap().run
    }

    #[test]
    fn a_brief_summary_has_the_failures_and_the_last_line_of_the_whole_one() {
        let run = record();
        let run = Digest::of(&run);
        let (brief, whole) = (brief(&run).plain(), summary(&run).plain());
        assert!(brief.lines().all(|line| whole.contains(line)));
        assert_eq!(brief.lines().last(), whole.lines().last());
        assert_eq!(brief.matches("FAIL").count(), whole.matches("FAIL").count());
        assert!(whole.contains("SKIP ") && !brief.contains("\nSKIP "), "{brief}");
    }

    #[test]
    fn a_brief_summary_of_a_run_that_passed_is_one_line() {
        let mut run = record();
        for lane in &mut run.lanes {
            lane.cells.retain(|cell| cell.judgement.verdict == Verdict::Pass);
            lane.deaths.clear();
        }
        run.lanes.truncate(1);
        let brief = brief(&Digest::of(&run)).plain();
        let lines: Vec<_> = brief.lines().filter(|line| line.contains(" PASS")).collect();
        assert_eq!(lines.len(), 1, "{brief}");
        assert!(brief.starts_with("Linux "), "{brief}");
    }
}
