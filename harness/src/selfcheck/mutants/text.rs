//! Prints the progress and the result of a campaign.

use anstyle::{AnsiColor, Style};

use super::derive::Candidate;
use super::journal::Entry;
use super::outcome::MutantOutcome;
use super::score::{Judged, Score, Tally};
use crate::counted::counted;
use crate::prose::{MAIL_WIDTH, lines, options};
use crate::text::{Text, line, span};

const BAD: Style = AnsiColor::Red.on_default().bold();

/// Width of the verdict in a line of progress.
const WORD: usize = 9;
/// Widths of the columns of the table.
const NAME: usize = 34;
const NUMBER: usize = 6;

/// A mutant and its outcome, in one line; with `verbose`, how a cell noticed it.
#[must_use]
pub fn progress(entry: &Entry, verbose: bool) -> Text {
    let (word, detail) = match &entry.outcome {
        MutantOutcome::Killed { cell, by_area: true, .. } => ("killed", format!("by {cell}")),
        MutantOutcome::Killed { cell, by_area: false, .. } => {
            ("killed", format!("by {cell}, of another area"))
        }
        MutantOutcome::Died { cause } => ("died", cause.clone()),
        MutantOutcome::Survived { .. } => ("SURVIVED", survival(&entry.outcome).join("; ")),
        MutantOutcome::Identical => ("identical", "the image is the unchanged one".to_owned()),
        MutantOutcome::DoesNotCompile { error } => ("broken", error.clone()),
    };
    let mut text = Text::new();
    let separator = if detail.is_empty() { "" } else { "  " };
    line!(text, "{word:<WORD$}  {}{separator}{detail}", entry.name);
    if let (true, MutantOutcome::Killed { difference, .. }) = (verbose, &entry.outcome) {
        let difference: Text = difference.iter().map(Text::of_line).collect();
        text.append_with_prefix("           ", &difference);
    }
    text
}

/// The known facts about a survivor, one clause each.
fn survival(outcome: &MutantOutcome) -> Vec<String> {
    let MutantOutcome::Survived { reached_by, unjudged, differs } = outcome else {
        return Vec::new();
    };
    let reached = reached_by.map(|cells| match cells {
        0 => "no cell reaches it".to_owned(),
        1 => "1 cell reaches it".to_owned(),
        _ => format!("{cells} cells reach it"),
    });
    let compared = differs.then(|| "the image differs".to_owned());
    reached.into_iter().chain(compared).chain(unjudged.iter().cloned()).collect()
}

/// A mutant that was not tried: its place and its change.
#[must_use]
pub fn listed(candidate: &Candidate) -> Text {
    let mutant = &candidate.mutant;
    let alone = if mutant.is_switched() { "" } else { " (built alone)" };
    let twin =
        if candidate.nth > 1 { format!(" (nth = {})", candidate.nth) } else { String::new() };
    let mut text = Text::new();
    line!(text, "{}  {}:{}{twin}{alone}", mutant.name(), mutant.file, mutant.line);
    line!(text, "    {} -> {}", mutant.before, shown(&mutant.after));
    text
}

fn shown(after: &str) -> &str {
    if after.is_empty() { "(nothing)" } else { after }
}

