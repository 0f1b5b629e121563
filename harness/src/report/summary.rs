//! The summary of a run, for a terminal or a log.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::attempts::attempts;
use super::difference;
use super::wording::{boot_description, boots, without_result};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::printable::{printable, printable_line};
use crate::record::{AlikeCells, Death, Digest, LaneDigest, VerdictCounts};

/// Number of cells named that were not judged for the same reason; the run record has the rest.
const UNJUDGED_NAMES: usize = 5;

/// For each lane the cells that did not pass, then its counts; with ANSI styles.
#[must_use]
pub fn summary(run: &Digest) -> String {
    let mut out = String::new();
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
pub fn brief(run: &Digest) -> String {
    let mut out = String::new();
    for lane in run.lanes() {
        let before = out.len();
        failures(lane, &mut out);
        // The line of the lane names the kernel of the failures above it.
        if out.len() > before || run.lanes().len() == 1 {
            counts(lane, &mut out);
        }
    }
    end(run, &mut out);
    out
}

fn end(run: &Digest, out: &mut String) {
    if run.lanes().len() > 1 {
        let _ = writeln!(out, "in all: {}", styled(&run.counts()));
    }
    let unseen = without_result(run.unseen());
    match &run.end {
        Some(end) if end.interrupted => out.push_str("the run was interrupted\n"),
        Some(_) if run.unseen() > 0 => {
            let _ = writeln!(out, "{unseen}");
        }
        Some(_) => {}
        None => {
            let _ = writeln!(out, "the run did not end: {unseen}");
        }
    }
}

/// Deaths, and the cells that did not pass.
fn failures(lane: &LaneDigest, out: &mut String) {
    for death in &lane.deaths {
        write_death(death, out);
    }
    if let Some(reason) = lane.refused() {
        let _ = writeln!(out, "{BAD}nothing could be tested{BAD:#}: {reason}");
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
fn omissions(lane: &LaneDigest, out: &mut String) {
    for (reason, count) in &lane.skipped {
        let _ = writeln!(out, "SKIP {}: {}", counted(*count, "cell"), printable_line(reason));
    }
    for (why, count) in &lane.unseen_checks {
        let cells = counted(*count, "cell");
        let _ = writeln!(out, "capability checks of {cells} were not compared: {why}");
    }
}

/// The line with the lane's counts.
fn counts(lane: &LaneDigest, out: &mut String) {
    let kernel = &lane.started.kernel;
    let counts = styled(&lane.counts);
    let (started, millis) = lane.end.as_ref().map_or((0, 0), |end| (end.boots, end.millis));
    let seconds = millis as f64 / 1000.0;
    let _ = writeln!(
        out,
        "Linux {} ({}), {}: {counts} in {seconds:.1} s, {}",
        kernel.version,
        kernel.origin,
        boot_description(&lane.started),
        boots(started, lane.restored)
    );
}

fn write_death(death: &Death, out: &mut String) {
    let cell = death.cell.as_deref().map_or(String::new(), |cell| format!(" in {cell}"));
    let _ = writeln!(out, "{BAD}died{BAD:#}{cell}: {} ({})", death.cause, death.end);
    for line in death.console.lines() {
        let _ = writeln!(out, "  | {}", printable(line.trim_end()));
    }
}

/// Writes the names of cells that have the same verdict for the same reason, and the details of the
/// first.
fn write_group(group: &AlikeCells, out: &mut String) {
    let AlikeCells { first, others } = group;
    let verdict = first.judgement.verdict;
    let style = style(verdict);
    let _ = writeln!(out, "{style}{verdict}{style:#} {}", printable_line(&first.name));
    let shown = if verdict.judged() { others.len() } else { UNJUDGED_NAMES - 1 };
    for name in others.values().take(shown) {
        let _ = writeln!(out, "      {}", printable_line(name));
    }
    if others.len() > shown {
        let _ = writeln!(out, "      and {} more", others.len() - shown);
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
    for line in attempts(judgement, &first.path).lines() {
        let _ = writeln!(out, "  {line}");
    }
    for note in &judgement.notes {
        let _ = writeln!(out, "  note: {}", printable_line(note.trim_end()));
    }
    out.push('\n');
}

/// The counts, each in the colour of its verdict.
fn styled(counts: &VerdictCounts) -> String {
    let word = |(verdict, count)| format!("{0}{count} {verdict}{0:#}", style(verdict));
    match counts.total() {
        0 => counts.to_string(),
        _ => counts.iter().map(word).collect::<Vec<_>>().join(", "),
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
        let (brief, whole) = (brief(&run), summary(&run));
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
        let brief = brief(&Digest::of(&run));
        let lines: Vec<_> = brief.lines().filter(|line| line.contains(" PASS")).collect();
        assert_eq!(lines.len(), 1, "{brief}");
        assert!(brief.starts_with("Linux "), "{brief}");
    }
}
