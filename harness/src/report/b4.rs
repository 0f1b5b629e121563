//! Answers to `b4 review` about the mails of a series.
//!
//! b4 passes a mail to a command (`b4.review-perpatch-check-cmd`, `b4.review-series-check-cmd`) and
//! shows what the command prints: a JSON array of answers. See the maintainer documentation of b4,
//! "review".

use serde::{Deserialize, Serialize};

use super::mail::{patch_text, series_text};
use crate::cache::{Cache, CacheError, Room};
use crate::kernel::hash;
use crate::mbox::MessageId;
use crate::series::{PatchOutcome, Problem, SeriesOutcome};
use crate::text::Text;

/// An answer: one element of the array that b4 expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The name in b4's table.
    pub tool: String,
    /// The colour in b4's table.
    pub status: Status,
    /// One line.
    pub summary: String,
    /// The report, which b4 shows on demand.
    pub details: String,
}

/// The result of a check, as b4 knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nothing to look at.
    Pass,
    /// Something for a person to judge.
    Warn,
    /// The mail is at fault.
    Fail,
}

/// The answers about one mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// About the patch in the mail.
    pub patch: Option<Answer>,
    /// About the whole series: kept for its cover letter, else for its first patch.
    pub series: Option<Answer>,
}

impl Answers {
    /// Keeps the answers about every mail of a completed check. Mails without a Message-ID have
    /// none.
    ///
    /// # Errors
    ///
    /// If the cache cannot be written.
    pub fn keep(outcome: &SeriesOutcome, cache: &Cache) -> Result<(), CacheError> {
        if !outcome.ended {
            return Ok(());
        }
        for (id, answers) in Self::of(outcome) {
            cache.publish_json(Room::ANSWERS, &file(id), &answers)?;
        }
        Ok(())
    }

    /// The kept answers about a mail; none if no check of its series was completed.
    #[must_use]
    pub fn find(id: &MessageId, cache: &Cache) -> Self {
        cache.read_json(Room::ANSWERS, &file(id.as_str())).unwrap_or_default()
    }

    /// The answers about each mail, by its Message-ID.
    fn of(outcome: &SeriesOutcome) -> Vec<(&str, Self)> {
        let mut all = Vec::new();
        let cover = outcome.series.cover_id.as_deref();
        let first = outcome.patches.first().and_then(|patch| patch.id.as_deref());
        if let Some(cover) = cover {
            all.push((cover, Self { series: Some(of_series(outcome)), patch: None }));
        }
        for patch in &outcome.patches {
            let Some(id) = patch.id.as_deref() else { continue };
            let is_head = cover.is_none() && first == Some(id);
            let series = is_head.then(|| of_series(outcome));
            all.push((id, Self { series, patch: of_patch(patch, outcome) }));
        }
        all
    }
}

/// The name of the file with the answers about a mail.
fn file(id: &str) -> String {
    format!("{}.json", hash::sha256(id.as_bytes()))
}

fn of_series(outcome: &SeriesOutcome) -> Answer {
    let status = status(&outcome.problems(), outcome);
    let headline = outcome.headline();
    let summary = headline.trim_start_matches("perfsec: ").to_owned();
    answer(status, summary, &series_text(outcome, None), outcome)
}

fn of_patch(patch: &PatchOutcome, outcome: &SeriesOutcome) -> Option<Answer> {
    let problems = outcome.problems_of(patch)?;
    let summary = match (problems.first(), &patch.changed) {
        (Some(problem), _) => outcome.words(problem),
        (None, Some(changed)) if changed.comparison.different() > 0 => {
            "changes cells only as stated".to_owned()
        }
        (None, _) => "changes no cell".to_owned(),
    };
    let text = patch_text(patch, outcome);
    Some(answer(status(&problems, outcome), summary, &text, outcome))
}

fn answer(status: Status, summary: String, text: &Text, outcome: &SeriesOutcome) -> Answer {
    let (base, perfsec) = (&outcome.base.describe, &outcome.run.perfsec);
    let details = format!("perfsec {perfsec} on {base}\n\n{}", text.plain().trim_start());
    Answer { tool: "perfsec".to_owned(), status, summary, details }
}

/// The status for the worst problem.
fn status(problems: &[Problem], outcome: &SeriesOutcome) -> Status {
    match problems.first() {
        None => Status::Pass,
        Some(problem) => match problem {
            // Without stated changes, only a person knows whether the author meant them.
            Problem::Changed { .. } | Problem::Whole { .. } if outcome.stated.is_empty() => {
                Status::Warn
            }
            Problem::NotApplied(_)
            | Problem::NotBuilt(_)
            | Problem::NotRun(_)
            | Problem::Failing { .. }
            | Problem::Changed { .. }
            | Problem::Whole { .. }
            | Problem::Unmet { .. } => Status::Fail,
            // A base that does not work is not the author's fault.
            Problem::BaseNotBuilt
            | Problem::BaseNotRun
            | Problem::Warnings { .. }
            | Problem::NotJudged { .. }
            | Problem::NotEnded
            | Problem::NothingRan => Status::Warn,
        },
    }
}
