//! SELinux as the evaluator sees it: the mode, the loaded policy, and the access vector cache.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::Mode;
use perfsec_wire::step::Action;

use crate::policy::Answers;

/// The values of a policy's booleans that are not the default.
pub type Booleans = BTreeMap<String, bool>;

/// The policies that a kernel may load.
pub trait SecurityServer {
    /// The answers of a policy.
    fn answers(&self, loaded: &Loaded) -> Box<dyn Answers + '_>;

    /// The agent's context as a record about a process in `domain` has it, in the short form of a
    /// transcript: by default the same, where no agent runs.
    fn agent_context(&self, _loaded: &Loaded, domain: &str) -> String {
        domain.to_owned()
    }

    /// The domain that `source` enters by executing a file, if the policy has a rule for it; by
    /// default `None`.
    fn exec_domain(&self, _loaded: &Loaded, _source: &str) -> Option<String> {
        None
    }
}

/// The loaded policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its name.
    pub policy: String,
    /// Booleans that were set.
    pub booleans: Booleans,
}

/// The outcome of a check.
pub(super) struct Decision {
    /// True if the access is granted, or let through.
    pub(super) passes: bool,
    /// The permissions of an AVC record, and its verb, if there is one.
    pub(super) record: Option<AvcRecord>,
}

/// The variable parts of an AVC record.
pub(super) struct AvcRecord {
    pub(super) denied: bool,
    pub(super) permissions: Vec<String>,
    /// `permissive=` of a denial.
    pub(super) permissive: bool,
}

/// State that outlives a check.
pub(super) struct Selinux<'a> {
    server: &'a dyn SecurityServer,
    pub(super) loaded: Loaded,
    answers: Box<dyn Answers + 'a>,
    mode: Mode,
    /// Booleans that were written and not committed.
    pending: Booleans,
    /// Permissions that permissive mode granted, which are then cached (`avc_denied()`).
    granted: BTreeSet<[String; 4]>,
}

impl<'a> Selinux<'a> {
    pub(super) fn new(server: &'a dyn SecurityServer, policy: &str, mode: Mode) -> Self {
        let loaded = Loaded { policy: policy.to_owned(), booleans: Booleans::new() };
        let answers = server.answers(&loaded);
        Self { server, loaded, answers, mode, pending: Booleans::new(), granted: BTreeSet::new() }
    }

    /// `avc_has_perm()`: several permissions are requested at once.
    pub(super) fn check(
        &mut self,
        source: &str,
        target: &str,
        class: &str,
        permissions: &[String],
    ) -> Decision {
        let (mut denied, mut audited, mut granted) = (Vec::new(), Vec::new(), Vec::new());
        let mut lenient = self.mode == Mode::Permissive;
        for permission in permissions {
            let answer = self.answers.answer(source, target, class, permission);
            lenient |= answer.permissive;
            let key = [source, target, class, permission].map(str::to_owned);
            if !answer.allowed && !self.granted.contains(&key) {
                if answer.audit_denied {
                    audited.push(permission.clone());
                }
                denied.push(key);
            } else if answer.audit_granted {
                granted.push(permission.clone());
            }
        }
        let refused = !denied.is_empty();
        if refused && lenient {
            self.granted.extend(denied);
        }
        // avc_audit_required(): a check with a denial records only what is denied.
        let permissions = if refused { audited } else { granted };
        let record = (!permissions.is_empty()).then_some(AvcRecord {
            denied: refused,
            permissions,
            permissive: lenient,
        });
        Decision { passes: !refused || lenient, record }
    }

    /// Empties the cache (`avc_ss_reset()`).
    pub(super) fn flush(&mut self) {
        self.granted.clear();
    }

    /// Asks the policy anew, and empties the cache.
    fn reload(&mut self) {
        self.answers = self.server.answers(&self.loaded);
        self.flush();
    }

    /// Applies an action of the agent that succeeded.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::LoadPolicy(name) => {
                self.loaded.policy.clone_from(name);
                self.reload();
            }
            Action::Boolean(boolean) => {
                self.loaded.booleans.insert(boolean.name.clone(), boolean.value);
                self.reload();
            }
            Action::Write(write) => {
                if let Some(file) = write.path.strip_prefix("/sys/fs/selinux/") {
                    self.write(file, write.text.trim());
                }
            }
            Action::Kill(_)
            | Action::AuditRule(_)
            | Action::AuditExclude(_)
            | Action::AuditEnable
            | Action::AuditGet
            | Action::AuditBacklog(_) => {}
        }
    }

    /// A write to a file of selinuxfs (security/selinux/selinuxfs.c).
    fn write(&mut self, file: &str, text: &str) {
        // The kernel reads these with "%d".
        let Ok(value) = text.parse::<i64>() else { return };
        let on = value != 0;
        match file.strip_prefix("booleans/") {
            Some(boolean) => drop(self.pending.insert(boolean.to_owned(), on)),
            None if file == "enforce" => {
                let mode = if on { Mode::Enforcing } else { Mode::Permissive };
                // sel_write_enforce(): only a change to enforcing resets the cache.
                if mode != self.mode && on {
                    self.flush();
                }
                self.mode = mode;
            }
            None if file == "commit_pending_bools" && on => {
                self.loaded.booleans.append(&mut self.pending);
                self.reload();
            }
            None => {}
        }
    }
}
