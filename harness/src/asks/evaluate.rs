//! The evaluator: computes what a cell must see from the questions of its steps.
//!
//! The rules are those of `cred_has_capability()` and `avc_has_perm()` (security/selinux), of
//! `cap_capable()` and `security_capable()`:
//!
//! - A capability outside the effective set is refused, and SELinux is not asked. One in the set
//!   is checked by SELinux as `capability` or `capability2`.
//! - The next choice of `|` and `||` is asked only if the one before is refused.
//! - A refusal ends the call with its errno. A denial in permissive mode, or of a permissive
//!   domain, is recorded, let through, and from then on cached.
//! - Steps that depend on a failed step are not performed.

mod checks;
mod questions;

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::caps::SETUID;
use perfsec_wire::step::{
    Action, Capget, Clone, CloneFlag, Execve, Prctl, Task, UnshareFlag, Write, WriteFile,
};
use perfsec_wire::{BootMode, Step};

use super::credentials::{Credentials, ExecRules};
use super::evaluation::{CallChecks, Evaluation, MadeCheck, RefusedQuestion};
use super::event::{AuditRules, ListedRecords, TaskNames};
use super::question::{Audit, Namespace, Question, StepQuestions, Target};
use super::selinux::Selinux;
use super::situation::Situation;
use crate::case::needed;
use crate::errno::Errno;
use crate::transcript::{
    CallHead, CallResult, Effect, ExpectedCall, ExpectedEffects, Holds, NOTHING, Syscall,
};

/// The condition that decides which effective user ID exec compares with the new one.
const EXEC_COMPARES_EFFECTIVE_IDS: &str = "exec-compares-effective-ids";

/// The end of a list of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// The call ends with this result.
    Refused(Refused),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Errno(Errno),
    /// `recvmsg` drops the descriptor, and succeeds.
    Nothing,
}

impl Outcome {
    /// The first refusal of two lists.
    fn or(self, later: Self) -> Self {
        if self == Self::Passed { later } else { self }
    }
}

impl From<Refused> for CallResult {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Errno(errno) => Self::Error(errno),
            Refused::Nothing => NOTHING.into(),
        }
    }
}

/// Computes what a subject sees that performs these steps, with the questions of each.
#[must_use]
pub fn evaluate<'a>(
    steps: &'a [Step],
    questions: &'a [StepQuestions],
    situation: &'a Situation<'a>,
) -> Evaluation {
    let rules = ExecRules {
        file_caps: situation.boot != BootMode::NoFileCaps,
        suid_dumpable: situation.suid_dumpable,
    };
    let mut audit_rules = AuditRules::default();
    let mut selinux = Selinux::new(situation.server, situation.policy, situation.mode);
    for step in situation.given {
        if let Step::Agent(action) = step {
            selinux.apply(action);
            audit_rules.apply(action);
        }
    }
    let mut credentials = Credentials::new(situation.uid, situation.grant, rules);
    situation.before.iter().for_each(|step| credentials.apply(step, rules, false));
    let mut evaluator = Evaluator {
        situation,
        rules,
        selinux,
        told_uid: credentials.user.real,
        names: TaskNames::default(),
        audit_rules,
        records: ListedRecords::default(),
        told: Vec::new(),
        is_first: false,
        clones_first: false,
        credentials,
        domain: situation.domain.to_owned(),
        exec_domain: None,
        comm: situation.comm.to_owned(),
        children: BTreeMap::new(),
        effects: Vec::new(),
        path: Vec::new(),
        because: None,
        checks: Vec::new(),
        refusing: 0,
        refusals: Vec::new(),
        goes_on: situation.whole,
        went_on: false,
        step: None,
        buffers: BTreeMap::new(),
        line: 0,
        out: Evaluation::default(),
    };
    let bound_by_steps: Vec<_> = steps.iter().filter_map(Step::binds).collect();
    let processes: Vec<_> = situation.processes.iter().map(|one| one.name.clone()).collect();
    let mut bound = BTreeSet::new();
    for (step, questions) in steps.iter().zip(questions) {
        let names = needed(step, &processes);
        if names.iter().any(|name| bound_by_steps.contains(name) && !bound.contains(name)) {
            continue;
        }
        if evaluator.step(step, questions) {
            bound.extend(step.binds());
        }
    }
    evaluator.out
}

/// The state of the subject and of SELinux between two steps.
struct Evaluator<'a> {
    situation: &'a Situation<'a>,
    rules: ExecRules,
    selinux: Selinux<'a>,
    credentials: Credentials,
    names: TaskNames,
    audit_rules: AuditRules,
    /// The records that the questions of the call list.
    records: ListedRecords,
    /// Lines of the call that follow its records.
    told: Vec<ExpectedEffects>,
    /// It is the first process of its PID namespace.
    is_first: bool,
    /// The next process that it clones is the first of a PID namespace.
    clones_first: bool,
    /// The user ID that the transcript told last.
    told_uid: u32,
    domain: String,
    /// The domain that setexeccon(3) set.
    exec_domain: Option<String>,
    comm: String,
    /// Tasks that the subject cloned; `None` for threads.
    children: BTreeMap<String, Option<Credentials>>,
    effects: Vec<ExpectedEffects>,
    path: Vec<&'a str>,
    because: Option<&'a str>,
    checks: Vec<MadeCheck>,
    /// Index of the first check of the question that was refused last.
    refusing: usize,
    /// The questions of the call that were refused.
    refusals: Vec<RefusedQuestion>,
    /// A list goes on after a refusal.
    goes_on: bool,
    /// A question of the call was refused, and the call went on.
    went_on: bool,
    /// The step that is performed.
    step: Option<&'a Step>,
    /// The descriptors of events that have a buffer, by the name of the mapping.
    buffers: BTreeMap<String, String>,
    /// The line of the question in the case file.
    line: usize,
    out: Evaluation,
}

