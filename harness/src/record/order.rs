//! The order of the events of a finished record. It does not depend on the number of guests: a
//! record that was written while several of them ran has its events in the order of their arrival.

use super::Event;

/// Place of an event in a finished record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The first event.
    Run,
    /// An event of the lane with this number.
    Lane(usize, LanePlace),
    /// The last event.
    End,
}

/// Place of an event in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LanePlace {
    /// The lane begins.
    Begin,
    /// An event of the boot with this number.
    Boot(usize, BootPlace),
    /// An event of the cell with this number.
    Cell(usize, CellPlace),
    /// The lane is over.
    End,
}

/// Place of an event of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CellPlace {
    Answers,
    Result,
}

/// Place of an event in the life of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BootPlace {
    Ready,
    Coverage,
    Death,
}

impl Event {
    /// Its place in a finished record.
    pub(super) fn place(&self) -> Place {
        let of_boot = |lane, boot, place| Place::Lane(lane, LanePlace::Boot(boot, place));
        let of_cell = |lane, number, place| Place::Lane(lane, LanePlace::Cell(number, place));
        match self {
            Self::Run(_) => Place::Run,
            Self::Lane(lane) => Place::Lane(lane.lane, LanePlace::Begin),
            Self::Ready(ready) => of_boot(ready.lane, ready.boot, BootPlace::Ready),
            Self::Coverage(seen) => of_boot(seen.lane, seen.boot, BootPlace::Coverage),
            Self::Death(death) => of_boot(death.lane, death.boot, BootPlace::Death),
            Self::Answers(it) => of_cell(it.lane, it.number, CellPlace::Answers),
            Self::Cell(cell) => of_cell(cell.lane, cell.number, CellPlace::Result),
            Self::LaneEnd(end) => Place::Lane(end.lane, LanePlace::End),
            Self::End(_) => Place::End,
        }
    }
}
