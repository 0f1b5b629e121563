//! The subject's credentials, and how its steps change them (capabilities(7)).

use perfsec_wire::step::{CloneFlag, Execve, Prctl, Securebit, UnshareFlag};
use perfsec_wire::{CapSet, Step};

/// The state of a process by which the kernel decides (`struct cred`, and the flags of
/// `struct mm_struct` and `struct fs_struct` that exec looks at).
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// Real user ID.
    pub(super) uid: u32,
    /// Effective user ID.
    euid: u32,
    pub(super) permitted: CapSet,
    pub(super) effective: CapSet,
    inheritable: CapSet,
    ambient: CapSet,
    bounding: CapSet,
    securebits: Vec<Securebit>,
    no_new_privs: bool,
    /// Another process shares its `fs_struct`.
    shares_fs: bool,
    /// In the initial user namespace.
    pub(super) initial_namespace: bool,
    /// Its root in the parent namespace, if `uid_map` maps one.
    root_of_namespace: Option<u32>,
    /// `PR_GET_DUMPABLE`
    pub(super) dumpable: u32,
}

/// The user ID of one without a mapping (`overflowuid`).
const OVERFLOW_UID: u32 = 65534;

/// Properties of the boot and of the sysctls that exec depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExecRules {
    /// False with `no_file_caps` on the kernel command line.
    pub(super) file_caps: bool,
    /// `fs.suid_dumpable`
    pub(super) suid_dumpable: u32,
}

const fn intersection(a: CapSet, b: CapSet) -> CapSet {
    CapSet(a.0 & b.0)
}

const fn lacks(a: CapSet, b: CapSet) -> bool {
    b.0 & !a.0 != 0
}

impl Credentials {
    /// A process that the agent started with this uid from a file with these capabilities.
    pub(super) fn new(uid: u32, grant: CapSet, rules: ExecRules) -> Self {
        let dumpable = if grant.is_empty() { 1 } else { rules.suid_dumpable };
        Self {
            uid,
            euid: uid,
            permitted: grant,
            effective: grant,
            inheritable: CapSet::EMPTY,
            ambient: CapSet::EMPTY,
            bounding: CapSet::ALL,
            securebits: Vec::new(),
            no_new_privs: false,
            shares_fs: false,
            initial_namespace: true,
            root_of_namespace: None,
            dumpable,
        }
    }

    /// Applies a step other than exec that succeeded.
    pub(super) fn apply(&mut self, step: &Step, rules: ExecRules) {
        let before = self.clone();
        match step {
            Step::Capset(sets) => {
                self.permitted = sets.permitted;
                self.effective = sets.effective;
                self.inheritable = sets.inheritable;
                self.ambient =
                    intersection(self.ambient, intersection(self.permitted, self.inheritable));
            }
            Step::Prctl(prctl) => self.prctl(prctl),
            Step::Setresuid(ids) => self.setresuid(ids.uid),
            Step::Unshare(unshare) => self.unshare(&unshare.flags),
            Step::Write(write) if !self.initial_namespace => {
                // "INSIDE OUTSIDE COUNT", to uid_map.
                let mut words = write.text.split_whitespace();
                if words.next() == Some("0") {
                    self.root_of_namespace = words.next().and_then(|word| word.parse().ok());
                }
            }
            // check_unsafe_exec() does not count threads.
            Step::Clone(clone) if !clone.flags.contains(&CloneFlag::Thread) => {
                self.shares_fs |= clone.flags.contains(&CloneFlag::Fs);
            }
            _ => {}
        }
        self.commit(&before, rules);
    }

    fn unshare(&mut self, flags: &[UnshareFlag]) {
        let newuser = flags.contains(&UnshareFlag::Newuser);
        // Both imply CLONE_FS (ksys_unshare()).
        if newuser || flags.contains(&UnshareFlag::Newns) || flags.contains(&UnshareFlag::Fs) {
            self.shares_fs = false;
        }
        if newuser {
            // set_cred_user_ns(): every capability, in the new namespace only.
            self.initial_namespace = false;
            self.root_of_namespace = None;
            (self.permitted, self.effective) = (CapSet::ALL, CapSet::ALL);
            (self.inheritable, self.ambient) = (CapSet::EMPTY, CapSet::EMPTY);
            self.bounding = CapSet::ALL;
            self.securebits.clear();
        }
    }

    /// The real user ID as the process itself sees it (`from_kuid_munged()`).
    pub(super) fn own_uid(&self) -> u32 {
        match self.root_of_namespace {
            _ if self.initial_namespace => self.uid,
            Some(outside) if outside == self.uid => 0,
            _ => OVERFLOW_UID,
        }
    }

    /// True if it has a capability in the user namespace of another process (`cap_capable()`): the
    /// owner of a child namespace has all. No case nests namespaces.
    pub(super) fn has_toward(&self, other: &Self, cap: u32) -> bool {
        match (self.initial_namespace, other.initial_namespace) {
            (true, false) => other.uid == self.euid || self.effective.has(cap),
            (false, true) => false,
            _ => self.effective.has(cap),
        }
    }

    /// True if another process has permitted capabilities that this one lacks, or is in another
    /// user namespace (`cap_ptrace_access_check()`).
    pub(super) fn lacks_some_of(&self, other: &Self) -> bool {
        self.initial_namespace != other.initial_namespace || lacks(self.permitted, other.permitted)
    }

