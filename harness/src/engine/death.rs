//! Finds the cause of a machine's death.

use crate::console::{self, Kind};
use crate::judge::Verdict;
use crate::machines::End;

/// The cause of a death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// One line for people.
    pub(super) title: String,
    /// The verdict of the cell that ran.
    pub(super) verdict: Verdict,
}

/// Reads the console first: the kernel's own report says more than how the machine ended.
pub(super) fn cause(console: &str, end: &End, overdue: Option<&str>) -> Cause {
    let reports = console::reports(console);
    // A panic names the consequence; a report before it names the fault.
    let report = reports.iter().find(|report| report.kind != Kind::Panic).or(reports.first());
    if let Some(report) = report {
        return Cause { title: report.title.clone(), verdict: Verdict::Fail };
    }
    if let Some(waited) = overdue {
        return Cause { title: format!("no progress: {waited}"), verdict: Verdict::Error };
    }
    match end {
        End::Rebooted => Cause {
            title: "the kernel rebooted without a message".to_owned(),
            verdict: Verdict::Fail,
        },
        End::PoweredOff => Cause {
            title: "the guest powered off before it had run its cells".to_owned(),
            verdict: Verdict::Error,
        },
        End::Crashed { .. } | End::Killed => {
            Cause { title: end.to_string(), verdict: Verdict::Error }
        }
    }
}
