//! The section on each patch: that it does not apply, build or boot, and the cells that it changes.

use super::super::deaths::excerpt;
use super::super::failures::ROOM;
use super::super::page::Page;
use super::super::plain;
use super::changes;
use crate::counted::counted;
use crate::kbuild::Diagnostic;
use crate::series::{
    ApplyResult, BaseOutcome, BootResult, BuildResult, KernelRun, PatchOutcome, RejectedHunk,
    SeriesOutcome, TestResult,
};

/// Number of warnings of a patch that are shown.
const WARNINGS: usize = 20;

/// Number of patches named without their changes.
const NAMED: usize = 100;

/// Writes a section for each patch that needs one.
pub(super) fn write(outcome: &SeriesOutcome, page: &mut Page) {
    base(&outcome.base, page);
    let reported: Vec<&PatchOutcome> =
        outcome.patches.iter().filter(|patch| needs_section(patch)).collect();
    let mut left = reported.as_slice();
    while let [patch, rest @ ..] = left
        && page.size() <= ROOM
    {
        one(patch, outcome, page);
        left = rest;
    }
    if left.is_empty() {
        return;
    }
    page.heading("Without their transcripts, to save space:");
    for patch in left.iter().take(NAMED) {
        let changed = patch.changed.as_ref().map_or(0, |changed| changed.comparison.different());
        let cells = counted(changed, "cell");
        page.item(2, &format!("patch {} changes {cells}: {}", patch.number, patch.subject));
    }
    if left.len() > NAMED {
        page.prose(2, &format!("and {} more", left.len() - NAMED));
    }
}

/// True if there is anything to report about a patch.
fn needs_section(patch: &PatchOutcome) -> bool {
    matches!(patch.apply, ApplyResult::Failed { .. })
        || matches!(patch.build, Some(BuildResult::Failed { .. }))
        || !patch.new_warnings().is_empty()
        || boot(patch.tested.as_ref()).is_some()
        || patch.changed.as_ref().is_some_and(changes::any)
}

fn base(base: &BaseOutcome, page: &mut Page) {
    let failed = matches!(base.build, Some(BuildResult::Failed { .. }));
    let boot = boot(base.tested.as_ref());
    if failed || boot.is_some() {
        page.title(&format!("Base {}:", base.describe));
        build(base.build.as_ref(), page);
        boot.into_iter().for_each(|boot| not_booted(boot, page));
    }
}

pub(super) fn one(patch: &PatchOutcome, outcome: &SeriesOutcome, page: &mut Page) {
    page.title(&format!("Patch {}/{}: {}", patch.number, outcome.patches.len(), patch.subject));
    if let ApplyResult::Failed { places, message } = &patch.apply {
        not_applied(places, message, page);
    }
    build(patch.build.as_ref(), page);
    warnings(patch.new_warnings(), page);
    boot(patch.tested.as_ref()).into_iter().for_each(|boot| not_booted(boot, page));
    if let Some(changed) = patch.changed.as_ref().filter(|changed| changes::any(changed)) {
        if changed.against + 1 != patch.number {
            page.gap();
            let than = match changed.against {
                0 => "the base".to_owned(),
                number => format!("patch {number}"),
            };
            page.prose(2, &format!("compared with {than}, the last kernel before it that ran"));
        }
        changes::patch(changed, outcome, page);
    }
}

fn not_applied(places: &[RejectedHunk], message: &str, page: &mut Page) {
    page.gap();
    page.prose(2, "does not apply, so no patch of the series was built:");
    for place in places {
        page.verbatim(4, &format!("{}:{}", place.file, place.line));
    }
    if places.is_empty() {
        page.item(4, message);
    }
}

fn build(build: Option<&BuildResult>, page: &mut Page) {
    let Some(BuildResult::Failed { first, .. }) = build else { return };
    page.gap();
    match first {
        Some(error) => {
            page.prose(2, "does not build; the first error:");
            page.verbatim(4, &words(error));
        }
        None => page.prose(2, "does not build; the compiler gives no reason, but the log does"),
    }
}

fn warnings(warnings: &[Diagnostic], page: &mut Page) {
    if warnings.is_empty() {
        return;
    }
    page.gap();
    page.prose(2, "new compiler warnings:");
    for warning in warnings.iter().take(WARNINGS) {
        page.verbatim(4, &words(warning));
    }
    if warnings.len() > WARNINGS {
        page.prose(4, &format!("and {}", counted(warnings.len() - WARNINGS, "more warning")));
    }
}

/// The compiler's message with ASCII quotes.
fn words(diagnostic: &Diagnostic) -> String {
    plain::prose(&diagnostic.to_string())
}

/// The boot of a kernel, if it could not be tested.
fn boot(tested: Option<&TestResult>) -> Option<&BootResult> {
    match tested {
        Some(TestResult::Ran(KernelRun {
            boot: boot @ (BootResult::Died { .. } | BootResult::Refused { .. }),
            ..
        })) => Some(boot),
        _ => None,
    }
}

fn not_booted(boot: &BootResult, page: &mut Page) {
    let (words, cause, console) = match boot {
        BootResult::Booted => return,
        BootResult::Died { cause, console } => ("died before its first cell", cause, console),
        BootResult::Refused { reason, console } => ("cannot be tested", reason, console),
    };
    page.gap();
    page.item(2, &format!("{words}: {cause}"));
    page.gap();
    excerpt(console, cause, 4, page);
}
