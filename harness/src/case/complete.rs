//! Checks that a case is complete: one expectation for each cell, and a control for each denial.

use super::error::Mistakes;
use super::lines::line_span;
use super::{Case, Expect, GuardedTranscript, Selector};

/// Selects whether a case may lack expectations and controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Required,
    Optional,
}

/// Gives cells without an expectation an empty one, which no observation matches.
pub(super) fn fill(case: &mut Case) {
    if case.questions.is_some() {
        return;
    }
    for at in case.axes.coordinates() {
        if case.expects.iter().any(|expect| expect.selector.selects(&at)) {
            continue;
        }
        let selector = Selector {
            domain: Some(vec![at.domain]),
            paranoid: Some(vec![at.paranoid]),
            grant: Some(vec![at.grant]),
            mode: Some(vec![at.mode]),
        };
        let (line, transcript) = (case.text.lines().count(), GuardedTranscript::default());
        case.expects.push(Expect { selector, transcript, xfail: None, line });
    }
}

/// Checks that each expectation has a cell, and each denial a control.
pub(super) fn check_controls(case: &Case, mistakes: &mut Mistakes<'_>) {
    for expect in &case.expects {
        if !case.axes.coordinates().any(|at| expect.selector.selects(&at)) {
            let span = line_span(&case.text, expect.line);
            mistakes.add(span, "this expectation selects no cell", None);
        }
    }
    if let Some(at) =
        case.axes.coordinates().find(|at| case.expects_denial(at) && case.control(at).is_none())
        && case.control.is_none()
    {
        let message =
            format!("the cell `{}` expects a denial and has no control", case.cell_name(&at));
        let help = "add a domain or a grant with which the same steps succeed, or set `control` \
                    to a case in which they do: otherwise the case passes even if nothing works";
        mistakes.add(line_span(&case.text, case.line_of(&at)), message, Some(help));
    }
}

/// The most conditions on which one case may depend: each combination of them is evaluated.
const MOST_CONDITIONS: usize = 12;

/// Checks that the conditions of the case can be combined.
pub(super) fn check_conditions(case: &Case, mistakes: &mut Mistakes<'_>) {
    let number = case.asked_conditions().len();
    if number > MOST_CONDITIONS {
        let message = format!("the questions depend on {number} conditions");
        let help = format!("split the case: at most {MOST_CONDITIONS} can be combined");
        mistakes.add(0..0, message, Some(&help));
    }
}

/// True if each cell has exactly one expectation, or none where it is computed; reports the first
/// that has not.
pub(super) fn check_cells(case: &Case, mistakes: &mut Mistakes<'_>) -> bool {
    for at in case.axes.coordinates() {
        let mut matching = case.expects.iter().filter(|expect| expect.selector.selects(&at));
        match (matching.next(), matching.next()) {
            (Some(_), None) => continue,
            (None, _) if case.questions.is_some() => continue,
            (None, _) => {
                let message = format!("no expectation for the cell `{}`", case.cell_name(&at));
                let help = "add an `[[expect]]` whose keys select it, or take it out of the axes";
                let span = line_span(&case.text, case.text.lines().count());
                mistakes.add(span, message, Some(help));
            }
            (Some(first), Some(second)) => {
                let message = format!("two expectations for the cell `{}`", case.cell_name(&at));
                let help = format!("the other one begins in line {}", first.line);
                mistakes.add(line_span(&case.text, second.line), message, Some(&help));
            }
        }
        // One example is enough to find the place; a forgotten axis would report hundreds.
        return false;
    }
    true
}