impl<'a> Evaluator<'a> {
    /// Performs a step; true if it succeeds.
    fn step(&mut self, step: &'a Step, asked: &'a StepQuestions) -> bool {
        self.line = asked.line;
        self.went_on = false;
        self.step = Some(step);
        let task = match step {
            Step::PerfEventOpen(_) | Step::Capget(_) => step.task(),
            _ => None,
        };
        let task = task.and_then(|task| match task {
            Task::Named(name) => Some(Target::Task(name.clone())),
            Task::First if !self.is_first => Some(Target::Agent),
            _ => None,
        });
        let own = matches!(step, Step::Access(_)).then(|| {
            let overridden = self.credentials.for_access();
            std::mem::replace(&mut self.credentials, overridden)
        });
        // The checks before those of the code that a case is about.
        let first = self.situation.functions.syscall(step.name());
        let first =
            first.map_or(Outcome::Passed, |list| self.list(&list.asks, task.as_ref(), false));
        let mut outcome = match first {
            refused @ Outcome::Refused(_) if !self.goes_on => refused,
            first => first.or(self.list(&asked.asks, task.as_ref(), true)),
        };
        if let Some(own) = own {
            self.credentials = own;
        }
        let returns = asked
            .returns
            .iter()
            .find(|returned| returned.guards.iter().all(|guard| self.guard(guard, task.as_ref())));
        let returns = returns.map(|returned| returned.result.clone());
        if let (Step::Execve(file), Outcome::Passed, None) = (step, outcome, &returns) {
            outcome = self.exec(file);
        }
        // The rest of the steps would follow if this were allowed.
        let lifted = self.goes_on && matches!(outcome, Outcome::Refused(_));
        let result = match outcome {
            Outcome::Passed => returns.unwrap_or_else(|| self.usual_result(step)),
            Outcome::Refused(result) => result.into(),
        };
        let succeeds =
            lifted || outcome == Outcome::Passed && !matches!(result, CallResult::Error(_));
        self.out.refuses |= result.is_denial() || outcome == Outcome::Refused(Refused::Nothing);
        // The creator of a task logs the call, and the task begins behind it.
        let hands_over = matches!(step, Step::Clone(clone) if clone.continues);
        if succeeds && !hands_over {
            self.apply(step);
        }
        if self.audit_rules.exclude_avc() {
            self.drop_avc_records();
        }
        self.records(step, &asked.asks);
        if succeeds && hands_over {
            self.apply(step);
        }
        self.effects.append(&mut self.told);
        let head = CallHead::Syscall(Syscall::new(step, result));
        let effects = std::mem::take(&mut self.effects);
        self.out.transcript.calls.push(ExpectedCall { head, line: asked.line, effects });
        let made = std::mem::take(&mut self.checks);
        let refusing = matches!(outcome, Outcome::Refused(_)).then_some(self.refusing);
        let refusals = std::mem::take(&mut self.refusals);
        self.out.checks.push(CallChecks { made, refusing, refusals });
        succeeds
    }

    /// Drops the AVC records, which a rule excludes.
    fn drop_avc_records(&mut self) {
        for effects in &mut self.effects {
            effects.effects.retain(|effect| !matches!(effect, Effect::Avc(_)));
        }
        self.effects.retain(|effects| !effects.effects.is_empty());
    }

    /// Adds the records of the event, which audit_log_exit() writes last.
    fn records(&mut self, step: &Step, asks: &[Question]) {
        let listed = std::mem::take(&mut self.records);
        for (question, line) in listed.of_event(step, asks, &self.effects, &self.audit_rules) {
            if question.guards.iter().all(|guard| self.guard(guard, None)) {
                self.line = question.line;
                let comm = (self.comm != self.situation.comm).then_some(self.comm.as_str());
                let uid = self.situation.uid;
                let line = self.names.complete(line, &self.credentials, uid, comm);
                self.add(Effect::Record(line));
            }
        }
    }

