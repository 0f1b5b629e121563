//! Attempts at a cell that was repeated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Judgement, Verdict};
use crate::transcript::Transcript;

/// One attempt at a cell.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The verdict that it would have had alone.
    pub verdict: Verdict,
    /// The reason, unless it is that expectation and observation agree or differ.
    pub reason: Option<String>,
    /// The lines of the observed transcript.
    #[schemars(with = "Vec<String>")]
    pub observed: Transcript,
}

impl Attempt {
    /// The attempt that a judgement is about.
    #[must_use]
    pub fn of(judgement: &Judgement) -> Self {
        Self {
            verdict: judgement.verdict,
            reason: judgement.reason.clone(),
            observed: judgement.observed.clone(),
        }
    }

    /// True if the cell did the same in another attempt.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        // Serials and times in a reason vary from attempt to attempt.
        let steady = |attempt: &Self| {
            let reason = attempt.reason.as_deref().unwrap_or_default();
            reason.replace(|c: char| c.is_ascii_digit(), "")
        };
        (self.verdict, &self.observed) == (other.verdict, &other.observed)
            && steady(self) == steady(other)
    }
}

impl Judgement {
    /// The judgement of a cell that ran several times, from those of its attempts, in order: that
    /// of the first if all agree, else `FLAKY`.
    ///
    /// An attempt that did not run (`MISS`, `SKIP`) is no evidence and is ignored.
    #[must_use]
    pub fn of_attempts(first: Self, repetitions: Vec<Self>) -> Self {
        let ran = |judgement: &Self| !matches!(judgement.verdict, Verdict::Miss | Verdict::Skip);
        if !ran(&first) {
            return first;
        }
        let again = repetitions.iter().filter(|judgement| ran(judgement));
        let attempts: Vec<_> = std::iter::once(&first).chain(again).map(Attempt::of).collect();
        let mut judgement = first;
        if attempts.iter().all(|attempt| attempt.agrees(&attempts[0])) {
            if attempts.len() > 1 {
                judgement.notes.push(format!("the same in {} attempts", attempts.len()));
            }
            return judgement;
        }
        let verdicts: Vec<_> = attempts.iter().map(|it| it.verdict.to_string()).collect();
        let reason = format!("{} attempts differ: {}", attempts.len(), verdicts.join(", "));
        // A known difference explains one of the attempts, and not why they differ.
        judgement.known = None;
        Self { verdict: Verdict::Flaky, reason: Some(reason), attempts, ..judgement }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::transcript::FittedTranscript;

    fn judgement(verdict: Verdict, reason: &str, seen: &str) -> Judgement {
        let mut judgement = Judgement::unseen(verdict, reason, FittedTranscript::default());
        judgement.observed = [seen].into_iter().collect();
        judgement
    }

    #[rstest]
    #[case::same_failure((Verdict::Fail, "", "EACCES"), (Verdict::Fail, "", "EACCES"), false)]
    #[case::same_but_for_a_serial(
        (Verdict::Fail, "serial 17 follows serial 18", "fd"),
        (Verdict::Fail, "serial 117 follows serial 118", "fd"),
        false
    )]
    #[case::did_not_run_again((Verdict::Fail, "", "EACCES"), (Verdict::Miss, "died", ""), false)]
    #[case::other_verdict((Verdict::Fail, "", "EACCES"), (Verdict::Pass, "", "fd"), true)]
    #[case::other_transcript((Verdict::Fail, "", "EACCES"), (Verdict::Fail, "", "EPERM"), true)]
    #[case::other_reason((Verdict::Error, "no uid", ""), (Verdict::Error, "no comm", ""), true)]
    #[case::error_once((Verdict::Error, "lost", ""), (Verdict::Pass, "", "fd"), true)]
    fn only_a_cell_that_behaves_differently_is_flaky(
        #[case] first: (Verdict, &str, &str),
        #[case] second: (Verdict, &str, &str),
        #[case] flaky: bool,
    ) {
        let [one, two] = [first, second].map(|(verdict, why, seen)| judgement(verdict, why, seen));
        let whole = Judgement::of_attempts(one, vec![two]);
        assert_eq!(whole.verdict, if flaky { Verdict::Flaky } else { first.0 });
        assert_eq!(whole.attempts.len(), if flaky { 2 } else { 0 });
    }

    #[test]
    fn a_flaky_judgement_has_every_attempt_and_names_the_verdicts() {
        let verdicts = [Verdict::Fail, Verdict::Fail, Verdict::Pass];
        let [one, two, three] = verdicts.map(|it| judgement(it, "why", &it.to_string()));
        let whole = Judgement::of_attempts(one, vec![two, three]);
        assert_eq!(whole.reason.as_deref(), Some("3 attempts differ: FAIL, FAIL, PASS"));
        assert_eq!(whole.attempts.iter().map(|it| it.verdict).collect::<Vec<_>>(), verdicts);
        assert_eq!(whole.attempts[2].observed.to_string(), "PASS\n");
    }
}
