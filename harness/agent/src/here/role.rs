//! The part that this process plays, from its arguments.

use std::path::{Path, PathBuf};

use perfsec_wire::here;

use super::{guardian, relay, worker};

/// The part that this process plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Starts a worker and puts back what it has changed.
    Guard(PathBuf),
    /// Serves the lane.
    Work(PathBuf),
    /// Puts back what the journal of a guardian that is gone says.
    Restore(PathBuf),
    /// Serves a perfsec on another machine.
    Relay(PathBuf),
}

impl Role {
    /// The words on the command line that name a role, before the directory of the agent's files.
    pub(super) const GUARD: &str = "guard";
    pub(super) const WORK: &str = "work";
    pub(super) const RESTORE: &str = "restore";
    const RELAY: &str = here::RELAY;

    /// The role that arguments name; `None` for an agent in a guest, which has no arguments.
    pub(crate) fn of(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let (role, directory) = (arguments.next()?, PathBuf::from(arguments.next()?));
        match role.as_str() {
            Self::GUARD => Some(Self::Guard(directory)),
            Self::WORK => Some(Self::Work(directory)),
            Self::RESTORE => Some(Self::Restore(directory)),
            Self::RELAY => Some(Self::Relay(directory)),
            _ => None,
        }
    }

    /// Plays it; returns the exit code.
    pub(crate) fn play(&self) -> u8 {
        match self {
            Self::Guard(directory) => guardian::guard(directory),
            Self::Work(directory) => worker::run(directory),
            Self::Restore(directory) => guardian::restore(directory),
            Self::Relay(directory) => relay::run(directory),
        }
    }
}

/// The journal in the directory of the agent's files.
pub(super) fn journal(directory: &Path) -> PathBuf {
    directory.join("journal")
}

/// The file with the id of the worker's process there.
pub(super) fn worker(directory: &Path) -> PathBuf {
    directory.join("worker")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::guest(&[], None)]
    #[case::guardian(&["guard", "/tmp/a"], Some(Role::Guard("/tmp/a".into())))]
    #[case::worker(&["work", "/tmp/a"], Some(Role::Work("/tmp/a".into())))]
    #[case::undoer(&["restore", "/tmp/a"], Some(Role::Restore("/tmp/a".into())))]
    #[case::relay(&["relay", "/tmp/a"], Some(Role::Relay("/tmp/a".into())))]
    #[case::without_directory(&["guard"], None)]
    #[case::unknown(&["serve", "/tmp/a"], None)]
    fn arguments_name_a_role(#[case] words: &[&str], #[case] role: Option<Role>) {
        assert_eq!(Role::of(words.iter().map(|word| (*word).to_owned())), role);
    }
}
