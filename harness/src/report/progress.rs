//! Progress of a run: a bar on a terminal, plain lines elsewhere.

use super::wording::boot_description;
use crate::counted::counted;
use crate::record::Event;
use crate::text::{self, Bar, Text, eprint_line};

/// Shows the progress of a run on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<Bar>,
    /// True to show nothing.
    quiet: bool,
    labels: Vec<String>,
    bad: usize,
    detail: Detail,
    /// Why the previous cell was not judged, so that a reason of a whole lane is printed once.
    reason: Option<String>,
}

/// The events that are shown beside the bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Lanes, and cells with a bad verdict.
    Verdicts,
    /// Lanes, and cells that were not judged: verdicts do not matter when cells run under
    /// conditions that they were not written for.
    Unjudged,
    /// Nothing: the kernels are hundreds, and the command prints the outcome of each.
    Nothing,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// A bar if standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let bar = Bar::on_terminal();
        let quiet = false;
        Self { bar, quiet, labels: Vec::new(), bad: 0, detail: Detail::Verdicts, reason: None }
    }

    /// Shows nothing.
    #[must_use]
    pub fn quiet() -> Self {
        Self { bar: None, quiet: true, ..Self::new() }
    }

    /// Ignores verdicts, except those of cells that were not judged.
    pub fn ignore_verdicts(&mut self) {
        self.detail = Detail::Unjudged;
    }

    /// Ignores lanes and cells: only the bar shows that they run.
    pub fn ignore_lanes(&mut self) {
        self.detail = Detail::Nothing;
    }

    /// Prints a message that is not an event: that something is fetched, built or waited for.
    pub fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        let line = Text::of_line(text);
        self.bar.as_ref().map_or_else(|| text::eprint(&line), |bar| bar.show(&line));
    }

    /// Prints a message that stays above the bar.
    pub fn note(&self, text: &str) {
        if self.quiet {
            return;
        }
        let line = Text::of_line(text);
        self.bar.as_ref().map_or_else(|| text::eprint(&line), |bar| bar.print_above(&line));
    }

    /// Shows an event.
    pub fn event(&mut self, event: &Event) {
        if self.quiet {
            return;
        }
        match event {
            Event::Run(run) => {
                self.bad = 0;
                if let Some(bar) = &self.bar {
                    bar.restart(run.cells);
                }
            }
            Event::Lane(lane) => {
                self.labels.resize(self.labels.len().max(lane.lane + 1), String::new());
                self.labels[lane.lane] =
                    format!("Linux {}, {}", lane.kernel.version, boot_description(lane));
                let (cells, machinery) = (lane.cells, &lane.machinery);
                self.lane(
                    lane.lane,
                    &format!(
                        "booting for {} ({}, {})",
                        counted(cells, "cell"),
                        machinery.machine,
                        machinery.accel
                    ),
                );
            }
            Event::Ready(ready) => {
                let seconds = ready.millis as f64 / 1000.0;
                let restored = if ready.restored { ", restored from a snapshot" } else { "" };
                self.lane(ready.lane, &format!("ready after {seconds:.1} s{restored}"));
            }
            Event::Cell(cell) => {
                let verdict = cell.judgement.verdict;
                let reason = cell.judgement.reason.clone().filter(|_| !verdict.judged());
                let bad = match self.detail {
                    Detail::Verdicts => verdict.is_bad(),
                    Detail::Unjudged => verdict.is_bad() && !verdict.judged(),
                    Detail::Nothing => false,
                };
                if bad {
                    self.bad += 1;
                }
                match &self.bar {
                    Some(bar) => {
                        bar.advance();
                        if self.bad > 0 {
                            bar.show(&Text::of_line(format_args!("{} bad", self.bad)));
                        }
                    }
                    None if bad && !(reason.is_some() && reason == self.reason) => {
                        let why = reason.as_deref().map_or(String::new(), |why| format!(": {why}"));
                        eprint_line!("{verdict} {}{why}", cell.name);
                    }
                    None => {}
                }
                self.reason = reason;
            }
            Event::Death(death) => self.lane(death.lane, &death.cause),
            Event::Answers(_) | Event::Coverage(_) | Event::LaneEnd(_) => {}
            Event::End(_) => {
                if let Some(bar) = &self.bar {
                    bar.finish();
                }
            }
        }
    }

    fn lane(&self, lane: usize, text: &str) {
        if self.detail == Detail::Nothing {
            return;
        }
        let label = self.labels.get(lane).map_or("", String::as_str);
        self.say(&format!("{label}: {text}"));
    }
}
