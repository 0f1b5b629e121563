//! The subject's credentials, and how its steps change them (capabilities(7)).

use perfsec_wire::caps::SETUID;
use perfsec_wire::step::{
    CloneFlag, Execve, PersonaFlag, Prctl, Securebit, Setresuid, UnshareFlag,
};
use perfsec_wire::{CapSet, Step};

/// The state of a process by which the kernel decides (`struct cred`, and the flags of
/// `struct mm_struct` and `struct fs_struct` that exec looks at).
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) user: Ids,
    pub(super) group: Ids,
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
    /// `personality(2)`
    pub(super) personality: u32,
}

/// The bits of `PER_CLEAR_ON_SETID` that a step can set.
const PER_CLEAR_ON_SETID: u32 = PersonaFlag::AddrNoRandomize.bits();

/// User IDs or group IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) real: u32,
    pub(super) effective: u32,
    pub(super) saved: u32,
    /// For access to files, and for `PTRACE_MODE_FSCREDS`.
    pub(super) fs: u32,
}

impl Ids {
    const fn all(id: u32) -> Self {
        Self { real: id, effective: id, saved: id, fs: id }
    }

    /// True if each id that a call asks for is the real, the effective or the saved one.
    pub(super) fn has_all_of(&self, asked: &Setresuid) -> bool {
        let has = |id: u32| [self.real, self.effective, self.saved].contains(&id);
        [asked.real, asked.effective, asked.saved].into_iter().flatten().all(has)
    }

    /// `setresuid(2)`: one that is missing stays as it is.
    fn set(&mut self, real: Option<u32>, effective: Option<u32>, saved: Option<u32>) {
        self.real = real.unwrap_or(self.real);
        self.effective = effective.unwrap_or(self.effective);
        self.saved = saved.unwrap_or(self.saved);
        self.fs = self.effective;
    }

