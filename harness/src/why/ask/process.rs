//! The process that makes the calls, as steps that happened before them.

use perfsec_wire::step::{Capset, Prctl, Unshare, UnshareFlag, Write};
use perfsec_wire::{CapSet, Step};

use crate::case::UNPRIVILEGED;
use crate::why::facts::Facts;

/// A process that is about to execute the program, or to make the calls itself.
pub(super) struct Process {
    /// Its user ID in the initial namespace.
    pub(super) uid: u32,
    /// Its capabilities at first.
    pub(super) caps: CapSet,
    /// The steps that brought it to its state.
    pub(super) before: Vec<Step>,
}

impl Process {
    /// The process that the facts describe.
    pub(super) fn of(facts: &Facts) -> Self {
        let inside = facts.uid.value;
        let userns = facts.userns.value;
        let uid = if userns { UNPRIVILEGED } else { inside };
        let bounding = facts.bounding.value;
        let caps = match &facts.effective {
            Some(held) => held.value,
            None if inside == 0 => bounding,
            None => facts.ambient.value,
        };
        let mut before = Vec::new();
        if userns {
            before.push(Step::Unshare(Unshare { flags: vec![UnshareFlag::Newuser] }));
            // Root of the namespace is the user who made it.
            let text = format!("{inside} {uid} 1");
            before.push(Step::Write(Write { fd: "uid_map".to_owned(), text }));
        }
        let missing = CapSet(CapSet::ALL.0 & !bounding.0);
        before.push(Step::Prctl(Prctl::CapbsetDrop(missing)));
        let inheritable = facts.ambient.value;
        before.push(Step::Capset(Capset { permitted: caps, effective: caps, inheritable }));
        before.push(Step::Prctl(Prctl::CapAmbientRaise(inheritable)));
        if facts.no_new_privs.value {
            before.push(Step::Prctl(Prctl::SetNoNewPrivs));
        }
        Self { uid, caps, before }
    }
}