    fn prctl(&mut self, prctl: &Prctl) {
        match prctl {
            Prctl::SetNoNewPrivs => self.no_new_privs = true,
            Prctl::CapbsetDrop(caps) => self.bounding.0 &= !caps.0,
            Prctl::CapAmbientRaise(caps) => self.ambient = self.ambient.with(*caps),
            Prctl::SetSecurebits(bits) => self.securebits.clone_from(bits),
            Prctl::SetDumpable(value) => self.dumpable = *value,
            Prctl::GetDumpable | Prctl::SetName(_) => {}
        }
    }

    /// `cap_emulate_setxuid()`
    fn setresuid(&mut self, uid: u32) {
        let (was_root, is_root) = (self.uid == 0 || self.euid == 0, uid == 0);
        let was_effective = self.euid == 0;
        (self.uid, self.euid) = (uid, uid);
        if self.securebits.contains(&Securebit::NoSetuidFixup) {
            return;
        }
        if was_root && !is_root {
            if !self.securebits.contains(&Securebit::KeepCaps) {
                (self.permitted, self.effective) = (CapSet::EMPTY, CapSet::EMPTY);
            }
            self.ambient = CapSet::EMPTY;
        }
        if was_effective && !is_root {
            self.effective = CapSet::EMPTY;
        }
        if !was_effective && is_root {
            self.effective = self.permitted;
        }
    }

    /// The part of `commit_creds()` that concerns `dumpable`.
    fn commit(&mut self, before: &Self, rules: ExecRules) {
        let same_namespace = before.initial_namespace == self.initial_namespace;
        // cred_cap_issubset(): a child namespace of one's own is a subset.
        let gained = same_namespace && lacks(before.permitted, self.permitted);
        if self.euid != before.euid || gained {
            self.dumpable = rules.suid_dumpable;
        }
    }

    /// Executes a file (`cap_bprm_creds_from_file()`, security/commoncap.c). `may_set_uid` answers
    /// `ns_capable(CAP_SETUID)`, which the kernel asks only if the file would give too much.
    ///
    /// False if the call fails with EPERM, because the file's effective capabilities exceed the
    /// bounding set.
    pub(super) fn exec(
        &mut self,
        file: &Execve,
        rules: ExecRules,
        own_effective_id: bool,
        may_set_uid: impl FnOnce() -> bool,
    ) -> bool {
        let old = self.clone();
        let trusted = !file.nosuid;
        // bprm_fill_uid(): the owner, root, must have an ID in the namespace.
        let owned = self.initial_namespace || self.root_of_namespace == Some(0);
        if file.setuid && trusted && owned && !self.no_new_privs {
            self.euid = 0;
        }
        let Some((has_file_caps, mut effective)) = self.file_caps(file, rules) else {
            *self = old;
            return false;
        };
        // handle_privileged_root(); uid 0 of a namespace is uid 0 there.
        let root = |id: u32| match self.root_of_namespace {
            Some(outside) => id == outside,
            None => id == 0 && self.initial_namespace,
        };
        if !self.securebits.contains(&Securebit::Noroot) {
            let (is_real, is_effective) = (root(self.uid), root(self.euid));
            let mixed = has_file_caps && is_effective && !is_real;
            if !mixed {
                if is_effective || is_real {
                    self.permitted = old.bounding.with(old.inheritable);
                }
                effective |= is_effective;
            }
        }
        // Since 6.17 the effective ids are compared; before, the new one with the old real one.
        let compared = if own_effective_id { old.euid } else { old.uid };
        let changes_id = self.euid != compared;
        let limited = lacks(old.permitted, self.permitted);
        if (changes_id || limited) && (self.no_new_privs || self.shares_fs) {
            if !may_set_uid() || self.no_new_privs {
                self.euid = self.uid;
            }
            self.permitted = intersection(self.permitted, old.permitted);
        }
        if has_file_caps || changes_id {
            self.ambient = CapSet::EMPTY;
        }
        self.permitted = self.permitted.with(self.ambient);
        self.effective = if effective { self.permitted } else { self.ambient };
        self.securebits.retain(|bit| *bit != Securebit::KeepCaps);
        // begin_new_exec() compares the old IDs, then commit_creds() sees the new ones.
        self.dumpable = if old.euid == old.uid { 1 } else { rules.suid_dumpable };
        self.commit(&old, rules);
        true
    }

    /// `get_file_caps()`: sets the permitted set, and returns if the file has capabilities and the
    /// effective bit; `None` for EPERM.
    fn file_caps(&mut self, file: &Execve, rules: ExecRules) -> Option<(bool, bool)> {
        self.permitted = CapSet::EMPTY;
        let any = !file.permitted.is_empty() || !file.inheritable.is_empty();
        // rootid_owns_currentns(): the root of this namespace or of an ancestor.
        let ours = match file.rootid {
            None | Some(0) => true,
            Some(id) => self.root_of_namespace == Some(id),
        };
        if !any || !rules.file_caps || file.nosuid || !ours {
            return Some((false, false));
        }
        self.permitted = intersection(self.bounding, file.permitted)
            .with(intersection(self.inheritable, file.inheritable));
        if file.effective && lacks(self.permitted, file.permitted) {
            return None;
        }
        Some((true, file.effective))
    }
}
