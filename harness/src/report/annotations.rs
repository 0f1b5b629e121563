//! Annotations of case files: GitHub's workflow commands, and GitLab's code quality report.
//!
//! Both show a message beside a line of a file in a change. Cells of one lane that expect the same
//! lines make one annotation, because GitHub shows ten of a step.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::plain::{details, lane_name, one_line};
use crate::counted::counted;
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun, Run};
use crate::text::{self, Text};

/// Cells that expect the same lines of a file and have the same verdict.
struct Annotation<'a> {
    lane: &'a LaneRun,
    cells: Vec<&'a CellResult>,
}

/// Writes workflow commands, `::error file=…`, which a step prints.
pub(super) fn github(run: &Run) -> Text {
    let mut text = Text::new();
    for annotation in annotations(run) {
        let level = if annotation.verdict() == Verdict::Fail { "error" } else { "warning" };
        let (path, line) = annotation.place();
        text.line(format!(
            "::{level} file={},line={line},title={}::{}",
            property(&one_line(&path.to_string_lossy())),
            property(&annotation.title()),
            data(&annotation.message()),
        ));
    }
    text
}

/// Writes a code quality report, an artifact of a job.
pub(super) fn code_quality(run: &Run) -> Text {
    let issues: Vec<Value> = annotations(run)
        .iter()
        .map(|annotation| {
            let (path, line) = annotation.place();
            let severity = if annotation.verdict() == Verdict::Fail { "major" } else { "minor" };
            json!({
                "description": format!("{}\n{}", annotation.title(), annotation.message()),
                "check_name": format!("perfsec {}", annotation.verdict()),
                "fingerprint": annotation.fingerprint(),
                "severity": severity,
                "location": { "path": path, "lines": { "begin": line } },
            })
        })
        .collect();
    text::json(&issues)
}

/// The annotations of a run, in the order of its cells.
fn annotations(run: &Run) -> Vec<Annotation<'_>> {
    let mut all: Vec<Annotation<'_>> = Vec::new();
    for lane in &run.lanes {
        let first = all.len();
        for cell in lane.cells.iter().filter(|cell| cell.judgement.verdict.is_bad()) {
            let same = |annotation: &&mut Annotation<'_>| {
                let other = annotation.cells[0];
                (&other.path, other.line, other.judgement.verdict)
                    == (&cell.path, cell.line, cell.judgement.verdict)
            };
            match all[first..].iter_mut().find(same) {
                Some(annotation) => annotation.cells.push(cell),
                None => all.push(Annotation { lane, cells: vec![cell] }),
            }
        }
    }
    all
}

impl Annotation<'_> {
    fn verdict(&self) -> Verdict {
        self.cells[0].judgement.verdict
    }

    /// The file and the line in which the expectation begins.
    fn place(&self) -> (&Path, usize) {
        (&self.cells[0].path, self.cells[0].line.max(1))
    }

    fn title(&self) -> String {
        let cells = match self.cells.as_slice() {
            [only] => one_line(&only.name),
            cells => format!("{} of {}", counted(cells.len(), "cell"), one_line(&cells[0].case)),
        };
        format!("{} {cells}, {}", self.verdict(), lane_name(&self.lane.started))
    }

    /// The names of several cells, and the details of the first.
    fn message(&self) -> String {
        let names = self.cells.iter().map(|cell| one_line(&cell.name));
        let names: Vec<_> = names.filter(|_| self.cells.len() > 1).collect();
        [names, details(self.cells[0])].concat().join("\n")
    }

    /// Equal in the next run on the same release, if the same cells differ.
    fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(lane_name(&self.lane.started));
        digest.update(self.verdict().to_string());
        for cell in &self.cells {
            digest.update(&cell.name);
            digest.update([0]);
        }
        crate::hex(&digest.finalize())
    }
}

/// The value of a property, as GitHub's toolkit escapes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The text of a command, as GitHub's toolkit escapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_end_a_command_or_begin_another_property() {
        assert_eq!(data("50 %\n::error::"), "50 %25%0A::error::");
        assert_eq!(property("a,b:c%"), "a%2Cb%3Ac%25");
    }
}
