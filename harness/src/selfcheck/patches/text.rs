//! Prints the outcomes of mutations.

use super::super::cells::failure;
use super::mutation::Mutation;
use super::outcome::{MutationCounts, MutationOutcome, Notice};
use crate::counted::counted;
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
    use super::*;

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
