//! What a machine died of.

use crate::console::{self, ReportKind};
use crate::judge::Verdict;
use crate::machines::End;

/// A death told apart from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// In one line.
    pub(super) title: String,
    /// What it says of the cell that ran.
    pub(super) verdict: Verdict,
}

/// Looks at the console first: what the kernel said of itself is worth more than how the machine ended.
pub(super) fn cause(console: &str, end: &End, overdue: Option<&str>) -> Cause {
    let reports = console::reports(console);
    // A panic names the consequence; the report before it, if there is one, names the fault.
    let report = reports.iter().find(|report| report.kind != ReportKind::Panic).or(reports.first());
    if let Some(report) = report {
        return Cause { title: report.title.clone(), verdict: Verdict::Fail };
    }
    if let Some(waited) = overdue {
        return Cause { title: format!("no progress: {waited}"), verdict: Verdict::Error };
    }
    match end {
        End::Rebooted => {
            Cause { title: "the kernel rebooted without a word".to_owned(), verdict: Verdict::Fail }
        }
        End::PoweredOff => Cause {
            title: "the guest powered off before its cells were over".to_owned(),
            verdict: Verdict::Error,
        },
        End::Crashed { .. } | End::Killed => {
            Cause { title: end.to_string(), verdict: Verdict::Error }
        }
    }
}
