//! The result of judging a cell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attempt, Verdict};
use crate::case::KnownDifference;
use crate::transcript::{ExpectedLine, FittedTranscript, Transcript};

/// The result of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, unless it is that expectation and observation agree or differ.
    pub reason: Option<String>,
    /// The transcript expected on this kernel.
    #[schemars(with = "Vec<ExpectedLine>")]
    pub expected: FittedTranscript,
    /// The lines of the observed transcript.
    #[schemars(with = "Vec<String>")]
    pub observed: Transcript,
    /// Notes for the reader: why a record may be missing, what was not observed.
    pub notes: Vec<String>,
    /// The known difference that makes the verdict `XFAIL` or `XPASS`.
    pub known: Option<KnownDifference>,
    /// The attempts at a `FLAKY` cell, in the order in which they ran; empty for any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

impl Judgement {
    /// A verdict on a cell without an observation.
    #[must_use]
    pub fn unseen(verdict: Verdict, reason: impl Into<String>, expected: FittedTranscript) -> Self {
        Self {
            verdict,
            reason: Some(reason.into()),
            expected,
            observed: Transcript::default(),
            notes: Vec::new(),
            known: None,
            attempts: Vec::new(),
        }
    }

    /// The judgement for a format that cannot hold every text: `change` is applied to each line of
    /// its transcripts.
    #[must_use]
    pub fn with_lines(&self, change: impl Fn(&str) -> String) -> Self {
        let changed = |seen: &Transcript| seen.lines().map(|line| change(&line)).collect();
        let mut judgement = self.clone();
        let expected = self.expected.lines();
        judgement.expected = expected.map(|(line, place)| (change(&line), place)).collect();
        judgement.observed = changed(&self.observed);
        for attempt in &mut judgement.attempts {
            attempt.observed = changed(&attempt.observed);
        }
        judgement
    }

    /// Applies a known difference: PASS becomes XPASS, FAIL becomes XFAIL, others stay.
    #[must_use]
    pub fn with_known_difference(mut self, known: KnownDifference) -> Self {
        let verdict = self.verdict.with_known_difference();
        if verdict != self.verdict {
            self.verdict = verdict;
            self.reason.get_or_insert_with(|| known.reason.clone());
            self.known = Some(known);
        }
        self
    }
}