    /// True if `id` is one of those that `__ptrace_may_access()` compares, and so are all.
    fn are_all(&self, id: u32) -> bool {
        [self.real, self.effective, self.saved] == [id; 3]
    }
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

/// The caller's credentials that an access to another process compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PtraceCreds {
    /// `PTRACE_MODE_REALCREDS`: real IDs and permitted capabilities.
    Real,
    /// `PTRACE_MODE_FSCREDS`: IDs for file systems and effective capabilities.
    Fs,
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
            user: Ids::all(uid),
            // The agent gives both the same number.
            group: Ids::all(uid),
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
            personality: 0,
        }
    }

    /// The agent, which is process 1.
    pub(super) fn agent(rules: ExecRules) -> Self {
        Self { dumpable: 1, ..Self::new(0, CapSet::ALL, rules) }
    }

    /// The credentials of `access(2)` (`access_override_creds()`).
    pub(super) fn for_access(&self) -> Self {
        let mut overridden = self.clone();
        overridden.user.fs = self.user.real;
        overridden.group.fs = self.group.real;
        if !self.securebits.contains(&Securebit::NoSetuidFixup) {
            let root = if self.initial_namespace { Some(0) } else { self.root_of_namespace };
            let is_root = root == Some(self.user.real);
            overridden.effective = if is_root { self.permitted } else { CapSet::EMPTY };
        }
        overridden
    }

    /// Applies a step other than exec that succeeded; `went_on` is true if one of its questions was
    /// refused.
    pub(super) fn apply(&mut self, step: &Step, rules: ExecRules, went_on: bool) {
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
            Step::Setresuid(ids) => {
                let outside = |id: Option<u32>| id.map(|id| self.outside(id));
                let [real, effective, saved] = [ids.real, ids.effective, ids.saved].map(outside);
                self.user.set(real, effective, saved);
                self.fix_capabilities(&before);
            }
            Step::Setresgid(ids) => self.group.set(ids.real, ids.effective, ids.saved),
            Step::Setfsuid(id) => {
                let uid = self.outside(id.uid);
                if self.may_be(uid) && !went_on {
                    self.setfsuid(uid);
                }
            }
            Step::Personality(persona) if persona.flags.is_some() => {
                self.personality = persona.argument();
            }
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

    /// The sets as `capget(2)` returns them, in the words of a transcript.
    pub(super) fn sets(&self) -> String {
        let Self { permitted, effective, inheritable, .. } = self;
        format!("permitted={permitted}, effective={effective}, inheritable={inheritable}")
    }

    /// The credentials of a task that this one clones.
    pub(super) fn forked(&self, flags: &[CloneFlag]) -> Self {
        let mut child = self.clone();
        child.shares_fs = flags.contains(&CloneFlag::Fs);
        if flags.contains(&CloneFlag::Newuser) {
            child.enter_user_namespace();
        }
        child
    }

    fn unshare(&mut self, flags: &[UnshareFlag]) {
        let newuser = flags.contains(&UnshareFlag::Newuser);
        // Both imply CLONE_FS (ksys_unshare()).
        if newuser || flags.contains(&UnshareFlag::Newns) || flags.contains(&UnshareFlag::Fs) {
            self.shares_fs = false;
        }
        if newuser {
            self.enter_user_namespace();
        }
    }

    /// `set_cred_user_ns()`: every capability, in the new namespace only.
    fn enter_user_namespace(&mut self) {
        self.initial_namespace = false;
        self.root_of_namespace = None;
        (self.permitted, self.effective) = (CapSet::ALL, CapSet::ALL);
        (self.inheritable, self.ambient) = (CapSet::EMPTY, CapSet::EMPTY);
        self.bounding = CapSet::ALL;
        self.securebits.clear();
    }

    /// The user ID in the initial namespace of one in this namespace (`make_kuid()`).
    fn outside(&self, uid: u32) -> u32 {
        match self.root_of_namespace {
            Some(outside) if uid == 0 => outside,
            _ => uid,
        }
    }

    /// True for uid 0 of the process's namespace.
    fn is_root(&self, uid: u32) -> bool {
        match self.root_of_namespace {
            Some(outside) => uid == outside,
            None => uid == 0 && self.initial_namespace,
        }
    }

    /// A user ID as the process itself sees it (`from_kuid_munged()`).
    pub(super) fn seen(&self, uid: u32) -> u32 {
        match self.root_of_namespace {
            _ if self.initial_namespace => uid,
            Some(outside) if outside == uid => 0,
            _ => OVERFLOW_UID,
        }
    }

    /// The IDs in a SYSCALL record, by the names of its fields (`audit_log_task_info()`). They are
    /// those of the initial namespace.
    pub(super) fn audited_ids(&self) -> [(&'static str, u32); 8] {
        let Self { user, group, .. } = self;
        [
            ("uid", user.real),
            ("gid", group.real),
            ("euid", user.effective),
            ("suid", user.saved),
            ("fsuid", user.fs),
            ("egid", group.effective),
            ("sgid", group.saved),
            ("fsgid", group.fs),
        ]
    }

    /// The IDs as `getresuid(2)` returns them, in the words of a transcript.
    pub(super) fn user_ids(&self) -> String {
        let Ids { real, effective, saved, .. } = self.user;
        [real, effective, saved].map(|id| self.seen(id).to_string()).join(", ")
    }

    /// True if it has a capability in the user namespace of another process (`cap_capable()`): the
    /// owner of a child namespace has all. No case nests namespaces.
    pub(super) fn has_toward(&self, other: &Self, cap: u32) -> bool {
        match (self.initial_namespace, other.initial_namespace) {
            (true, false) => other.user.real == self.user.effective || self.effective.has(cap),
            (false, true) => false,
            _ => self.effective.has(cap),
        }
    }

    /// True if another process has permitted capabilities that this one lacks, or is in another
    /// user namespace (`cap_ptrace_access_check()`).
    pub(super) fn lacks_some_of(&self, other: &Self, view: PtraceCreds) -> bool {
        let own = match view {
            PtraceCreds::Real => self.permitted,
            PtraceCreds::Fs => self.effective,
        };
        self.initial_namespace != other.initial_namespace || lacks(own, other.permitted)
    }

    /// True if another process has an ID that is not this one's (`__ptrace_may_access()`).
    pub(super) fn is_other_user(&self, other: &Self, view: PtraceCreds) -> bool {
        let id = |ids: &Ids| match view {
            PtraceCreds::Real => ids.real,
            PtraceCreds::Fs => ids.fs,
        };
        !other.user.are_all(id(&self.user)) || !other.group.are_all(id(&self.group))
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

    /// True if `__sys_setfsuid()` allows this user ID.
    fn may_be(&self, uid: u32) -> bool {
        let Ids { real, effective, saved, fs } = self.user;
        [real, effective, saved, fs].contains(&uid) || self.effective.has(SETUID)
    }

    /// `setfsuid(2)`, and `cap_task_fix_setuid()` for it.
    fn setfsuid(&mut self, uid: u32) {
        /// `CAP_FS_SET`: chown, dac_override, dac_read_search, fowner, fsetid, linux_immutable,
        /// mknod, mac_override.
        const FILES: u64 = 0b1_1111 | 1 << 9 | 1 << 27 | 1 << 32;
        let (was_root, is_root) = (self.is_root(self.user.fs), self.is_root(uid));
        self.user.fs = uid;
        if self.securebits.contains(&Securebit::NoSetuidFixup) {
            return;
        }
        match (was_root, is_root) {
            (true, false) => self.effective.0 &= !FILES,
            (false, true) => self.effective.0 |= self.permitted.0 & FILES,
            _ => {}
        }
    }

    /// `cap_emulate_setxuid()`
    fn fix_capabilities(&mut self, before: &Self) {
        let root = |id: u32| self.is_root(id);
        let any_root = |ids: &Ids| [ids.real, ids.effective, ids.saved].into_iter().any(root);
        let (was_root, is_root) = (any_root(&before.user), any_root(&self.user));
        let (was_effective, is_effective) =
            (root(before.user.effective), root(self.user.effective));
        if self.securebits.contains(&Securebit::NoSetuidFixup) {
            return;
        }
        if was_root && !is_root {
            if !self.securebits.contains(&Securebit::KeepCaps) {
                (self.permitted, self.effective) = (CapSet::EMPTY, CapSet::EMPTY);
            }
            self.ambient = CapSet::EMPTY;
        }
        if was_effective && !is_effective {
            self.effective = CapSet::EMPTY;
        }
        if !was_effective && is_effective {
            self.effective = self.permitted;
        }
    }

    /// The part of `commit_creds()` that concerns `dumpable`.
    fn commit(&mut self, before: &Self, rules: ExecRules) {
        let same_namespace = before.initial_namespace == self.initial_namespace;
        // cred_cap_issubset(): a child namespace of one's own is a subset.
        let gained = same_namespace && lacks(before.permitted, self.permitted);
        let acting = |it: &Self| {
            let Self { user, group, .. } = it;
            (user.effective, user.fs, group.effective, group.fs)
        };
        if acting(self) != acting(before) || gained {
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
            self.user.effective = 0;
            self.personality &= !PER_CLEAR_ON_SETID;
        }
        let Some((has_file_caps, mut effective)) = self.file_caps(file, rules) else {
            *self = old;
            return false;
        };
        // handle_privileged_root(); uid 0 of a namespace is uid 0 there.
        if !self.securebits.contains(&Securebit::Noroot) {
            let (is_real, is_effective) =
                (self.is_root(self.user.real), self.is_root(self.user.effective));
            let mixed = has_file_caps && is_effective && !is_real;
            if !mixed {
                if is_effective || is_real {
                    self.permitted = old.bounding.with(old.inheritable);
                }
                effective |= is_effective;
            }
        }
        // Since 6.17 the effective ids are compared; before, the new one with the old real one.
        let compared = |ids: &Ids| if own_effective_id { ids.effective } else { ids.real };
        let changes_id = self.user.effective != compared(&old.user)
            || self.group.effective != compared(&old.group);
        let limited = lacks(old.permitted, self.permitted);
        if limited {
            self.personality &= !PER_CLEAR_ON_SETID;
        }
        if (changes_id || limited) && (self.no_new_privs || self.shares_fs) {
            if !may_set_uid() || self.no_new_privs {
                self.user.effective = self.user.real;
                self.group.effective = self.group.real;
            }
            self.permitted = intersection(self.permitted, old.permitted);
        }
        if has_file_caps || changes_id {
            self.ambient = CapSet::EMPTY;
        }
        self.permitted = self.permitted.with(self.ambient);
        self.effective = if effective { self.permitted } else { self.ambient };
        for ids in [&mut self.user, &mut self.group] {
            (ids.saved, ids.fs) = (ids.effective, ids.effective);
        }
        self.securebits.retain(|bit| *bit != Securebit::KeepCaps);
        // begin_new_exec() compares the old IDs, then commit_creds() sees the new ones.
        let same = |ids: &Ids| ids.effective == ids.real;
        let plain = same(&old.user) && same(&old.group);
        self.dumpable = if plain { 1 } else { rules.suid_dumpable };
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
