//! Reproducers of the failures of a run, to attach to a mail.

use super::program::{Reproducer, reproducer};
use crate::case::{Circumstances, Library, Setting};
use crate::judge::Verdict;
use crate::policy::DEFAULT;
use crate::record::{CellResult, LaneRun, Run};

/// The most programs of a mail. One has about 7,000 octets, and the kernel's lists refuse mail of
/// more than 100,000.
const MOST: usize = 3;

/// A program to attach to a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The name of its file.
    pub name: String,
    /// The cell that it shows.
    pub cell: String,
    /// The program, in ASCII.
    pub text: String,
}

/// Programs that show failures of a run: of those that differ in the same way one, and at most
/// three. A case that has changed since the run has none, as its program would show something else.
#[must_use]
pub fn of_failures(run: &Run, library: &Library) -> Vec<Attachment> {
    let mut shown: Vec<&CellResult> = Vec::new();
    let mut attachments = Vec::new();
    for lane in &run.lanes {
        for cell in lane.cells.iter().filter(|cell| cell.judgement.verdict == Verdict::Fail) {
            let same = |other: &&CellResult| {
                let (a, b) = (&other.judgement, &cell.judgement);
                other.case == cell.case && (&a.expected, &a.observed) == (&b.expected, &b.observed)
            };
            if attachments.len() == MOST || shown.iter().any(same) {
                continue;
            }
            if let Some(attachment) = attachment(lane, cell, library) {
                shown.push(cell);
                attachments.push(attachment);
            }
        }
    }
    attachments
}

fn attachment(lane: &LaneRun, cell: &CellResult, library: &Library) -> Option<Attachment> {
    if lane.started.policy != DEFAULT {
        return None;
    }
    let case = library.cases.iter().find(|case| case.name == cell.case)?;
    // A record has the first digits.
    if cell.case_sha256.is_empty() || !case.sha256.starts_with(&cell.case_sha256) {
        return None;
    }
    let kernel = &lane.started.kernel;
    let facts = lane.ready.iter().find(|ready| ready.boot == cell.boot).map(|ready| &ready.facts);
    let circumstances =
        Circumstances { machine: facts.map(|facts| &facts.machine), ..Circumstances::from(kernel) };
    let words = format!("Linux {}", kernel.release);
    let wanted = Reproducer { case, at: &cell.at, kernel: &words };
    let text = reproducer(&wanted, &Setting::from(circumstances)).ok()?;
    let word =
        |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '-' };
    let name = cell.name.chars().map(word).collect::<String>() + ".c";
    Some(Attachment { name, cell: cell.name.clone(), text })
}
