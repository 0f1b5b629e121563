//! The verdict on a run as a whole: its headline, and if it earns a `Tested-by:` line.

use super::labels::{TestedKernel, kernels, list};
use super::page::WIDTH;
use super::plain;
use crate::counted::{counted, inflected};
use crate::judge::Verdict;
use crate::record::Run;

/// True if the report of a run may end with a `Tested-by:` line: the run [`passes`] and has all
/// cells. A run of one shard, or of the cells that a filter selects, has not tested the kernel.
#[must_use]
pub fn earns_tested_by(run: &Run) -> bool {
    passes(run) && run.started.asked.is_whole()
}

/// True if every cell that was asked for was judged, and none failed.
///
/// A known difference that is gone counts against it: its replacement has not been reviewed.
#[must_use]
pub fn passes(run: &Run) -> bool {
    let counts = run.counts();
    let bad = |verdict: Verdict| verdict.is_bad() || verdict == Verdict::Xpass;
    let whole = run.end.as_ref().is_some_and(|end| !end.interrupted) && run.unseen() == 0;
    let lanes = run.lanes.iter().all(|lane| {
        lane.end.as_ref().is_some_and(|end| end.refused.is_none()) && lane.deaths.is_empty()
    });
    let none_bad = counts.iter().all(|(verdict, _)| !bad(verdict));
    whole && lanes && counts.get(Verdict::Pass) > 0 && none_bad
}

/// The verdict in one line, which is also the subject of a mail.
pub(super) fn headline(run: &Run) -> String {
    let kernels = kernels(run);
    // Kernel versions are included if they fit.
    let shard = run.started.asked.filter.shard;
    let shard = shard.map_or(String::new(), |shard| format!("shard {shard}: "));
    let lines =
        [true, false].map(|named| format!("perfsec: {shard}{}", verdict(run, &kernels, named)));
    let [named, short] = lines.map(|line| plain::prose(&line));
    if named.len() <= WIDTH { named } else { short }
}

