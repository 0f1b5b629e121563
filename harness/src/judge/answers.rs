//! Compares the answers of a loaded policy with its table of domains.

use std::collections::BTreeMap;

use perfsec_wire::PolicyAnswers;

use super::{Judgement, Verdict};
use crate::policy::{Access, AccessVector, TableAnswers};
use crate::transcript::FittedTranscript;

/// Differences that are printed.
const SHOWN: usize = 10;

/// Judges the answers to these accesses. Without a table, no answer is wrong.
#[must_use]
pub fn judge_answers(
    table: Option<&TableAnswers>,
    accesses: &[Access],
    answers: &PolicyAnswers,
    vectors: &[AccessVector],
) -> Judgement {
    let differences = table.map(|table| differences(table, accesses, answers, vectors));
    let mut differences = differences.unwrap_or_default().into_iter();
    let mut judgement = Judgement::unseen(Verdict::Pass, "", FittedTranscript::default());
    judgement.reason = differences.next();
    if judgement.reason.is_some() {
        judgement.verdict = Verdict::Fail;
        let more = differences.len().saturating_sub(SHOWN);
        judgement.notes = differences.take(SHOWN).collect();
        if more > 0 {
            judgement.notes.push(format!("{more} more answers differ"));
        }
    }
    judgement
}

fn differences(
    table: &TableAnswers,
    accesses: &[Access],
    answers: &PolicyAnswers,
    vectors: &[AccessVector],
) -> Vec<String> {
    let differ = |kernel: &dyn std::fmt::Display, policy: &dyn std::fmt::Display| {
        format!("the kernel's security server says `{kernel}`, the policy says `{policy}`")
    };
    let mut found = Vec::new();
    if answers.deny_unknown == table.allows_unknown() {
        let word = |denies: bool| if denies { "handleunknown deny" } else { "handleunknown allow" };
        found.push(differ(&word(answers.deny_unknown), &word(!table.allows_unknown())));
    }
    let vectors: BTreeMap<_, _> = vectors.iter().map(|it| (&it.access, it)).collect();
    for access in accesses {
        let Access { source, target, class } = access;
        match vectors.get(access) {
            None => found.push(differ(&"EINVAL", &format_args!("{source} {target} {class}"))),
            Some(vector) => {
                if let Some((kernel, policy)) = vector.difference(&table.vector(access)) {
                    found.push(differ(&kernel, &policy));
                }
            }
        }
    }
    found
}
