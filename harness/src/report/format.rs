//! Formats of reports on a run.

use clap::{Args, ValueEnum};

use super::mail::{self, Mailbox};
use super::{KcidbOrigin, annotations, html, json, junit, kcidb, ktap, summary};
use crate::record::{Digest, Run};
use crate::text::{self, Text};

/// Format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The summary that `perfsec run` prints at its end.
    Summary,
    /// Plain text for a mailing list.
    Text,
    /// The kernel's own format for test results.
    Ktap,
    /// JUnit XML, which GitLab, GitHub and Jenkins display.
    Junit,
    /// The run record: one event per line, written during the run.
    Jsonl,
    /// The whole run as one JSON document.
    Json,
    /// A self-contained page: a matrix of cells and kernels, with every difference.
    Html,
    /// A submission to KCIDB, KernelCI's database of results.
    Kcidb,
    /// GitHub's workflow commands, which annotate the lines of case files.
    Github,
    /// GitLab's code quality report, which annotates the lines of case files.
    CodeQuality,
}

/// Options of the formats.
#[derive(Clone, Debug, Default, Args)]
pub struct FormatOptions {
    /// Name of the submitting CI system, as KCIDB knows it.
    #[arg(long, value_name = "NAME", default_value_t, help_heading = "Report")]
    pub origin: KcidbOrigin,
    /// Sender of a mail, and in a text the tester of a complete run that passed, `NAME <ADDRESS>`
    /// [default: git's user.name and user.email].
    #[arg(long, value_name = "ADDRESS", help_heading = "Report")]
    pub from: Option<Mailbox>,
}

impl Format {
    /// Writes a report in this format.
    #[must_use]
    pub fn render(self, run: &Run, options: &FormatOptions) -> Text {
        match self {
            Self::Summary => summary(&Digest::of(run)),
            Self::Text => mail::text(run, options.from.as_ref()),
            Self::Ktap => ktap::ktap(run),
            Self::Junit => junit::junit(run),
            Self::Jsonl => run.events().map(|event| text::json_line(&event)).collect(),
            Self::Json => json::document(run),
            Self::Html => html::html(run),
            Self::Kcidb => kcidb::kcidb(run, &options.origin),
            Self::Github => annotations::github(run),
            Self::CodeQuality => annotations::code_quality(run),
        }
    }
}
