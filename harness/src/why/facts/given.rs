//! Facts that somebody stated; the others are read or assumed.

use std::collections::BTreeSet;

use perfsec_wire::{CapSet, Lockdown, Mode};

use super::{Container, Known};
use crate::errno::Errno;
use crate::kernel::KernelVersion;

/// Facts that options, words or this machine state. `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The kernel's version.
    pub kernel: Option<Known<KernelVersion>>,
    /// The distribution that built the kernel, by its ID in os-release(5); `upstream` for none.
    pub distribution: Option<Known<String>>,
    /// `kernel.perf_event_paranoid`
    pub level: Option<Known<i32>>,
    /// `kernel.kptr_restrict`
    pub kptr: Option<Known<i32>>,
    /// `kernel.unprivileged_bpf_disabled`
    pub unprivileged_bpf: Option<Known<i32>>,
    /// `kernel.perf_event_mlock_kb`, in KiB.
    pub mlock_kb: Option<Known<u64>>,
    /// RLIMIT_MEMLOCK in bytes; `u64::MAX` for no limit.
    pub memlock: Option<Known<u64>>,
    /// The number of CPUs.
    pub cpus: Option<Known<u32>>,
    /// The user ID, in the process's user namespace.
    pub uid: Option<Known<u32>>,
    /// Capabilities on the file that is executed; for root, all that it has.
    pub caps: Option<Known<CapSet>>,
    /// Capabilities that the process is said to lack.
    pub lacks: CapSet,
    /// True if only the file's permitted set has them, without the effective bit.
    pub not_effective: bool,
    /// The effective set of the process that makes the calls, which then executes nothing.
    pub effective: Option<Known<CapSet>>,
    /// The ambient set, which an exec keeps.
    pub ambient: Option<Known<CapSet>>,
    /// The bounding set.
    pub bounding: Option<Known<CapSet>>,
    /// The file has the set-user-id bit of root.
    pub setuid: Option<Known<bool>>,
    /// The file is on a file system that is mounted `nosuid`.
    pub nosuid: Option<Known<bool>>,
    /// `no_new_privs` is set.
    pub no_new_privs: Option<Known<bool>>,
    /// The process is in a user namespace of its own.
    pub userns: Option<Known<bool>>,
    /// The container.
    pub container: Option<Known<Container>>,
    /// A seccomp filter is installed.
    pub seccomp: Option<Known<bool>>,
    /// The lockdown level.
    pub lockdown: Option<Known<Lockdown>>,
    /// The SELinux mode.
    pub selinux: Option<Known<Mode>>,
    /// The context of the process.
    pub domain: Option<Known<String>>,
    /// A user other than root may read the events of tracefs.
    pub tracefs: Option<Known<bool>>,
    /// The PMUs of the machine.
    pub pmus: Option<Known<BTreeSet<String>>>,
    /// The other process belongs to the same user.
    pub own_process: Option<Known<bool>>,
    /// The errno that was seen.
    pub errno: Option<Errno>,
    /// An AppArmor profile confines the process.
    pub apparmor: Option<Known<String>>,
}

impl Given {
    /// The same facts, completed by those of another source.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            kernel: self.kernel.or(other.kernel),
            distribution: self.distribution.or(other.distribution),
            level: self.level.or(other.level),
            kptr: self.kptr.or(other.kptr),
            unprivileged_bpf: self.unprivileged_bpf.or(other.unprivileged_bpf),
            mlock_kb: self.mlock_kb.or(other.mlock_kb),
            memlock: self.memlock.or(other.memlock),
            cpus: self.cpus.or(other.cpus),
            uid: self.uid.or(other.uid),
            caps: self.caps.or(other.caps),
            lacks: self.lacks.with(other.lacks),
            not_effective: self.not_effective || other.not_effective,
            effective: self.effective.or(other.effective),
            ambient: self.ambient.or(other.ambient),
            bounding: self.bounding.or(other.bounding),
            setuid: self.setuid.or(other.setuid),
            nosuid: self.nosuid.or(other.nosuid),
            no_new_privs: self.no_new_privs.or(other.no_new_privs),
            userns: self.userns.or(other.userns),
            container: self.container.or(other.container),
            seccomp: self.seccomp.or(other.seccomp),
            lockdown: self.lockdown.or(other.lockdown),
            selinux: self.selinux.or(other.selinux),
            domain: self.domain.or(other.domain),
            tracefs: self.tracefs.or(other.tracefs),
            pmus: self.pmus.or(other.pmus),
            own_process: self.own_process.or(other.own_process),
            errno: self.errno.or(other.errno),
            apparmor: self.apparmor.or(other.apparmor),
        }
    }

    /// The facts of a machine that fit those that were stated: a container that was named is not
    /// this one, and neither is another user, process or kernel.
    #[must_use]
    pub fn fitting(self, stated: &Self) -> Self {
        let mut fitting = self;
        if stated.container.is_some() {
            fitting = Self {
                ambient: None,
                bounding: None,
                no_new_privs: None,
                userns: None,
                seccomp: None,
                nosuid: None,
                caps: None,
                effective: None,
                uid: None,
                apparmor: None,
                domain: None,
                ..fitting
            };
        }
        let value = |uid: &Option<Known<u32>>| uid.as_ref().map(|it| it.value);
        if stated.uid.is_some() && value(&stated.uid) != value(&fitting.uid) {
            (fitting.ambient, fitting.effective) = (None, None);
        }
        if stated.domain.is_some() {
            fitting.domain = None;
        }
        let other = |stated: &Option<Known<String>>, here: &Option<Known<String>>| {
            let value = |it: &Option<Known<String>>| it.as_ref().map(|it| it.value.clone());
            stated.is_some() && value(stated) != value(here)
        };
        if other(&stated.distribution, &fitting.distribution) {
            fitting = Self {
                level: None,
                kptr: None,
                unprivileged_bpf: None,
                kernel: None,
                lockdown: None,
                ..fitting
            };
        }
        fitting
    }
}