fn verdict(run: &Run, kernels: &[TestedKernel<'_>], named: bool) -> String {
    let counts = run.counts();
    let part = |some: &[&TestedKernel<'_>]| some_kernels(some, kernels, named);
    let whole = all_kernels(kernels, named);
    let failing: Vec<_> = kernels.iter().filter(|tested| fails(tested)).collect();
    let refusing: Vec<_> = kernels.iter().filter(|tested| refuses(tested)).collect();
    let ran = counts.total() + run.unseen() - counts.get(Verdict::Skip);
    let unjudged = counts.get(Verdict::Error) + counts.get(Verdict::Miss) + run.unseen();
    let of = |some: usize| {
        format!("{some} of {} {} not", counted(ran, "cell"), inflected(some, "is", "are"))
    };
    if !failing.is_empty() {
        let fail = inflected(failing.len(), "fails", "fail");
        return format!("{} {fail}: {} as expected", part(&failing), of(counts.get(Verdict::Fail)));
    }
    if !refusing.is_empty() {
        return format!("{} cannot be tested", part(&refusing));
    }
    let flaky = counts.get(Verdict::Flaky);
    if flaky > 0 {
        let are = inflected(flaky, "is", "are");
        return format!("{flaky} of {} {are} flaky on {whole}", counted(ran, "cell"));
    }
    if unjudged > 0 {
        return format!("{} judged on {whole}", of(unjudged));
    }
    let (passed, gone) = (counts.get(Verdict::Pass), counts.get(Verdict::Xpass));
    if gone > 0 {
        let pass = inflected(gone, "passes", "pass");
        return format!("{} known to differ {pass} on {whole}", counted(gone, "cell"));
    }
    let lanes = || run.lanes.iter();
    if run.end.as_ref().is_none_or(|end| end.interrupted) || lanes().any(|lane| lane.end.is_none())
    {
        return format!("the run on {whole} did not end");
    }
    if lanes().any(|lane| !lane.deaths.is_empty()) {
        return format!("no cell fails, but a boot died on {whole}");
    }
    match (passed, counts.get(Verdict::Xfail)) {
        (0, 0) => return format!("no cell ran on {whole}"),
        (0, _) => return format!("only known differences on {whole}"),
        _ => {}
    }
    let pass = inflected(kernels.len(), "passes", "pass");
    format!("{whole} {pass}: {} as expected", counted(passed, "cell"))
}

/// Names some of the kernels.
fn some_kernels(some: &[&TestedKernel<'_>], all: &[TestedKernel<'_>], named: bool) -> String {
    if some.len() == all.len() {
        return all_kernels(all, named);
    }
    let labels: Vec<&str> = some.iter().map(|tested| tested.label.as_str()).collect();
    let labels = if named { format!(" ({})", labels.join(", ")) } else { String::new() };
    format!("{} of {}{labels}", some.len(), counted(all.len(), "kernel"))
}

/// Names all kernels.
fn all_kernels(all: &[TestedKernel<'_>], named: bool) -> String {
    let labels: Vec<&str> = all.iter().map(|tested| tested.label.as_str()).collect();
    match named && !all.is_empty() {
        true => format!("Linux {}", list(&labels)),
        false => counted(all.len(), "kernel"),
    }
}

fn fails(tested: &TestedKernel<'_>) -> bool {
    tested.lanes.iter().any(|lane| lane.counts().get(Verdict::Fail) > 0)
}

fn refuses(tested: &TestedKernel<'_>) -> bool {
    tested.lanes.iter().any(|lane| lane.refused().is_some())
}

#[cfg(test)]
mod tests {
    use perfsec_wire::Mode;
    use rstest::rstest;

    use super::super::fixture;
    use super::*;
    use crate::plan::Filter;
    use crate::record::LaneRefusal;

    #[test]
    fn a_complete_run_without_a_failure_passes_and_earns_tested_by() {
        assert!(passes(&fixture::passed()));
        assert!(earns_tested_by(&fixture::passed()));
        assert_eq!(
            headline(&fixture::passed()),
            "perfsec: Linux 7.3.4 and 6.1.192 pass: 36 cells as expected"
        );
    }

    /// Each is the only thing wrong with a run that would pass.
    #[rstest]
    #[case::fail(
        |run: &mut Run| first(run, Verdict::Fail),
        "2 kernels (7.3.4) fails: 1 of 36 cells is not as"
    )]
    #[case::flaky(
        |run: &mut Run| first(run, Verdict::Flaky),
        "1 of 36 cells is flaky on Linux 7.3.4 and"
    )]
    #[case::error(
        |run: &mut Run| first(run, Verdict::Error),
        "1 of 36 cells is not judged on Linux 7.3.4 and"
    )]
    #[case::miss(
        |run: &mut Run| first(run, Verdict::Miss),
        "1 of 36 cells is not judged on Linux 7.3.4 and"
    )]
    #[case::xpass(
        |run: &mut Run| first(run, Verdict::Xpass),
        "1 cell known to differ passes on Linux 7.3.4 and"
    )]
    #[case::cut(|run: &mut Run| run.end = None, "the run on Linux 7.3.4 and 6.1.192 did not end")]
    #[case::interrupted(interrupt, "the run on Linux 7.3.4 and 6.1.192 did not end")]
    #[case::unseen(|run: &mut Run| run.started.cells += 1, "1 of 37 cells is not judged on")]
    #[case::lane_cut(
        |run: &mut Run| run.lanes[0].end = None,
        "the run on Linux 7.3.4 and 6.1.192 did not end"
    )]
    #[case::refused(refuse, "1 of 2 kernels (6.1.192) cannot be tested")]
    #[case::died(
        |run: &mut Run| run.lanes[0].deaths = fixture::run().lanes[0].deaths.clone(),
        "but a boot died on"
    )]
    #[case::nothing_ran(
        |run: &mut Run| all(run, Verdict::Skip),
        "no cell ran on Linux 7.3.4 and 6.1.192"
    )]
    #[case::all_known(
        |run: &mut Run| all(run, Verdict::Xfail),
        "only known differences on Linux"
    )]
    fn a_run_does_not_pass_when_anything_is_wrong(
        #[case] break_it: fn(&mut Run),
        #[case] words: &str,
    ) {
        let mut run = fixture::passed();
        break_it(&mut run);
        assert!(!passes(&run) && !earns_tested_by(&run));
        let line = headline(&run);
        assert!(line.contains(words) && line.len() <= WIDTH, "{line}");
    }

    /// Each is a filter, or a shard.
    #[rstest]
    #[case::shard(|filter: &mut Filter| filter.shard = "2/3".parse().ok())]
    #[case::name(|filter: &mut Filter| filter.names = vec!["open/cpu".to_owned()])]
    #[case::every_name(|filter: &mut Filter| filter.names = vec!["*".to_owned()])]
    #[case::grant(|filter: &mut Filter| filter.grants = vec!["perfmon".parse().unwrap()])]
    #[case::mode(|filter: &mut Filter| filter.modes = vec![Mode::Enforcing])]
    fn a_run_of_some_cells_passes_and_earns_no_tested_by(#[case] select: fn(&mut Filter)) {
        let mut run = fixture::passed();
        select(&mut run.started.asked.filter);
        assert!(passes(&run) && !earns_tested_by(&run));
    }

    #[test]
    fn a_shard_says_so_before_its_verdict() {
        let mut run = fixture::passed();
        run.started.asked.filter.shard = "2/3".parse().ok();
        assert!(headline(&run).starts_with("perfsec: shard 2/3: Linux "), "{}", headline(&run));
    }

    fn first(run: &mut Run, verdict: Verdict) {
        let cells = &mut run.lanes[1].cells;
        let cell = cells.iter_mut().find(|cell| cell.judgement.verdict == Verdict::Pass);
        cell.unwrap().judgement.verdict = verdict;
    }

    fn all(run: &mut Run, verdict: Verdict) {
        let cells = run.lanes.iter_mut().flat_map(|lane| &mut lane.cells);
        cells.for_each(|cell| cell.judgement.verdict = verdict);
    }

    fn interrupt(run: &mut Run) {
        run.end.as_mut().unwrap().interrupted = true;
    }

    fn refuse(run: &mut Run) {
        let refused = LaneRefusal { reason: "no SELinux".to_owned(), console: String::new() };
        run.lanes[0].end.as_mut().unwrap().refused = Some(refused);
    }

    #[test]
    fn the_versions_are_omitted_if_they_do_not_fit() {
        let mut run = fixture::run();
        for number in 2..9 {
            let mut lane = run.lanes[0].clone();
            lane.started.lane = number;
            lane.started.kernel.image.as_mut().unwrap().sha256 = number.to_string();
            lane.started.kernel.version.patch = 1000 + number as u32;
            run.lanes.push(lane);
        }
        assert!(
            headline(&run).starts_with("perfsec: 9 kernels fail: 63 of "),
            "{}",
            headline(&run)
        );
    }
}
