//! Steps on processes and their privileges.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{FdName, ResultForm, Syscall, Task, joined};
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

/// Arguments of `capget(2)`. The result is the three sets of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Capget {
    /// The process.
    #[serde(default)]
    pub pid: Task,
}

/// Arguments of `setresuid(2)`; one that is missing stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "UidTable", into = "UidTable")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setresuid {
    /// New real user id.
    pub real: Option<u32>,
    /// New effective user id.
    pub effective: Option<u32>,
    /// New saved user id.
    pub saved: Option<u32>,
}

/// Arguments of `setresgid(2)`; one that is missing stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "GidTable", into = "GidTable")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setresgid {
    /// New real group id.
    pub real: Option<u32>,
    /// New effective group id.
    pub effective: Option<u32>,
    /// New saved group id.
    pub saved: Option<u32>,
}

/// Declares how a case writes the ids of `Setresuid` or `Setresgid`.
macro_rules! id_table {
    ($table:ident for $type:ident, $all:ident, $noun:literal) => {
        #[doc = concat!("The ", $noun, " ids, at least one; one that is missing stays as it is.")]
        #[derive(Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        struct $table {
            #[doc = concat!("Real, effective and saved ", $noun, " id.")]
            #[serde(default)]
            $all: Option<u32>,
            #[doc = concat!("Real ", $noun, " id.")]
            #[serde(default)]
            real: Option<u32>,
            #[doc = concat!("Effective ", $noun, " id.")]
            #[serde(default)]
            effective: Option<u32>,
            #[doc = concat!("Saved ", $noun, " id.")]
            #[serde(default)]
            saved: Option<u32>,
        }

        impl TryFrom<$table> for $type {
            type Error = &'static str;

            fn try_from(table: $table) -> Result<Self, &'static str> {
                let $table { $all, real, effective, saved } = table;
                match ($all, real.or(effective).or(saved)) {
                    (None, Some(_)) => Ok(Self { real, effective, saved }),
                    (Some(_), None) => Ok(Self { real: $all, effective: $all, saved: $all }),
                    _ => Err(concat!(
                        "write `",
                        stringify!($all),
                        "` for all three ids, or some of `real`, \
                         `effective` and `saved`"
                    )),
                }
            }
        }

        impl From<$type> for $table {
            fn from($type { real, effective, saved }: $type) -> Self {
                Self { $all: None, real, effective, saved }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let id = |id: Option<u32>| id.map_or("-1".to_owned(), |id| id.to_string());
                write!(f, "{}, {}, {}", id(self.real), id(self.effective), id(self.saved))
            }
        }
    };
}

id_table!(UidTable for Setresuid, uid, "user");
id_table!(GidTable for Setresgid, gid, "group");

/// Arguments of `setfsuid(2)`, which returns the previous id and never fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setfsuid {
    /// The new user id for file systems.
    pub uid: u32,
}

/// Arguments of `getresuid(2)`. The result is the real, the effective and the saved user id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Getresuid {}

/// Arguments of `personality(2)`, which returns the previous persona. Without `flags` it changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Personality {
    /// The new flags, by name.
    #[serde(default)]
    pub flags: Option<Vec<PersonaFlag>>,
}

named! {
    /// A flag of `personality(2)` (`include/uapi/linux/personality.h`).
    PersonaFlag is "flag of personality" {
        /// Addresses are not random. Exec clears it with privileges (`PER_CLEAR_ON_SETID`).
        AddrNoRandomize = "ADDR_NO_RANDOMIZE",
        /// No effect since 2.6; exec never clears it.
        WholeSeconds = "WHOLE_SECONDS",
    }
}

impl Personality {
    /// The argument of the call: without flags, one that changes nothing.
    #[must_use]
    pub fn argument(&self) -> u32 {
        let flags = self.flags.as_ref();
        flags.map_or(u32::MAX, |flags| flags.iter().fold(0, |all, flag| all | flag.bits()))
    }
}

impl PersonaFlag {
    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::AddrNoRandomize => 0x4_0000,
            Self::WholeSeconds => 0x200_0000,
        }
    }
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
        /// The PID namespace of the next `clone`, whose task is process 1 in it.
        Newpid = "NEWPID",
        /// The shared root and working directories.
        Fs = "FS",
    }
}

/// Arguments of `clone(2)`. The new task waits until its parent ends, or performs the remaining
/// steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Clone {
    /// What to share, by name without `CLONE_`; without any, it is a `fork(2)`.
    #[serde(default)]
    pub flags: Vec<CloneFlag>,
    /// The new task performs the remaining steps, and the caller waits.
    #[serde(default, rename = "continue")]
    pub continues: bool,
    /// The new task ends at once and stays a zombie. Not for a thread.
    #[serde(default, rename = "exit")]
    pub exits: bool,
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
        /// Memory is shared.
        Vm = "VM",
        /// A new user namespace, in which the new task has every capability.
        Newuser = "NEWUSER",
        /// A new PID namespace, in which the new task is process 1.
        Newpid = "NEWPID",
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

impl Syscall for Capget {
    fn name(&self) -> &'static str {
        "capget"
    }

    fn task(&self) -> Option<&Task> {
        Some(&self.pid)
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Text
    }
}

impl Syscall for Setresuid {
    fn name(&self) -> &'static str {
        "setresuid"
    }
}

impl Syscall for Setresgid {
    fn name(&self) -> &'static str {
        "setresgid"
    }
}

impl Syscall for Setfsuid {
    fn name(&self) -> &'static str {
        "setfsuid"
    }
}

impl Syscall for Getresuid {
    fn name(&self) -> &'static str {
        "getresuid"
    }

    fn result_form(&self) -> ResultForm<'_> {
        ResultForm::Text
    }
}

impl Syscall for Personality {
    fn name(&self) -> &'static str {
        "personality"
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

impl fmt::Display for Capget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}

impl fmt::Display for Setfsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uid.fmt(f)
    }
}

impl fmt::Display for Getresuid {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl fmt::Display for Personality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.flags {
            Some(flags) if flags.is_empty() => f.write_str("0"),
            Some(flags) => joined(f, flags),
            None => f.write_str("0xffffffff"),
        }
    }
}

impl fmt::Display for Unshare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.flags)
    }
}

impl fmt::Display for Clone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.flags)?;
        let fate = match (self.continues, self.exits) {
            (true, _) => "continue",
            (false, true) => "exit",
            (false, false) => return Ok(()),
        };
        let comma = if self.flags.is_empty() { "" } else { ", " };
        write!(f, "{comma}{fate}")
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
