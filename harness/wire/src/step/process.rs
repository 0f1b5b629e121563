//! Steps on processes and their privileges.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, Syscall, Task, joined};
use crate::caps::CapSet;
use crate::named::named;

/// `prctl(2)`, by the option's name without `PR_`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Prctl {
    /// Exec no longer grants privileges.
    SetNoNewPrivs,
    /// Drops one capability from the bounding set.
    CapbsetDrop(CapSet),
    /// Adds one capability to the ambient set (`PR_CAP_AMBIENT`, `PR_CAP_AMBIENT_RAISE`).
    CapAmbientRaise(CapSet),
    /// Sets the securebits.
    SetSecurebits(Vec<Securebit>),
    /// Returns the dumpable flag of the process.
    GetDumpable,
    /// Sets the dumpable flag of the process: 0 or 1.
    SetDumpable(u32),
    /// Sets the name of the thread, its `comm`.
    SetName(String),
}

named! {
    /// A securebit (`include/uapi/linux/securebits.h`).
    Securebit is "securebit" {
        /// User id 0 gains no capabilities at exec.
        Noroot = "NOROOT",
        /// A change of user ids to or from 0 leaves capabilities alone.
        NoSetuidFixup = "NO_SETUID_FIXUP",
        /// Permitted capabilities survive the change of the last user id from 0.
        KeepCaps = "KEEP_CAPS",
        /// The ambient set cannot be raised.
        NoCapAmbientRaise = "NO_CAP_AMBIENT_RAISE",
    }
}

/// Arguments of `capset(2)`: the three new sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capset {
    /// Capabilities that may be made effective.
    #[serde(default)]
    pub permitted: CapSet,
    /// Capabilities that the kernel checks for.
    #[serde(default)]
    pub effective: CapSet,
    /// Capabilities that survive the exec of a file with inheritable capabilities.
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
    /// What to unshare, by name without `CLONE_`.
    pub flags: Vec<UnshareFlag>,
}

named! {
    /// A flag of `unshare(2)`.
    UnshareFlag is "flag of unshare" {
        /// The user namespace: the caller has every capability in the new one.
        Newuser = "NEWUSER",
        /// The mount namespace.
        Newns = "NEWNS",
        /// The network namespace.
        Newnet = "NEWNET",
        /// The shared root and working directories.
        Fs = "FS",
    }
}

/// Arguments of `clone(2)`. The new task waits until its parent ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Clone {
    /// What to share, by name without `CLONE_`; without any, it is a `fork(2)`.
    #[serde(default)]
    pub flags: Vec<CloneFlag>,
    /// Name for the returned pid.
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

/// `execve(2)` of a program with these privileges on its file. The program performs the remaining
/// steps. Its start is not observed, and the access vector cache is empty when it continues.
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
    /// The user id, in the initial namespace, of the root of the namespace in which the
    /// capabilities are valid: an attribute of revision 3 instead of 2.
    #[serde(default)]
    pub rootid: Option<u32>,
    /// Owned by root with the set-user-id bit.
    #[serde(default)]
    pub setuid: bool,
    /// Executed from a file system mounted `nosuid`.
    #[serde(default)]
    pub nosuid: bool,
}

fn yes() -> bool {
    true
}

impl Execve {
    /// A program with these capabilities permitted and effective, and no other privileges.
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
    /// The process.
    pub pid: Task,
    /// Name for the returned file descriptor.
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
    /// The process whose memory is read.
    pub pid: Task,
    /// Number of bytes, at most 4096.
    pub count: u32,
}

/// Arguments of `process_madvise(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ProcessMadvise {
    /// The process whose memory it is about: a descriptor from `pidfd_open`.
    #[serde(default = "default_pidfd")]
    pub pidfd: FdName,
    /// The advice for one page of it.
    pub advice: Advice,
}

named! {
    /// An advice for `process_madvise(2)`.
    Advice is "advice" {
        /// The page is not needed soon.
        Cold = "COLD",
        /// The page may be reclaimed.
        Pageout = "PAGEOUT",
        /// The page will be needed soon.
        Willneed = "WILLNEED",
    }
}

impl Syscall for Prctl {
    fn name(&self) -> &'static str {
        "prctl"
    }
}

impl Syscall for Capset {
    fn name(&self) -> &'static str {
        "capset"
    }
}

impl Syscall for Setresuid {
    fn name(&self) -> &'static str {
        "setresuid"
    }
}

impl Syscall for Unshare {
    fn name(&self) -> &'static str {
        "unshare"
    }
}

impl Syscall for Clone {
    fn name(&self) -> &'static str {
        "clone"
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }
}

impl Syscall for Execve {
    fn name(&self) -> &'static str {
        "execve"
    }
}

impl Syscall for PidfdOpen {
    fn name(&self) -> &'static str {
        "pidfd_open"
    }

    fn binds(&self) -> Option<&str> {
        Some(&self.bind)
    }

    fn task(&self) -> Option<&Task> {
        Some(&self.pid)
    }
}

impl Syscall for ProcessVmReadv {
    fn name(&self) -> &'static str {
        "process_vm_readv"
    }

    fn task(&self) -> Option<&Task> {
        Some(&self.pid)
    }
}

impl Syscall for ProcessMadvise {
    fn name(&self) -> &'static str {
        "process_madvise"
    }

    fn needs(&self) -> Vec<&str> {
        vec![&self.pidfd]
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

impl fmt::Display for Setresuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}, {0}, {0}", self.uid)
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

impl fmt::Display for PidfdOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}

impl fmt::Display for ProcessVmReadv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.pid, self.count)
    }
}

impl fmt::Display for ProcessMadvise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.pidfd, self.advice)
    }
}
