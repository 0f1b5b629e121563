//! Estimates of what the guests of a lane cost, from those seen so far.

use std::time::Duration;

/// Until measured: on an emulated CPU a stock kernel boots in the time of some 400 cells, and a
/// snapshot is restored in that of some 80. Under KVM a boot costs relatively more, and guests join
/// a little too early.
const BOOT: Duration = Duration::from_millis(2800);
const RESTORE: Duration = Duration::from_millis(560);
const CELL: Duration = Duration::from_millis(7);

/// The share of a new measurement in a mean.
const WEIGHT: u32 = 16;

/// Mean times of a lane.
#[derive(Debug, Default)]
pub(super) struct Pace {
    boot: Option<Duration>,
    restore: Option<Duration>,
    cell: Option<Duration>,
}

impl Pace {
    /// The time until a guest is ready. If it `may_be_restored` it is assumed to be: the first guest
    /// of a lane leaves a snapshot for the others, and if it did not, the next one shows.
    pub(super) fn start(&self, may_be_restored: bool) -> Duration {
        match (self.restore, self.boot) {
            (Some(restore), _) if may_be_restored => restore,
            (None, None) if may_be_restored => RESTORE,
            (_, Some(boot)) => boot,
            (_, None) => BOOT,
        }
    }

    /// The time of a cell.
    pub(super) fn cell(&self) -> Duration {
        self.cell.unwrap_or(CELL)
    }

    /// Notes a start.
    pub(super) fn note_start(&mut self, took: Duration, restored: bool) {
        *(if restored { &mut self.restore } else { &mut self.boot }) = Some(took);
    }

    /// Notes a cell.
    pub(super) fn note_cell(&mut self, took: Duration) {
        let mean = self.cell.map_or(took, |mean| (mean * (WEIGHT - 1) + took) / WEIGHT);
        self.cell = Some(mean);
    }
}
