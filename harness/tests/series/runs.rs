//! Runs for tests: parts of a real record stand for the kernels of a series.

use std::sync::LazyLock;

use perfsec::record::{self, Run};

use crate::support::place;

/// The run of a kernel without the patches and of one with all of them. The differences are real.
pub(crate) fn runs() -> (Run, Run) {
    static BOTH: LazyLock<Run> =
        LazyLock::new(|| record::read(&place("different.jsonl")).expect("a record").run);
    let both = &*BOTH;
    let of = |at: usize| {
        let lanes: Vec<_> = both.lanes.iter().filter(|lane| lane.started.lane == at).collect();
        let mut run = Run { lanes: lanes.into_iter().cloned().collect(), ..both.clone() };
        run.started.cells = run.cells().count();
        run.started.command =
            ["perfsec", "series", "--expect", "/home/ann/meant.toml", "--make=LLVM=1"]
                .map(str::to_owned)
                .to_vec();
        run
    };
    let (before, mut after) = (of(0), of(1));
    after.lanes[0].started.kernel = before.lanes[0].started.kernel.clone();
    (before, after)
}

/// The run before the patches, with these cases taken from the run after all of them.
pub(crate) fn with(cases: &[&str]) -> Run {
    let (mut run, after) = runs();
    for cell in &mut run.lanes[0].cells {
        if cases.iter().any(|case| cell.name.starts_with(case)) {
            let new = after.cells().find(|new| new.name == cell.name).expect("the same cells");
            *cell = new.clone();
        }
    }
    run
}
