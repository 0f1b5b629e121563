//! Makes the checks behind questions, and writes their records.

use perfsec_wire::{Mode, Step};

use super::{Evaluator, resolve};
use crate::asks::evaluation::{CheckedThing, MadeCheck};
use crate::asks::question::{Audit, Namespace, SelinuxCheck, Target};
use crate::asks::selinux::AvcRecord;
use crate::grant::{cap_class, cap_name};
use crate::policy::KERNEL;
use crate::transcript::{Avc, CapLine, CapVerdict, Effect, quoted};

impl Evaluator<'_> {
    /// `ns_capable()`
    pub(super) fn capable(
        &mut self,
        cap: u32,
        audit: Audit,
        namespace: &Namespace,
        target: Option<&Target>,
    ) -> bool {
        let own_is_initial = self.credentials.initial_namespace;
        let (held, initial) = match namespace {
            Namespace::Initial => (own_is_initial && self.credentials.effective.has(cap), true),
            Namespace::Own => (self.credentials.effective.has(cap), own_is_initial),
            Namespace::Of(of) => match self.other(Some(resolve(of, target))) {
                None => (self.credentials.effective.has(cap), own_is_initial),
                Some(other) => (self.credentials.has_toward(&other, cap), other.initial_namespace),
            },
        };
        let class = cap_class(cap, initial);
        let decision = (held && self.has_selinux()).then(|| {
            let permission = [cap_name(cap)];
            self.selinux.check(&self.domain, &self.domain, class, &permission)
        });
        let passes = decision.as_ref().map_or(held, |decision| decision.passes);
        let before = self.lines();
        let verdict = match (held, passes) {
            (false, _) => CapVerdict::NotHeld,
            (true, true) => CapVerdict::Granted,
            (true, false) => CapVerdict::Refused,
        };
        if audit != Audit::Unseen {
            self.add(Effect::Cap(CapLine { cap, unaudited: audit == Audit::Quiet, verdict }));
        }
        if let Some(record) = decision.and_then(|decision| decision.record)
            && audit == Audit::Audited
        {
            let fields = vec![("capability".to_owned(), cap.to_string())];
            self.record(record, class, &fields, None);
        }
        self.note(CheckedThing::Capability { cap, held, class }, passes, before);
        passes
    }

    /// True if SELinux has a policy and decides.
    pub(super) fn has_selinux(&self) -> bool {
        self.situation.boot.has_policy()
    }

    pub(super) fn selinux_check(&mut self, check: &SelinuxCheck, target: Option<&Target>) -> bool {
        if !self.has_selinux() {
            return true;
        }
        let (kind, context) = self.target_context(resolve(&check.target, target));
        let decision = self.selinux.check(&self.domain, &kind, &check.class, &check.permissions);
        let before = self.lines();
        if let Some(record) = decision.record.filter(|_| check.audited) {
            self.record(record, &check.class, &check.fields, context);
        }
        let about = CheckedThing::Permissions {
            target: kind,
            class: check.class.clone(),
            permissions: check.permissions.clone(),
        };
        self.note(about, decision.passes, before);
        decision.passes
    }

    /// Notes a check whose lines begin at `before`.
    pub(super) fn note(&mut self, about: CheckedThing, passes: bool, before: usize) {
        let path = self.path.iter().map(|&name| name.to_owned()).collect();
        let because = self.because.map(str::to_owned);
        let lines = before..self.lines();
        let domain = self.domain.clone();
        self.checks.push(MadeCheck { path, because, domain, about, passes, lines });
    }

    /// The least number of effects so far.
    pub(super) fn lines(&self) -> usize {
        self.effects.iter().map(|all| all.times.least() * all.effects.len()).sum()
    }

    /// The type of a target, and its context as a record has it, unless that is the subject's.
    pub(super) fn target_context(&self, target: &Target) -> (String, Option<String>) {
        let process = |name: &str| self.situation.processes.iter().find(|one| one.name == name);
        let kind = match target {
            Target::Agent => {
                let server = self.situation.server;
                let context = server.agent_context(&self.selinux.loaded, &self.domain);
                return (KERNEL.to_owned(), Some(context));
            }
            Target::Task(name) => process(name).map(|process| process.domain.as_str()),
            Target::Type(name) => Some(name.as_str()),
            Target::Own | Target::Argument => None,
        };
        let kind = kind.unwrap_or(&self.domain).to_owned();
        let context = (kind != self.domain).then(|| kind.clone());
        (kind, context)
    }

    /// Writes an AVC record.
    pub(super) fn record(
        &mut self,
        record: AvcRecord,
        class: &str,
        own_fields: &[(String, String)],
        context: Option<String>,
    ) {
        if !self.situation.boot.has_audit() {
            return;
        }
        let field = |key: &str, value: String| (key.to_owned(), value);
        let mut fields = Vec::new();
        if let Some(name) = &self.names.pid {
            fields.push(field("pid", name.clone()));
        }
        if self.comm != self.situation.comm {
            fields.push(field("comm", quoted(&self.comm)));
        }
        fields.extend_from_slice(own_fields);
        // ioctl_has_perm() adds it to what file_has_perm() tells about the file.
        let told = own_fields.iter().any(|(key, _)| key == "ioctlcmd");
        if let (Some(Step::Ioctl(ioctl)), "fd", false) = (self.step, class, told) {
            fields.push(field(
                "ioctlcmd",
                format!("{:#x}", 0x2400 + u32::from(ioctl.request.number())),
            ));
        }
        fields.extend(context.map(|context| field("tcontext", context)));
        fields.push(field("tclass", class.to_owned()));
        if record.denied && record.permissive != (self.situation.mode == Mode::Permissive) {
            fields.push(field("permissive", u8::from(record.permissive).to_string()));
        }
        let verb = if record.denied { "denied" } else { "granted" };
        let permissions = record.permissions;
        self.add(Effect::Avc(Avc { verb: verb.to_owned(), permissions, fields }));
    }
}
