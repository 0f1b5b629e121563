//! Questions to the loaded policy, and its answers (`/sys/fs/selinux/access`).

use serde::{Deserialize, Serialize};

/// A question: what may a process with one context do to an object with another?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The process.
    pub source: Party,
    /// The object.
    pub target: Party,
    /// The class of the object.
    pub class: String,
}

/// A process or an object, as SELinux knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The agent, in whichever context the policy has put it.
    Agent,
    /// One with this context.
    Context(String),
}

/// The answers of the loaded policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyAnswers {
    /// The context of the agent (`/proc/self/attr/current`).
    pub agent: String,
    /// Contexts of the questions that the kernel writes in another way, with that
    /// (`/sys/fs/selinux/context`): their types are aliases.
    pub aliases: Vec<(String, String)>,
    /// `deny_unknown`: classes and permissions that the policy does not define are denied.
    pub deny_unknown: bool,
    /// The classes of the questions that the policy defines, with each permission's number, from 1
    /// (`class/NAME/perms`).
    pub classes: Vec<(String, Vec<(String, u8)>)>,
    /// A decision for each question, in order; `None` if the policy does not define the class or one
    /// of the contexts.
    pub decisions: Vec<Option<Decision>>,
}

/// `struct av_decision`, as `sel_write_access()` prints it: bit 0 is permission 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Granted permissions.
    pub allowed: u32,
    /// Permissions that are logged when granted.
    pub auditallow: u32,
    /// Permissions that are logged when denied.
    pub auditdeny: u32,
    /// `AVD_FLAGS_PERMISSIVE`: the source is a permissive domain.
    pub permissive: bool,
}

impl Decision {
    /// True if a vector has the permission with this number.
    #[must_use]
    pub fn has(vector: u32, number: u8) -> bool {
        let bit = number.checked_sub(1).and_then(|place| 1u32.checked_shl(place.into()));
        bit.is_some_and(|bit| vector & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_1_is_bit_0_and_a_number_out_of_range_is_in_no_vector() {
        let found: Vec<u8> =
            (0..=255).filter(|number| Decision::has(0x8000_0005, *number)).collect();
        assert_eq!(found, [1, 3, 32]);
    }
}
