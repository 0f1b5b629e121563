//! Cells that show that a kernel is broken.

use std::collections::BTreeSet;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::judge::{Judgement, Verdict};
use crate::record::{CellResult, Run};
use crate::report::difference;
use crate::text::Text;

/// The names of the cells that pass.
pub(super) fn passed(run: &Run) -> BTreeSet<String> {
    let pass = |cell: &&CellResult| cell.judgement.verdict == Verdict::Pass;
    run.cells().filter(pass).map(|cell| cell.name.clone()).collect()
}

/// The number of lines in which the transcript of a cell differs from the expected one.
pub(super) fn changed_lines(cell: &CellResult) -> usize {
    let expected: Vec<_> = cell.judgement.expected.transcript().lines().collect();
    let observed: Vec<_> = cell.judgement.observed.lines().collect();
    let ops = capture_diff_slices(Algorithm::Myers, &expected, &observed);
    let changed = ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. }));
    changed.map(|op| op.old_range().len() + op.new_range().len()).sum()
}

/// The reason for the verdict on a cell, and the difference in its transcript.
pub(super) fn failure(cell: &CellResult) -> Text {
    let Judgement { reason, expected, observed, .. } = &cell.judgement;
    let mut text = Text::new();
    for words in reason.iter().flat_map(|reason| reason.lines()) {
        text.line(words);
    }
    if expected.transcript() != observed {
        text.append(&difference(expected, observed, &cell.path));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A cell of a real run.
    fn cell() -> CellResult {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        let run = crate::record::read(&path).unwrap().run;
        let denied = |cell: &&CellResult| cell.judgement.expected.lines().count() > 2;
        run.cells().find(denied).unwrap().clone()
    }

    #[test]
    fn a_reason_is_printed_if_the_transcripts_are_the_same() {
        let mut cell = cell();
        cell.judgement.observed = cell.judgement.expected.transcript().clone();
        cell.judgement.reason = Some("two serials".to_owned());
        assert_eq!(failure(&cell).plain(), "two serials\n");
    }

    #[test]
    fn a_difference_in_the_transcripts_is_printed() {
        let mut cell = cell();
        cell.judgement.observed = ["nothing = 0"].into_iter().collect();
        cell.judgement.reason = None;
        let text = failure(&cell).plain();
        assert!(text.contains("nothing = 0"), "{text}");
    }
}
