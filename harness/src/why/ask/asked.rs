//! The outcome of the calls of a command.

use perfsec_wire::Step;

use crate::asks::{CheckedThing, MadeCheck};
use crate::errno::Errno;

/// The outcome of all calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The calls, in order, the exec of the program first.
    pub(crate) calls: Vec<AskedCall>,
}

/// The outcome of a call.
#[derive(Clone, Debug)]
pub(crate) struct AskedCall {
    /// The call.
    pub(crate) step: Step,
    /// Why the command makes it, as a clause.
    pub(crate) purpose: String,
    /// The questions that were asked, as if none had ended the call.
    pub(crate) checks: Vec<MadeCheck>,
    /// The questions that refuse, in order.
    pub(crate) refusals: Vec<CallRefusal>,
    /// The AVC records that the kernel logs until the first of them ends the call, in the short
    /// form of a transcript.
    pub(crate) records: Vec<String>,
}

/// A question that refuses a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallRefusal {
    /// The errno.
    pub(crate) errno: Errno,
    /// The function that asks, with those that call it.
    pub(crate) place: String,
    /// The reason, as a clause.
    pub(crate) because: String,
    /// The check that would have to pass.
    pub(crate) obstacle: Obstacle,
    /// The capabilities that the kernel asked for and the process does not hold.
    pub(crate) not_held: Vec<u32>,
    /// No record shows it.
    pub(crate) silent: bool,
}

/// An obstacle: the check behind a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A seccomp filter.
    SeccompFilter,
    /// A capability that is not in the effective set.
    Capability(u32),
    /// SELinux denies a held capability or a permission.
    Denial {
        /// The domain.
        source: String,
        /// The type or context of the target.
        target: String,
        /// The class.
        class: String,
        /// The permissions.
        permissions: Vec<String>,
    },
    /// The file asks for capabilities outside the bounding set.
    Bounding,
    /// The event cannot be opened like this, whatever the privileges.
    Invalid,
    /// Nothing lifts it.
    Absolute,
}

impl Asked {
    /// The first call that is refused, and its first refusal.
    pub(crate) fn first(&self) -> Option<(&AskedCall, &CallRefusal)> {
        self.calls.iter().find_map(|call| Some((call, call.refusals.first()?)))
    }

    /// True if no call is refused.
    pub(crate) fn passes(&self) -> bool {
        self.first().is_none()
    }

    /// The checks of all calls.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &MadeCheck> {
        self.calls.iter().flat_map(|call| &call.checks)
    }

    /// The permissions of SELinux that were asked, each once: source, target, class, permission.
    pub(crate) fn permissions(&self) -> Vec<[String; 4]> {
        let mut all = Vec::new();
        for check in self.checks() {
            let (target, class, permissions) = match &check.about {
                CheckedThing::Permissions { target, class, permissions } => {
                    (target.clone(), class.clone(), permissions.clone())
                }
                CheckedThing::Capability { cap, held: true, class } => {
                    (check.domain.clone(), (*class).to_owned(), vec![crate::grant::cap_name(*cap)])
                }
                CheckedThing::Capability { .. } => continue,
            };
            for permission in permissions {
                let one = [check.domain.clone(), target.clone(), class.clone(), permission];
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        all
    }
}
