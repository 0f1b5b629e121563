//! The observations of a kernel that decides as it should.

use perfsec_wire::observation::{Call, CapCheck, Effect, Exit, Observation, SubjectSeen};
use perfsec_wire::{CapSet, Cell};

/// True if the subject holds a capability.
pub(crate) fn holds(cell: &Cell) -> bool {
    cell.subject.grant != CapSet::EMPTY
}

/// A healthy kernel's answer to a step that CAP_PERFMON allows.
pub(crate) fn healthy(cell: &Cell) -> Observation {
    let held = holds(cell);
    let minus = if held { 0 } else { -1 };
    let check = CapCheck { cap: 38, opts: 0, commoncap: minus, verdict: minus };
    Observation {
        subject: SubjectSeen {
            pid: 100 + cell.id,
            uid: 1000,
            permitted: cell.subject.grant,
            effective: cell.subject.grant,
            context: cell.subject.context.clone(),
        },
        mode: cell.mode,
        processes: Vec::new(),
        heirs: Vec::new(),
        calls: vec![Call {
            step: 0,
            result: if held { 7 } else { -13 },
            text: None,
            raw: None,
            program: None,
            effects: vec![Effect::Cap(check)],
        }],
        outside: Vec::new(),
        exit: Exit::Finished,
        lost: 0,
        caps_unseen: None,
        micros: 5000,
    }
}
