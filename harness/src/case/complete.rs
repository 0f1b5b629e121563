//! Whether a case is whole: every cell has one expectation, and every denial a control.

use std::ops::Range;

use super::lines::line_span;
use super::{Case, CaseError, Expect, Selector, Transcript};

/// Whether every cell must have its expectation already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completeness {
    Demanded,
    NotYet,
}

/// Gives cells without an expectation an empty one, which nothing that was seen agrees with.
pub(super) fn fill(case: &mut Case) {
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
        let (line, transcript) = (case.text.lines().count(), Transcript::default());
        case.expects.push(Expect { selector, transcript, xfail: None, line });
    }
}

/// Every cell has exactly one expectation, every expectation has a cell, and every denial a control.
pub(super) fn check(
    case: &Case,
    error: &impl Fn(Range<usize>, String, Option<String>) -> CaseError,
) -> Result<(), Vec<CaseError>> {
    let at_line = |line| line_span(&case.text, line);
    let mut errors = Vec::new();
    for at in case.axes.coordinates() {
        let mut matching = case.expects.iter().filter(|expect| expect.selector.selects(&at));
        match (matching.next(), matching.next()) {
            (Some(_), None) => {}
            (None, _) => {
                let message = format!("no expectation for the cell `{}`", case.cell_name(&at));
                let help = "add an `[[expect]]` whose keys select it, or take it out of the axes";
                errors.push(error(
                    at_line(case.text.lines().count()),
                    message,
                    Some(help.to_owned()),
                ));
            }
            (Some(first), Some(second)) => {
                let message = format!("two expectations for the cell `{}`", case.cell_name(&at));
                let help = format!("the other one begins in line {}", first.line);
                errors.push(error(at_line(second.line), message, Some(help)));
            }
        }
        // One example is enough to find the place.
        if !errors.is_empty() {
            return Err(errors);
        }
    }
    for expect in &case.expects {
        if !case.axes.coordinates().any(|at| expect.selector.selects(&at)) {
            let message = "this expectation selects no cell".to_owned();
            errors.push(error(at_line(expect.line), message, None));
        }
    }
    if let Some(at) =
        case.axes.coordinates().find(|at| case.expects_denial(at) && case.control(at).is_none())
        && case.control.is_none()
    {
        let message =
            format!("the cell `{}` expects a denial and has no control", case.cell_name(&at));
        let help = "add a domain or a grant with which the same steps succeed, or name a case in which \
                    they do as `control`: otherwise the case would pass although nothing works";
        let line = case.expect(&at).line;
        errors.push(error(at_line(line), message, Some(help.to_owned())));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
