//! Tells which known differences runs still have.

use super::{KnownDifferences, KnownEntry};
use crate::case::Circumstances;
use crate::judge::Verdict;
use crate::record::Run;

/// The standing of a known difference, according to runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No run has a cell that it affects.
    Unmet,
    /// Its cells meet their expectations, so it is no longer needed.
    Stale,
    /// This number of cells differ as it says.
    Needed(usize),
}

/// The standing of each known difference, in the order of the list. It is computed from what the
/// cells observed, so the runs need not have used the list.
#[must_use]
pub fn standings<'a>(known: &'a KnownDifferences, runs: &[Run]) -> Vec<(&'a KnownEntry, Standing)> {
    known.0.iter().map(|entry| (entry, standing(entry, runs))).collect()
}

fn standing(entry: &KnownEntry, runs: &[Run]) -> Standing {
    let (mut met, mut needed) = (false, 0);
    for lane in runs.iter().flat_map(|run| &run.lanes) {
        let circumstances = Circumstances::from(&lane.started.kernel);
        let policy = &lane.started.policy;
        for cell in &lane.cells {
            let judgement = &cell.judgement;
            if !judgement.verdict.judged() || !entry.affects(&cell.name, &circumstances, policy) {
                continue;
            }
            met = true;
            let differs = matches!(judgement.verdict, Verdict::Fail | Verdict::Xfail);
            needed += usize::from(differs && entry.explains(&judgement.observed));
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

    /// The record is of a real run on 6.1 and 7.3: `open/wrong` fails and `open/cpu` passes.
    fn standing_of(text: &str) -> Standing {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        let run = crate::record::read(&path).unwrap().run;
        let text = format!("[[known]]\nname = \"a\"\nreason = \"b\"\n{text}");
        let known =
            KnownDifferences(super::super::read(Path::new("known.toml"), &text, None).unwrap());
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
    fn a_difference_is_needed_as_long_as_a_cell_has_it(
        #[case] text: &str,
        #[case] standing: Standing,
    ) {
        assert_eq!(standing_of(text), standing);
    }
}
