//! Prints the outcomes of mutations.

use super::mutation::Mutation;
use super::outcome::{MutationCounts, MutationOutcome, Notice};
use crate::counted::counted;
use crate::judge::Judgement;
use crate::record::CellResult;
use crate::report::difference;
use crate::text::{Text, line};

/// A mutation, what it breaks and which cells noticed; with `verbose`, the difference.
#[must_use]
pub fn line(mutation: &Mutation, outcome: &MutationOutcome, verbose: bool) -> Text {
    let (word, detail) = match outcome {
        MutationOutcome::Noticed(notice) => ("noticed", by(notice)),
        MutationOutcome::Unnoticed => ("UNNOTICED", "by no cell of the suite".to_owned()),
        MutationOutcome::Died(how) => ("DIED", format!("before a cell could notice: {how}")),
        MutationOutcome::SameKernel => {
            ("SAME", "the image is that of the unchanged kernel".to_owned())
        }
        MutationOutcome::DoesNotApply(why) => {
            ("elsewhere", format!("does not apply to this tree: {why}"))
        }
        MutationOutcome::DoesNotBuild(error) => ("BROKEN", format!("does not build: {error}")),
    };
    let mut text = Text::new();
    line!(text, "{word:<9}  {}: {}", mutation.name, mutation.property);
    line!(text, "           {detail}");
    if let MutationOutcome::Noticed(Notice { cell, .. }) = outcome
        && verbose
    {
        text.append_with_prefix("           ", &failure(cell));
    }
    text
}

/// The reason for the verdict on a cell, and the difference in its transcript.
fn failure(cell: &CellResult) -> Text {
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

fn by(notice: &Notice) -> String {
    let others = match notice.cells - 1 {
        0 => String::new(),
        others => format!(" and {}", counted(others, "other cell")),
    };
    let elsewhere = if notice.named { "" } else { "; not by the cells that it names" };
    format!("by {}{others}{elsewhere}", notice.cell.name)
}

/// The number of mutations with each outcome, in one line.
#[must_use]
pub fn summary(counts: MutationCounts) -> Text {
    let MutationCounts { noticed, unnoticed, untried, elsewhere } = counts;
    let mut parts = vec![format!("{} noticed", counted(noticed, "mutation"))];
    for (count, what) in [
        (unnoticed, "unnoticed: the suite has a hole"),
        (untried, "could not be tried"),
        (elsewhere, "not for this tree"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    Text::of_line(parts.join(", "))
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

    #[test]
    fn outcomes_without_a_mutation_are_left_out() {
        assert_eq!(
            summary(MutationCounts { noticed: 1, ..MutationCounts::default() }).plain(),
            "1 mutation noticed\n"
        );
        let counts = MutationCounts { noticed: 2, unnoticed: 1, untried: 3, elsewhere: 4 };
        let all = "2 mutations noticed, 1 unnoticed: the suite has a hole, 3 could not be tried, \
                   4 not for this tree\n";
        assert_eq!(summary(counts).plain(), all);
    }
}