/// The scores of the trees: tables by function and by operator, the holes with their patches, and
/// listed survivors that are out of date.
#[must_use]
pub fn report(scores: &[Score<'_>]) -> Text {
    let mut text = Text::new();
    for (at, score) in scores.iter().enumerate() {
        if at > 0 {
            line!(text);
        }
        write(&mut text, score);
    }
    text
}

fn write(text: &mut Text, score: &Score<'_>) {
    let total = score.total();
    line!(text, "{}: {}", score.kernel, counted(total.all(), "mutant"));
    table(text, "function", score.by(|entry| entry.function.clone()), total);
    table(text, "operator", score.by(|entry| entry.operator.to_string()), total);
    for entry in score.holes() {
        line!(text);
        text.paint(BAD, "HOLE")
            .line(format_args!("  {} ({}:{})", entry.name, entry.file, entry.line));
        survival(&entry.outcome).iter().for_each(|fact| line!(text, "      {fact}"));
        text.block(entry.patch.as_deref().unwrap_or_default());
    }
    if !score.noticed.is_empty() || !score.unknown.is_empty() {
        line!(text);
    }
    for (survivor, name) in &score.noticed {
        line!(text, "survivors.toml:{}: a cell notices {name} now", survivor.line);
    }
    if !score.unknown.is_empty() {
        let places: Vec<_> = score.unknown.iter().map(|it| it.line.to_string()).collect();
        let words = format!(
            "survivors.toml describes mutants that this record lacks, and which are out of date if \
             it has all mutants of the tree: lines {}",
            places.join(", ")
        );
        lines(&words, options(MAIL_WIDTH)).iter().for_each(|part| line!(text, "{part}"));
    }
    line!(text);
    text.append(&summary(total));
}

fn table(text: &mut Text, title: &str, rows: Vec<(String, Tally)>, total: Tally) {
    line!(text);
    span!(text, "{title:<NAME$}");
    for heading in ["all", "killed", "died", "holes", "equiv", "unrch", "ident", "broken", "score"]
    {
        span!(text, " {heading:>NUMBER$}");
    }
    line!(text);
    for (name, tally) in rows.into_iter().chain([("total".to_owned(), total)]) {
        span!(text, "{name:<NAME$}");
        let Tally { killed, died, holes, equivalent, unreachable, identical, broken } = tally;
        let numbers =
            [tally.all(), killed, died, holes, equivalent, unreachable, identical, broken];
        for (at, number) in numbers.into_iter().enumerate() {
            let shown = if number == 0 { "-".to_owned() } else { number.to_string() };
            span!(text, " ");
            if at == HOLES && number > 0 {
                text.paint(BAD, format_args!("{shown:>NUMBER$}"));
            } else {
                span!(text, "{shown:>NUMBER$}");
            }
        }
        let score = tally.score().map_or("-".to_owned(), |score| format!("{score:.1}"));
        line!(text, " {score:>NUMBER$}");
    }
}

/// Index of the column of holes.
const HOLES: usize = 3;

/// The score in one sentence.
fn summary(total: Tally) -> Text {
    let mut text = Text::new();
    let (Some(score), Some(reachable)) = (total.score(), total.reachable_score()) else {
        line!(text, "no mutant makes a difference");
        return text;
    };
    let (noticed, whole) = (total.noticed(), counted(total.counted(), "mutant"));
    span!(text, "score: {score:.1} % ({noticed} of {whole} that make a difference)");
    if total.unreachable > 0 {
        span!(text, ", {reachable:.1} % of those that a guest reaches");
    }
    line!(text);
    if total.holes > 0 {
        line!(text, "{} unjudged: each is a hole in the suite", counted(total.holes, "survivor"));
    }
    text
}

/// True if every survivor has an excuse.
#[must_use]
pub fn is_without_holes(scores: &[Score<'_>]) -> bool {
    let holes = |score: &Score<'_>| score.mutants.iter().any(|(_, it)| *it == Judged::Hole);
    !scores.iter().any(holes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::fixture::{broken, died, entry, killed, survived};
    use super::super::survivors::Survivors;
    use super::*;

    #[rstest]
    #[case(killed(), "killed     f/drop-check/1  by open/a\n")]
    #[case(died(), "died       f/drop-check/1  kernel panic\n")]
    #[case(survived(), "SURVIVED   f/drop-check/1  3 cells reach it; the image differs\n")]
    #[case(broken(), "broken     f/drop-check/1  'x' undeclared\n")]
    fn an_outcome_has_one_line(#[case] outcome: MutantOutcome, #[case] expected: &str) {
        assert_eq!(progress(&entry("f", outcome), false).plain(), expected);
    }

    #[test]
    fn the_difference_follows_on_request() {
        let text = progress(&entry("f", killed()), true).plain();
        assert!(text.ends_with("\n           -f() = EACCES\n           +f() = 0\n"), "{text}");
    }

    #[test]
    fn a_hole_is_shown_with_its_patch() {
        let entries = [entry("a", killed()), entry("b", survived())];
        let survivors = Survivors::default();
        let scores = Score::of(&entries, &survivors);
        assert!(!is_without_holes(&scores));
        let text = report(&scores).plain();
        let hole = "HOLE  b/drop-check/1 (kernel/core.c:7)\n      3 cells reach it\n";
        assert!(text.contains(hole), "{text}");
        assert!(text.contains("\n-\tif (err)\n"), "{text}");
        let end = "score: 50.0 % (1 of 2 mutants that make a difference)\n\
                   1 survivor unjudged: each is a hole in the suite\n";
        assert!(text.ends_with(end), "{text}");
    }
}
