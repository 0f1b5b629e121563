//! Compares two surveys: two policies, two kernels, or one with and without a module.

use std::collections::BTreeMap;

use super::outcome::{Column, Outcome, Survey};
use super::text::reason;
use crate::counted::counted;
use crate::text::{Text, line};

/// The difference between two surveys.
#[derive(Debug, Default)]
pub struct SurveyDifference<'a> {
    /// Contexts that only the first has.
    pub gone: Vec<&'a str>,
    /// Contexts that only the second has.
    pub new: Vec<&'a str>,
    /// Outcomes that differ, with the contexts in which they do.
    pub changed: BTreeMap<(&'a Column, &'a Outcome, &'a Outcome), Vec<&'a str>>,
}

impl SurveyDifference<'_> {
    /// True if nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.new.is_empty() && self.changed.is_empty()
    }
}

/// The difference between two surveys, in the columns that both have.
#[must_use]
pub fn difference<'a>(before: &'a Survey, after: &'a Survey) -> SurveyDifference<'a> {
    let by_context = |survey: &'a Survey| -> BTreeMap<&'a str, &'a [Outcome]> {
        survey.rows.iter().map(|row| (row.context.as_str(), row.outcomes.as_slice())).collect()
    };
    let (old, new) = (by_context(before), by_context(after));
    let mut found = SurveyDifference {
        gone: old.keys().filter(|context| !new.contains_key(*context)).copied().collect(),
        new: new.keys().filter(|context| !old.contains_key(*context)).copied().collect(),
        changed: BTreeMap::new(),
    };
    for (at, column) in before.columns.iter().enumerate() {
        let Some(other) = after.columns.iter().position(|it| it == column) else { continue };
        for (context, outcomes) in &old {
            let (Some(a), Some(b)) =
                (outcomes.get(at), new.get(context).and_then(|outcomes| outcomes.get(other)))
            else {
                continue;
            };
            if a != b {
                found.changed.entry((column, a, b)).or_default().push(context);
            }
        }
    }
    found
}

/// The difference as a person reads it.
#[must_use]
pub fn render(before: &Survey, after: &Survey) -> Text {
    let found = difference(before, after);
    let mut text = Text::new();
    line!(text, "- {}, {}", before.policy, before.kernel);
    line!(text, "+ {}, {}", after.policy, after.kernel);
    for (sign, words, contexts) in [('-', "no longer", &found.gone), ('+', "now", &found.new)] {
        if !contexts.is_empty() {
            line!(text);
            line!(text, "{} {words} can use perf or BPF:", counted(contexts.len(), "domain"));
            contexts.iter().for_each(|context| line!(text, "{sign} {context}"));
        }
    }
    for ((column, a, b), contexts) in &found.changed {
        line!(text);
        line!(text, "{} (level {}), {}:", column.operation, column.level, column.grant);
        contexts.iter().for_each(|context| line!(text, "  {context}"));
        for (sign, outcome) in [('-', a), ('+', b)] {
            let word = if matches!(outcome, Outcome::Allowed { .. }) { "yes" } else { "no" };
            line!(text, "{sign}   {word}, {}", reason(outcome));
            outcome.logged().iter().for_each(|record| line!(text, "{sign}     {record}"));
        }
    }
    if found.is_empty() {
        line!(text, "nothing differs");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Row;
    use super::*;

    fn survey(rows: Vec<Row>) -> Survey {
        let column = Column {
            operation: "profile a CPU".to_owned(),
            case: "open/cpu-user".to_owned(),
            level: 1,
            grant: "perfmon".to_owned(),
        };
        Survey {
            format: Survey::FORMAT,
            kernel: "Linux 6.1".to_owned(),
            policy: "a policy".to_owned(),
            policy_sha256: String::new(),
            undefined: Vec::new(),
            columns: vec![column],
            rows,
            confirmed: Vec::new(),
        }
    }

    fn row(context: &str, logged: &[&str]) -> Row {
        let logged = logged.iter().map(|it| (*it).to_owned()).collect();
        let outcome = Outcome::Allowed { by: "capability2 { perfmon }".to_owned(), logged };
        Row { context: context.to_owned(), outcomes: vec![outcome] }
    }

    #[test]
    fn a_record_that_is_new_is_told_with_the_domains_in_which_it_is() {
        let record = "avc denied { perfmon } capability=38 tclass=capability2";
        let (a, b) = ("staff_u:staff_r:staff_t:s0", "user_u:user_r:user_t:s0");
        let before = survey(vec![row(a, &[]), row(b, &[])]);
        let after = survey(vec![row(a, &[record])]);
        let found = difference(&before, &after);
        assert_eq!(
            (found.gone.as_slice(), found.new.len(), found.changed.len()),
            ([b].as_slice(), 0, 1)
        );
        let text = render(&before, &after).plain();
        assert!(text.contains("1 domain no longer can use perf or BPF:\n- user_u"), "{text}");
        let changed = "profile a CPU (level 1), perfmon:\n  staff_u:staff_r:staff_t:s0\n\
                       -   yes, by capability2 { perfmon }\n\
                       +   yes, by capability2 { perfmon }, but logged:\n\
                       +     avc denied { perfmon } capability=38 tclass=capability2\n";
        assert!(text.ends_with(changed), "{text}");
    }

    #[test]
    fn equal_surveys_do_not_differ() {
        let one = survey(vec![row("u:r:a_t:s0", &[])]);
        assert!(difference(&one, &one.clone()).is_empty());
        assert!(render(&one, &one).plain().ends_with("nothing differs\n"));
    }
}
