//! The AVC records of a run's cells.

use perfsec_wire::observation::Effect;

use crate::audit::Denial;
use crate::record::CellResult;

/// The type of an AVC record (include/uapi/linux/audit.h).
const AVC: u16 = 1400;

/// What SELinux logged while a cell ran, in the order in which it came.
pub fn denials(cell: &CellResult) -> impl Iterator<Item = Denial> {
    let observation = cell.observation.iter();
    let effects = observation
        .flat_map(|seen| seen.calls.iter().flat_map(|call| &call.effects).chain(&seen.outside));
    effects.filter_map(|effect| match effect {
        Effect::Record(record) if record.kind == AVC => Denial::parse(&record.text)?.ok(),
        _ => None,
    })
}
