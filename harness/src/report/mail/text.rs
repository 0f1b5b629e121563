//! The text for a mailing list: plain ASCII, in the order in which a reviewer reads.

use super::address::Mailbox;
use super::labels::{count, kernels};
use super::page::Page;
use super::{deaths, failures, kernels as tested, others, reproduce, table, verdict};
use crate::record::Run;

/// The report.
///
/// `tester` vouches for a run that [`passes`](super::passes); their name is the only thing that is not made
/// ASCII. Without one, nobody does.
#[must_use]
pub fn text(run: &Run, tester: Option<&Mailbox>) -> String {
    let mut text = page(run).finish();
    if let Some(line) = tester.filter(|_| super::passes(run)).and_then(Mailbox::trailer) {
        text.push_str(&format!("\nTested-by: {line}\n"));
    }
    text
}

fn page(run: &Run) -> Page {
    let kernels = kernels(run);
    let mut page = Page::default();
    page.heading(&verdict::headline(run));
    page.gap();
    page.prose(2, &run.counts().to_string());
    if let Some(missing) = missing(run) {
        page.prose(2, &missing);
    }
    tested::write(run, &kernels, &mut page);
    table::write(run, kernels.len(), &mut page);
    failures::write(&kernels, &mut page);
    deaths::write(&kernels, &mut page);
    others::write(&kernels, &mut page);
    reproduce::write(run, &kernels, &mut page);
    page
}

/// What there is no result of, and why.
fn missing(run: &Run) -> Option<String> {
    let unseen = count(run.unseen(), "cell");
    match &run.end {
        None => Some(format!("The run did not end: {unseen} have no result.")),
        Some(end) if end.interrupted => {
            Some(format!("The run was interrupted: {unseen} have no result."))
        }
        Some(_) if run.unseen() > 0 => Some(format!("{unseen} have no result.")),
        Some(_) => None,
    }
}
