//! Steps about processes and their privileges.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, Task, joined};
use crate::caps::CapSet;
use crate::named::named;

/// `prctl(2)`, by the option's name without `PR_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Prctl {
    /// Privileges can no longer be gained by exec.
    SetNoNewPrivs,
    /// Takes one capability out of the bounding set.
    CapbsetDrop(CapSet),
    /// Puts one capability into the ambient set (`PR_CAP_AMBIENT`, `PR_CAP_AMBIENT_RAISE`).
    CapAmbientRaise(CapSet),
    /// Sets the securebits.
    SetSecurebits(Vec<Securebit>),
    /// Asks whether the process can be dumped.
    GetDumpable,
    /// Says whether the process can be dumped: 0 or 1.
    SetDumpable(u32),
    /// Sets the name of the thread, its `comm`.
    SetName(String),
}

named! {
    /// A securebit (`include/uapi/linux/securebits.h`).
    Securebit is "securebit" {
        /// User id 0 gains no capabilities at exec.
        Noroot = "NOROOT",
        /// Capabilities stay as they are when user ids change to or from 0.
        NoSetuidFixup = "NO_SETUID_FIXUP",
        /// Permitted capabilities are kept when the last user id of 0 goes.
        KeepCaps = "KEEP_CAPS",
        /// The ambient set cannot be raised.
        NoCapAmbientRaise = "NO_CAP_AMBIENT_RAISE",
    }
}

/// Arguments of `capset(2)`: the three sets as they are to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capset {
    /// What may be made effective.
    #[serde(default)]
    pub permitted: CapSet,
    /// What is asked for when a privilege is needed.
    #[serde(default)]
    pub effective: CapSet,
    /// What exec of a file with inheritable capabilities keeps.
    #[serde(default)]
    pub inheritable: CapSet,
}

/// Arguments of `setresuid(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setresuid {
    /// Real, effective and saved user id.
    pub uid: u32,
}

/// Arguments of `unshare(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Unshare {
    /// What to leave, by name without `CLONE_`.
    pub flags: Vec<UnshareFlag>,
}

named! {
    /// A flag of `unshare(2)`.
    UnshareFlag is "flag of unshare" {
        /// The user namespace: the caller holds every capability in a new one.
        Newuser = "NEWUSER",
        /// The mount namespace.
        Newns = "NEWNS",
        /// The network namespace.
        Newnet = "NEWNET",
        /// The shared root and working directories.
        Fs = "FS",
    }
}

/// Arguments of `clone(2)`. What it makes waits for the end of its parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Clone {
    /// What is shared, by name without `CLONE_`; none is `fork(2)`.
    #[serde(default)]
    pub flags: Vec<CloneFlag>,
    /// Name for the number that it returns.
    #[serde(default = "default_child", rename = "as")]
    pub bind: FdName,
}

fn default_child() -> FdName {
    "child".to_owned()
}

named! {
    /// A flag of `clone(2)`.
    CloneFlag is "flag of clone" {
        /// A thread of the caller, which shares everything.
        Thread = "THREAD",
        /// Root and working directory are shared.
        Fs = "FS",
    }
}

/// `execve(2)` of a program with these privileges on its file. It goes on with the steps that follow;
/// what it does to start up is not observed, and the access vector cache is empty when it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Execve {
    /// Permitted capabilities of the file.
    #[serde(default)]
    pub permitted: CapSet,
    /// Inheritable capabilities of the file.
    #[serde(default)]
    pub inheritable: CapSet,
    /// The file's effective bit.
    #[serde(default = "yes")]
    pub effective: bool,
    /// The user id, in the initial namespace, that is root in the namespace for which the capabilities
    /// count: an attribute of version 3 instead of 2.
    #[serde(default)]
    pub rootid: Option<u32>,
    /// Owned by root with the set-user-id bit.
    #[serde(default)]
    pub setuid: bool,
    /// Executed from a file system that is mounted `nosuid`.
    #[serde(default)]
    pub nosuid: bool,
}

fn yes() -> bool {
    true
}

impl Execve {
    /// A program with these capabilities permitted and effective, and nothing else about it.
    #[must_use]
    pub fn granted(permitted: CapSet) -> Self {
        Self {
            permitted,
            inheritable: CapSet::EMPTY,
            effective: true,
            rootid: None,
            setuid: false,
            nosuid: false,
        }
    }
}

/// Arguments of `pidfd_open(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PidfdOpen {
    /// Which process.
    pub pid: Task,
    /// Name for the file descriptor that it returns.
    #[serde(default = "default_pidfd", rename = "as")]
    pub bind: FdName,
}

fn default_pidfd() -> FdName {
    "pidfd".to_owned()
}

/// Arguments of `process_vm_readv(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessVmReadv {
    /// Whose memory.
    pub pid: Task,
    /// How many bytes, at most 4096.
    pub count: u32,
}

/// Arguments of `process_madvise(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessMadvise {
    /// Whose memory: a descriptor of `pidfd_open`.
    #[serde(default = "default_pidfd")]
    pub pidfd: FdName,
    /// What to do with one page of it.
    pub advice: Advice,
}

named! {
    /// An advice that `process_madvise(2)` takes.
    Advice is "advice" {
        /// The page is not needed soon.
        Cold = "COLD",
        /// The page can be reclaimed.
        Pageout = "PAGEOUT",
        /// The page will be needed soon.
        Willneed = "WILLNEED",
    }
}

impl fmt::Display for Prctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetNoNewPrivs => f.write_str("PR_SET_NO_NEW_PRIVS, 1"),
            Self::CapbsetDrop(cap) => write!(f, "PR_CAPBSET_DROP, {cap}"),
            Self::CapAmbientRaise(cap) => write!(f, "PR_CAP_AMBIENT, RAISE, {cap}"),
            Self::SetSecurebits(bits) => {
                f.write_str("PR_SET_SECUREBITS, ")?;
                joined(f, bits)
            }
            Self::GetDumpable => f.write_str("PR_GET_DUMPABLE"),
            Self::SetDumpable(value) => write!(f, "PR_SET_DUMPABLE, {value}"),
            Self::SetName(name) => write!(f, "PR_SET_NAME, {name:?}"),
        }
    }
}

impl fmt::Display for Capset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "permitted={}, effective={}, inheritable={}",
            self.permitted, self.effective, self.inheritable
        )
    }
}

impl fmt::Display for Unshare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.flags)
    }
}

impl fmt::Display for Clone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.flags)
    }
}

impl fmt::Display for Execve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permitted={}", self.permitted)?;
        if !self.inheritable.is_empty() {
            write!(f, ", inheritable={}", self.inheritable)?;
        }
        if !self.effective {
            f.write_str(", not effective")?;
        }
        if let Some(rootid) = self.rootid {
            write!(f, ", rootid={rootid}")?;
        }
        for (set, name) in [(self.setuid, "setuid"), (self.nosuid, "nosuid")] {
            if set {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}
