//! The forms in which a run can be reported.

use clap::{Args, ValueEnum};

use super::mail::{self, Mailbox};
use super::{KcidbOrigin, html, json, junit, kcidb, ktap, summary};
use crate::record::Run;

/// A form of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What `perfsec run` prints when it is over.
    Summary,
    /// Plain text for a mailing list.
    Text,
    /// The kernel's own form of test results.
    Ktap,
    /// JUnit's XML: what GitLab, GitHub and Jenkins show.
    Junit,
    /// The run record: one event a line, written as the run goes on.
    Jsonl,
    /// The whole run as one JSON document.
    Json,
    /// One self-contained page: a matrix of cells and kernels, with what differs.
    Html,
    /// A submission to KCIDB, the results database of KernelCI.
    Kcidb,
}

/// What the forms leave to choose.
#[derive(Clone, Debug, Default, Args)]
pub struct FormatOptions {
    /// Who submits, in a report for KCIDB: the name under which it knows a CI system.
    #[arg(long, value_name = "NAME", default_value_t)]
    pub origin: KcidbOrigin,
    /// Who writes a mail, `NAME <ADDRESS>`, and in a text vouches for a run that passed
    /// [default: git's user.name and user.email].
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<Mailbox>,
}

impl Format {
    /// The report.
    #[must_use]
    pub fn render(self, run: &Run, options: &FormatOptions) -> String {
        match self {
            Self::Summary => summary(run),
            Self::Text => mail::text(run, options.from.as_ref()),
            Self::Ktap => ktap::ktap(run),
            Self::Junit => junit::junit(run),
            Self::Jsonl => run.events().map(|event| json::line(&event)).collect(),
            Self::Json => json::document(run),
            Self::Html => html::html(run),
            Self::Kcidb => kcidb::kcidb(run, &options.origin),
        }
    }
}
