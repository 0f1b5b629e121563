//! Decides whether an attempt at a cell is its result or must be repeated first.

use perfsec_wire::Observation;

use crate::judge::{Attempt, Judgement, Verdict};
use crate::transcript::FittedTranscript;

/// One attempt at a cell.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    /// Number of the boot in the lane.
    pub(super) boot: usize,
    /// The judgement, without regard to the cell's control.
    pub(super) judgement: Judgement,
    /// The agent's observation; `None` if the cell could not be carried out.
    pub(super) observation: Option<Observation>,
    /// The snapshot from which the guest was restored.
    pub(super) snapshot: Option<String>,
}

/// The step after an attempt.
#[derive(Debug)]
pub(super) enum Next {
    /// The result of the cell.
    Conclude(Box<Ran>),
    /// Another attempt, in a guest that was not restored, in addition to these.
    RepeatCold(Vec<Ran>),
}

/// Decides the step after the `last` attempt, if a failure is repeated `retries` times.
///
/// A failure in a restored guest is first repeated after a boot: a fault of the snapshot must not
/// be blamed on the kernel.
pub(super) fn next(earlier: Vec<Ran>, last: Ran, retries: usize) -> Next {
    if earlier.is_empty() && !is_failure(&last.judgement) {
        return Next::Conclude(Box::new(last));
    }
    let mut attempts = earlier;
    attempts.push(last);
    let first = &attempts[0];
    let mut booted = attempts.iter().filter(|ran| ran.snapshot.is_none());
    let Some(reference) = booted.next() else { return Next::RepeatCold(attempts) };
    let repetitions: Vec<_> = booted.map(|ran| ran.judgement.clone()).collect();
    let judgement = match &first.snapshot {
        Some(snapshot) if !same(&first.judgement, &reference.judgement) => {
            blame_snapshot(snapshot, &first.judgement, &reference.judgement)
        }
        _ => {
            let steady = repetitions.iter().all(|it| same(it, &reference.judgement));
            if is_failure(&reference.judgement) && steady && repetitions.len() < retries {
                return Next::RepeatCold(attempts);
            }
            Judgement::of_attempts(reference.judgement.clone(), repetitions)
        }
    };
    Next::Conclude(Box::new(Ran { judgement, ..reference.clone() }))
}

impl Ran {
    /// A cell that was not observed.
    pub(super) fn unseen(boot: usize, verdict: Verdict, reason: impl Into<String>) -> Self {
        let judgement = Judgement::unseen(verdict, reason, FittedTranscript::default());
        Self { boot, judgement, observation: None, snapshot: None }
    }
}

/// The result of a cell whose further attempts cannot be made, for this reason.
pub(super) fn unconfirmed(attempts: &[Ran], reason: &str) -> Option<Ran> {
    let mut ran = attempts.iter().find(|ran| ran.snapshot.is_none()).or(attempts.first())?.clone();
    if let Some(snapshot) = &ran.snapshot {
        let verdict = ran.judgement.verdict;
        ran.judgement.verdict = Verdict::Error;
        ran.judgement.reason = Some(format!(
            "{verdict} in a guest restored from {snapshot}, and not repeated after a boot: {reason}"
        ));
    }
    Some(ran)
}

fn is_failure(judgement: &Judgement) -> bool {
    matches!(judgement.verdict, Verdict::Fail | Verdict::Error)
}

fn same(one: &Judgement, other: &Judgement) -> bool {
    Attempt::of(one).agrees(&Attempt::of(other))
}

fn blame_snapshot(snapshot: &str, restored: &Judgement, booted: &Judgement) -> Judgement {
    let reason = format!(
        "{} in a guest restored from {snapshot}, {} after a boot: the snapshot is at fault",
        restored.verdict, booted.verdict
    );
    Judgement {
        verdict: Verdict::Error,
        reason: Some(reason),
        known: None,
        attempts: vec![Attempt::of(restored), Attempt::of(booted)],
        ..booted.clone()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// `R` restored or `B` booted, then the verdict and the transcript.
    fn ran(text: &str) -> Ran {
        let (how, seen) = text.split_at(1);
        let verdict = match &seen[..1] {
            "p" => Verdict::Pass,
            "f" => Verdict::Fail,
            "e" => Verdict::Error,
            "x" => Verdict::Xfail,
            other => panic!("{other}"),
        };
        let mut judgement = Judgement::unseen(verdict, "", FittedTranscript::default());
        judgement.observed = [seen].into_iter().collect();
        let snapshot = (how == "R").then(|| "snapshot abc".to_owned());
        Ran { boot: 0, judgement, observation: None, snapshot }
    }

    #[rstest]
    #[case::pass("Bp", 0, "PASS")]
    #[case::pass_after_a_restore("Rp", 2, "PASS")]
    #[case::a_known_failure("Rx", 2, "XFAIL")]
    #[case::failure("Bf", 0, "FAIL")]
    #[case::failure_after_a_restore("Rf", 0, "repeat")]
    #[case::confirmed("Rf Bf", 0, "FAIL")]
    #[case::not_confirmed("Rf Bp", 0, "ERROR")]
    #[case::another_failure("Rf1 Bf2", 0, "ERROR")]
    #[case::an_error_is_repeated_too("Re", 0, "repeat")]
    #[case::retry("Bf", 1, "repeat")]
    #[case::twice_the_same_way("Bf Bf", 1, "FAIL")]
    #[case::confirmed_and_not_yet_retried("Rf Bf", 1, "repeat")]
    #[case::confirmed_and_retried("Rf Bf Bf", 1, "FAIL")]
    #[case::flaky("Bf Bp", 1, "FLAKY")]
    #[case::flaky_at_the_third_attempt("Bf Bf Bp", 2, "FLAKY")]
    #[case::flaky_ends_the_repetition("Bf1 Bf2", 5, "FLAKY")]
    #[case::confirmed_and_flaky("Rf Bf Bp", 1, "FLAKY")]
    fn attempts_lead_to_a_verdict_or_another_attempt(
        #[case] attempts: &str,
        #[case] retries: usize,
        #[case] expected: &str,
    ) {
        let mut attempts: Vec<_> = attempts.split(' ').map(ran).collect();
        let last = attempts.pop().unwrap();
        let shown = match next(attempts, last, retries) {
            Next::Conclude(ran) => ran.judgement.verdict.to_string(),
            Next::RepeatCold(_) => "repeat".to_owned(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_snapshot_at_fault_is_named_with_both_transcripts() {
        let Next::Conclude(ran) = next(vec![ran("Rf")], ran("Bp"), 0) else { panic!() };
        let reason = ran.judgement.reason.unwrap_or_default();
        assert!(reason.contains("snapshot abc") && reason.contains("FAIL"), "{reason}");
        let observed: Vec<_> =
            ran.judgement.attempts.iter().map(|it| it.observed.to_string()).collect();
        assert_eq!(observed, ["f\n", "p\n"]);
    }

    #[test]
    fn a_failure_seen_only_after_a_restore_is_not_the_kernels() {
        let [restored, booted] = ["Rf", "Bf"].map(ran);
        let alone = unconfirmed(std::slice::from_ref(&restored), "no memory").unwrap();
        assert_eq!(alone.judgement.verdict, Verdict::Error);
        let confirmed = unconfirmed(&[restored, booted], "no memory").unwrap();
        assert_eq!(confirmed.judgement.verdict, Verdict::Fail);
    }
}
