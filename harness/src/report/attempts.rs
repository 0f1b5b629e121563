//! The attempts at a cell that behaves differently on repetition.

use std::path::Path;

use super::difference;
use crate::judge::{Attempt, Judgement};
use crate::text::{Text, line};
use crate::transcript::{FittedTranscript, Transcript};

/// The attempt that an attempt repeats, by its number from 1.
pub(super) fn repeats(attempts: &[Attempt], at: usize) -> Option<usize> {
    attempts[..at].iter().position(|other| other.agrees(&attempts[at])).map(|place| place + 1)
}

/// The heading of an attempt: `attempt 2: FAIL: REASON`.
pub(super) fn heading(attempts: &[Attempt], at: usize) -> String {
    let attempt = &attempts[at];
    let reason = attempt.reason.as_deref().map(|reason| format!(": {}", reason.trim_end()));
    let again = repeats(attempts, at).map(|first| format!(", as in attempt {first}"));
    let [reason, again] = [reason, again].map(Option::unwrap_or_default);
    format!("attempt {}: {}{reason}{again}", at + 1, attempt.verdict)
}

/// The attempts, each with the difference from what is expected, or with its transcript if there is
/// none. A transcript that an earlier attempt had too is not repeated. Empty unless the cell is
/// `FLAKY`.
#[must_use]
pub fn attempts(judgement: &Judgement, path: &Path) -> Text {
    let attempts = &judgement.attempts;
    let mut out = Text::new();
    for (at, attempt) in attempts.iter().enumerate() {
        out.line(heading(attempts, at));
        if repeats(attempts, at).is_some() || attempt.observed.is_empty() {
            continue;
        }
        write(&judgement.expected, &attempt.observed, path, &mut out);
    }
    out
}

fn write(expected: &FittedTranscript, observed: &Transcript, path: &Path, out: &mut Text) {
    if expected.transcript() != observed {
        out.append(&difference::difference(expected, observed, path));
        return;
    }
    out.line("as expected:");
    observed.lines().for_each(|words| line!(out, " {words}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::Verdict;

    fn attempt(verdict: Verdict, line: &str) -> Judgement {
        let expected = [("open() = fd", 7), ("close() = 0", 7)].into_iter().collect();
        let reason = (verdict == Verdict::Error).then(|| "audit lost records".to_owned());
        let observed = ["open() = fd", line].into_iter().filter(|_| !line.is_empty()).collect();
        let mut judgement = Judgement::unseen(verdict, "", expected);
        (judgement.reason, judgement.observed) = (reason, observed);
        judgement
    }

    #[test]
    fn every_attempt_has_its_transcript_once() {
        let whole = Judgement::of_attempts(
            attempt(Verdict::Fail, "close() = EBADF"),
            vec![
                attempt(Verdict::Pass, "close() = 0"),
                attempt(Verdict::Fail, "close() = EBADF"),
                attempt(Verdict::Error, ""),
            ],
        );
        let text = attempts(&whole, Path::new("cases/a.toml")).plain();
        let wanted = "attempt 1: FAIL\n--- expected\n+++ observed\n open() = fd\n\
            -close() = 0    # cases/a.toml:7\n           ^\n+close() = EBADF\n           ^^^^^\n\
            attempt 2: PASS\nas expected:\n open() = fd\n close() = 0\n\
            attempt 3: FAIL, as in attempt 1\n\
            attempt 4: ERROR: audit lost records\n";
        assert_eq!(text, wanted);
    }
}
