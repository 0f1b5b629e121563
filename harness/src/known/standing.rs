//! Whether runs still need what is known.

use super::{KnownDifference, KnownDifferences};
use crate::case::Circumstances;
use crate::judge::Verdict;
use crate::record::Run;

/// What runs say of a known difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No run has a cell that it is about.
    Unmet,
    /// Its cells see what is expected: it is no longer needed.
    Stale,
    /// So many cells differ as it says.
    Needed(usize),
}

/// What the runs say of each known difference, in their order. It is found from what cells saw, so the
/// runs need not have known of it.
#[must_use]
pub fn standings<'a>(
    known: &'a KnownDifferences,
    runs: &[Run],
) -> Vec<(&'a KnownDifference, Standing)> {
    known.0.iter().map(|difference| (difference, standing(difference, runs))).collect()
}

fn standing(difference: &KnownDifference, runs: &[Run]) -> Standing {
    let (mut met, mut needed) = (false, 0);
    for lane in runs.iter().flat_map(|run| &run.lanes) {
        let circumstances = Circumstances::from(&lane.started.kernel);
        let policy = &lane.started.policy;
        for cell in &lane.cells {
            let judgement = &cell.judgement;
            if !judgement.verdict.judged()
                || !difference.concerns(&cell.name, &circumstances, policy)
            {
                continue;
            }
            met = true;
            let differs = matches!(judgement.verdict, Verdict::Fail | Verdict::Xfail);
            needed += usize::from(differs && difference.explains(&judgement.observed));
        }
    }
    match (met, needed) {
        (false, _) => Standing::Unmet,
        (true, 0) => Standing::Stale,
        (true, cells) => Standing::Needed(cells),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;

    use super::*;

    /// The record of a real run, on 6.1 and 7.3, in which `open/wrong` fails and `open/cpu` passes.
    fn standing_of(text: &str) -> Standing {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        let run = crate::record::read(&path).unwrap().run;
        let text = format!("[[known]]\nname = \"a\"\nreason = \"b\"\n{text}");
        let known = KnownDifferences(super::super::read(Path::new("known.toml"), &text).unwrap());
        standings(&known, &[run])[0].1
    }

    #[rstest]
    #[case("cells = [\"open/wrong/all_t/*/none/*\"]", Standing::Needed(4))]
    #[case("cells = [\"open/wrong/all_t/*/none/*\"]\nsince = \"7.0\"", Standing::Needed(2))]
    #[case("cells = [\"open/wrong/all_t/*/none/*\"]\ninstead = \"open() = 0\"", Standing::Stale)]
    #[case("cells = [\"open/cpu\"]", Standing::Stale)]
    #[case("cells = [\"open/cpu\"]\nsince = \"8.0\"", Standing::Unmet)]
    #[case("cells = [\"no/such\"]", Standing::Unmet)]
    #[case("cells = [\"open/wrong\"]\npolicy = \"other\"", Standing::Unmet)]
    fn a_difference_is_needed_as_long_as_a_cell_differs_so(
        #[case] text: &str,
        #[case] standing: Standing,
    ) {
        assert_eq!(standing_of(text), standing);
    }
}
