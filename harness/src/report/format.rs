//! The forms in which a run can be reported.

use clap::ValueEnum;

use super::summary;
use crate::record::{Event, Run};

/// A form of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What `perfsec run` prints when it is over.
    Summary,
    /// The run record: one event a line, written as the run goes on.
    Jsonl,
    /// The whole run as one JSON document.
    Json,
}

impl Format {
    /// The report.
    #[must_use]
    pub fn render(self, run: &Run) -> String {
        match self {
            Self::Summary => summary(run),
            Self::Jsonl => run.events().map(|event| line(&event)).collect(),
            Self::Json => json(run),
        }
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("events have string keys only") + "\n"
}

fn json(run: &Run) -> String {
    serde_json::to_string_pretty(run).expect("runs have string keys only") + "\n"
}
