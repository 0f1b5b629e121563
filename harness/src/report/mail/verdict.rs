//! What is said of a run as a whole: in one line, and whether somebody may vouch for it.

use super::labels::{Tested, count, kernels, list};
use super::page::WIDTH;
use super::plain;
use crate::judge::Verdict;
use crate::record::Run;

/// Whether everything was judged and nothing failed, so that a `Tested-by:` line is true.
///
/// A known difference that is gone counts against it: nobody has looked at what came in its place.
#[must_use]
pub fn passes(run: &Run) -> bool {
    let counts = run.counts();
    let bad = [Verdict::Fail, Verdict::Error, Verdict::Miss, Verdict::Xpass];
    let whole = run.end.as_ref().is_some_and(|end| !end.interrupted) && run.unseen() == 0;
    let lanes = run.lanes.iter().all(|lane| {
        lane.end.as_ref().is_some_and(|end| end.refused.is_none()) && lane.deaths.is_empty()
    });
    whole && lanes && counts.get(Verdict::Pass) > 0 && bad.iter().all(|bad| counts.get(*bad) == 0)
}

/// The run in one line, which is also the subject of a mail.
pub(super) fn headline(run: &Run) -> String {
    let kernels = kernels(run);
    // The versions are good to know, as long as there is room for them.
    let lines = [true, false].map(|named| format!("perfsec: {}", verdict(run, &kernels, named)));
    let [named, short] = lines.map(|line| plain::prose(&line));
    if named.len() <= WIDTH { named } else { short }
}

fn verdict(run: &Run, kernels: &[Tested<'_>], named: bool) -> String {
    let counts = run.counts();
    let part = |some: &[&Tested<'_>]| part(some, kernels, named);
    let whole = whole(kernels, named);
    let failing: Vec<_> = kernels.iter().filter(|tested| fails(tested)).collect();
    let refusing: Vec<_> = kernels.iter().filter(|tested| refuses(tested)).collect();
    let ran = counts.total() + run.unseen() - counts.get(Verdict::Skip);
    let unjudged = counts.get(Verdict::Error) + counts.get(Verdict::Miss) + run.unseen();
    let of = |some: usize| {
        let are = if some == 1 { "is" } else { "are" };
        format!("{some} of {} {are} not", count(ran, "cell"))
    };
    if !failing.is_empty() {
        let fail = if failing.len() == 1 { "fails" } else { "fail" };
        return format!("{} {fail}: {} as expected", part(&failing), of(counts.get(Verdict::Fail)));
    }
    if !refusing.is_empty() {
        return format!("{} cannot be tested", part(&refusing));
    }
    if unjudged > 0 {
        return format!("{} judged on {whole}", of(unjudged));
    }
    let (passed, gone) = (counts.get(Verdict::Pass), counts.get(Verdict::Xpass));
    if gone > 0 {
        return format!("{} known to differ pass on {whole}", count(gone, "cell"));
    }
    if passed + counts.get(Verdict::Xfail) == 0 {
        return format!("no cell ran on {whole}");
    }
    let pass = if kernels.len() == 1 { "passes" } else { "pass" };
    format!("{whole} {pass}: {} as expected", count(passed, "cell"))
}

/// Some of the kernels.
fn part(some: &[&Tested<'_>], all: &[Tested<'_>], named: bool) -> String {
    if some.len() == all.len() {
        return whole(all, named);
    }
    let labels: Vec<&str> = some.iter().map(|tested| tested.label.as_str()).collect();
    let labels = if named { format!(" ({})", labels.join(", ")) } else { String::new() };
    format!("{} of {}{labels}", some.len(), count(all.len(), "kernel"))
}

/// All kernels.
fn whole(all: &[Tested<'_>], named: bool) -> String {
    let labels: Vec<&str> = all.iter().map(|tested| tested.label.as_str()).collect();
    match named && !all.is_empty() {
        true => format!("Linux {}", list(&labels)),
        false => count(all.len(), "kernel"),
    }
}

fn fails(tested: &Tested<'_>) -> bool {
    tested.lanes.iter().any(|lane| lane.counts().get(Verdict::Fail) > 0)
}

fn refuses(tested: &Tested<'_>) -> bool {
    tested.lanes.iter().any(|lane| lane.refused().is_some())
}