    /// The result of a step that succeeds.
    fn usual_result(&self, step: &Step) -> CallResult {
        match step {
            Step::Read(read) if !read.some => CallResult::Number(read.count.into()),
            Step::Write(Write { text, .. })
            | Step::Agent(Action::Write(WriteFile { text, .. })) => {
                CallResult::Number(text.len() as i64)
            }
            // perf_poll(): EPOLLHUP without a buffer.
            Step::Poll(poll) => {
                let mapped = self.buffers.values().any(|fd| *fd == poll.fd);
                CallResult::Number((!mapped).into())
            }
            Step::Capget(Capget { pid: Task::Caller }) => self.credentials.sets().as_str().into(),
            Step::Getresuid(_) => self.credentials.user_ids().as_str().into(),
            Step::Setfsuid(_) => {
                let previous = self.credentials.seen(self.credentials.user.fs);
                CallResult::Number(previous.into())
            }
            Step::Personality(_) => CallResult::Number(self.credentials.personality.into()),
            Step::Prctl(Prctl::GetDumpable) => CallResult::Number(self.credentials.dumpable.into()),
            step => CallResult::success(step),
        }
    }

    /// Applies a step that succeeded to the state.
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Agent(action) => {
                self.selinux.apply(action);
                self.audit_rules.apply(action);
            }
            Step::Setexeccon(set) => self.exec_domain = Some(set.domain.clone()),
            Step::Prctl(Prctl::SetName(name)) => {
                // TASK_COMM_LEN
                let end = (0..=name.len().min(15)).rev().find(|end| name.is_char_boundary(*end));
                self.comm = name[..end.unwrap_or(0)].to_owned();
            }
            Step::Mmap(mmap) => drop(self.buffers.insert(mmap.bind.clone(), mmap.fd.clone())),
            Step::Munmap(munmap) => drop(self.buffers.remove(&munmap.map)),
            Step::Unshare(unshare) => {
                self.clones_first |= unshare.flags.contains(&UnshareFlag::Newpid);
            }
            _ => {}
        }
        self.credentials.apply(step, self.rules, self.went_on);
        if let Step::Clone(clone) = step {
            self.cloned(clone);
        }
    }

    /// Adds the task that a step cloned, and continues as that task if the step says so.
    fn cloned(&mut self, clone: &Clone) {
        let flags = &clone.flags;
        let first = self.clones_first || flags.contains(&CloneFlag::Newpid);
        self.clones_first = false;
        let process = !flags.contains(&CloneFlag::Thread);
        let child = process.then(|| self.credentials.forked(flags));
        match child {
            Some(child) if clone.continues => {
                // The threads of the creator belong to another process now.
                let creator = std::mem::replace(&mut self.credentials, child);
                for task in self.children.values_mut() {
                    task.get_or_insert_with(|| creator.clone());
                }
                self.children.insert(clone.bind.clone(), None);
                self.names.become_child(&clone.bind);
                self.is_first = first;
            }
            child => drop(self.children.insert(clone.bind.clone(), child)),
        }
    }

    /// Executes a file, and writes what the subject holds afterwards.
    fn exec(&mut self, file: &Execve) -> Outcome {
        let mut credentials = self.credentials.clone();
        let effective_ids = self.condition(EXEC_COMPARES_EFFECTIVE_IDS);
        let rules = self.rules;
        let may_set_uid = || self.capable(SETUID, Audit::Audited, &Namespace::Own, None);
        if !credentials.exec(file, rules, effective_ids, may_set_uid) {
            self.refusing = self.checks.len();
            self.refusals.push(RefusedQuestion {
                checks: self.refusing..self.refusing,
                errno: Errno::EPERM,
                path: vec!["bprm_caps_from_vfs_caps".to_owned()],
                because: Some(
                    "the file has the effective bit and a capability that the bounding set no \
                     longer has"
                        .to_owned(),
                ),
            });
            return Outcome::Refused(Refused::Errno(Errno::EPERM));
        }
        let holds = Holds { permitted: credentials.permitted, effective: credentials.effective };
        self.credentials = credentials;
        self.tell(Effect::Holds(holds));
        let domain = self
            .exec_domain
            .take()
            .or_else(|| self.situation.server.exec_domain(&self.selinux.loaded, &self.domain));
        if let Some(domain) = domain.filter(|domain| *domain != self.domain) {
            self.tell(Effect::Domain(domain.clone()));
            self.domain = domain;
        }
        let uid = self.credentials.seen(self.credentials.user.real);
        if uid != self.told_uid {
            self.told_uid = uid;
            self.tell(Effect::Uid(uid));
        }
        self.comm = self.situation.comm.to_owned();
        self.buffers.clear();
        // Threads end at exec (de_thread()), children do not.
        self.children.retain(|_, child| child.is_some());
        self.selinux.flush();
        Outcome::Passed
    }

    /// Adds a line about the new program, behind the records of the call.
    fn tell(&mut self, effect: Effect) {
        self.told.push(ExpectedEffects::once(effect, self.line));
    }

    fn add(&mut self, effect: Effect) {
        let line = self.line;
        self.effects.push(ExpectedEffects::once(effect, line));
    }
}

/// The target that a list names; where that is what its caller names, the caller's.
fn resolve<'t>(named: &'t Target, callers: Option<&'t Target>) -> &'t Target {
    callers.filter(|_| *named == Target::Argument).unwrap_or(named)
}

fn refused(errno: Errno) -> Outcome {
    Outcome::Refused(Refused::Errno(errno))
}
