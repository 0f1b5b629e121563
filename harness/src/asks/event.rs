//! The audit event of a call: when the kernel logs one, and the records that it has.

use std::collections::BTreeSet;

use perfsec_wire::Step;
use perfsec_wire::named::Named;
use perfsec_wire::step::{Action, Excluded, RuleSyscall};

use super::credentials::Credentials;
use super::question::{Check, Question};
use crate::transcript::{Effect, ExpectedEffects, RecordLine, RecordType, quoted};

/// The name of the subject's process in a record of another one.
const SUBJECT: &str = "subject";

/// The audit rules that are loaded.
#[derive(Default)]
pub(super) struct AuditRules {
    syscalls: Vec<RuleSyscall>,
    excluded: Vec<Excluded>,
}

impl AuditRules {
    /// Applies an action of the agent.
    pub(super) fn apply(&mut self, action: &Action) {
        match action {
            Action::AuditRule(rule) => self.syscalls.extend(rule.syscall),
            Action::AuditExclude(kind) => self.excluded.push(*kind),
            _ => {}
        }
    }

    /// True if a rule excludes an AVC record.
    pub(super) fn exclude_avc(&self) -> bool {
        self.excluded.contains(&Excluded::Avc)
    }

    /// True if a rule excludes a record that `audit_log_exit()` logs: itself, or SYSCALL, which is
    /// the first.
    fn exclude(&self, kind: RecordType) -> bool {
        self.excluded
            .iter()
            .any(|excluded| *excluded == Excluded::Syscall || excluded.name() == kind.name())
    }

    /// True if a rule matches the syscall of a step.
    fn match_step(&self, step: &Step) -> bool {
        let name = match step {
            // Its number is that of another syscall in the table of 64-bit programs.
            Step::Ioctl(ioctl) if ioctl.compat => return false,
            Step::Setexeccon(_) => "write",
            step => step.name(),
        };
        self.syscalls.iter().any(|rule| rule.name() == name)
    }
}

/// The records that the questions of a call list.
#[derive(Default)]
pub(super) struct ListedRecords {
    /// Lines of those that the call came to.
    reached: BTreeSet<usize>,
}

impl ListedRecords {
    /// Notes that the call comes to the record in this line.
    pub(super) fn reach(&mut self, line: usize) {
        self.reached.insert(line);
    }

    /// The records of the event. The kernel logs one because of another record, or because a rule
    /// matches.
    pub(super) fn of_event<'q>(
        self,
        step: &Step,
        asks: &'q [Question],
        effects: &[ExpectedEffects],
        rules: &AuditRules,
    ) -> Vec<(&'q Question, &'q RecordLine)> {
        let listed = asks.iter().filter_map(|question| match &question.check {
            Check::Effect(Effect::Record(line)) => Some((question, line)),
            _ => None,
        });
        let is_reached = |question: &Question| self.reached.contains(&question.line);
        let logs = |all: &ExpectedEffects| {
            matches!(all.effects[..], [Effect::Avc(_) | Effect::SelinuxErr(_), ..])
        };
        let is_logged = rules.match_step(step)
            || effects.iter().any(logs)
            || listed
                .clone()
                .any(|(question, line)| line.kind.starts_event() && is_reached(question));
        listed
            .filter(|(question, line)| {
                is_logged
                    && (line.kind.is_of_every_event() || is_reached(question))
                    && !rules.exclude(line.kind)
            })
            .collect()
    }
}

/// The names by which records tell the task from the subject as it was started.
#[derive(Default)]
pub(super) struct TaskNames {
    /// The name of the process; `None` for the subject's.
    pub(super) pid: Option<String>,
    /// The name of its parent; `None` for the agent.
    parent: Option<String>,
}

impl TaskNames {
    /// Continues as a child of this name.
    pub(super) fn become_child(&mut self, name: &str) {
        let parent = self.pid.replace(name.to_owned());
        self.parent = Some(parent.unwrap_or_else(|| SUBJECT.to_owned()));
    }

    /// A record with the fields by which the task differs from the subject, which started with id
    /// `uid`. `comm` is its name, unless that is the subject's.
    pub(super) fn complete(
        &self,
        line: &RecordLine,
        credentials: &Credentials,
        uid: u32,
        comm: Option<&str>,
    ) -> RecordLine {
        let mut line = line.clone();
        if let Some(name) = &self.pid
            && matches!(line.kind, RecordType::Syscall | RecordType::Capset)
        {
            line.add("pid", name);
        }
        if line.kind != RecordType::Syscall {
            return line;
        }
        if let Some(parent) = &self.parent {
            line.add("ppid", parent);
        }
        for (key, id) in credentials.audited_ids() {
            if id != uid {
                line.add(key, id.to_string());
            }
        }
        if let Some(comm) = comm {
            line.add("comm", quoted(comm));
        }
        line
    }
}
