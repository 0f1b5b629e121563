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

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::caps::SETUID;
use perfsec_wire::step::{
    Action, Capget, Clone, CloneFlag, Execve, Prctl, Task, UnshareFlag, Write, WriteFile,
};
use perfsec_wire::{BootMode, Lockdown, Mode, Step};

use super::credentials::{Credentials, ExecRules, PtraceCreds};
use super::evaluation::{CallChecks, CheckedThing, Evaluation, MadeCheck, RefusedQuestion};
use super::event::{AuditRules, ListedRecords, TaskNames};
use super::question::{
    Audit, Check, Fact, Guard, Namespace, Question, Refusal, SelinuxCheck, StepQuestions, Target,
};
use super::selinux::{AvcRecord, Selinux};
use super::situation::Situation;
use crate::case::needed;
use crate::errno::Errno;
use crate::grant::{cap_class, cap_name};
use crate::policy::KERNEL;
use crate::transcript::{
    Avc, CallHead, CallResult, CapLine, CapVerdict, Effect, ExpectedCall, ExpectedEffects, Holds,
    NOTHING, Syscall, Times, quoted,
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

    /// Asks a list of questions. Effects of a function's list have the line of its caller.
    fn list(&mut self, asks: &'a [Question], target: Option<&Target>, own_lines: bool) -> Outcome {
        let mut all = Outcome::Passed;
        for question in asks {
            if own_lines {
                self.line = question.line;
            }
            if !question.guards.iter().all(|guard| self.guard(guard, target)) {
                continue;
            }
            let outer = self.because;
            self.because = question.guards.iter().rev().find_map(Guard::because).or(outer);
            let outcome = self.question(question, target);
            self.because = outer;
            match (&question.check, outcome) {
                (Check::Return(None), _) => break,
                (_, Outcome::Passed) => {}
                (_, refused) if self.goes_on => all = all.or(refused),
                (_, refused) => return refused,
            }
        }
        all
    }

    fn question(&mut self, question: &'a Question, target: Option<&Target>) -> Outcome {
        let before = self.effects.len();
        let first = self.checks.len();
        let refusals = self.refusals.len();
        let outcome = self.check(&question.check, target);
        if question.repeats {
            self.repeat(&question.check, target, before);
        }
        // Of a function, the question in its list that was refused is more exact.
        let is_function = matches!(question.check, Check::Function { .. });
        if !is_function && let Outcome::Refused(refused) = outcome {
            self.refusing = first;
            self.refusals.truncate(refusals);
            self.refuse(first, refused);
        }
        match (outcome, question.refusal) {
            (Outcome::Passed, _) | (_, Some(Refusal::GoOn)) => self.refusals.truncate(refusals),
            (_, Some(Refusal::Errno(errno))) => {
                self.refusals[refusals..].iter_mut().for_each(|it| it.errno = errno);
            }
            _ => {}
        }
        match (outcome, question.refusal) {
            (Outcome::Refused(_), Some(Refusal::GoOn)) => {
                self.went_on = true;
                Outcome::Passed
            }
            (Outcome::Refused(_), Some(Refusal::Errno(errno))) => {
                Outcome::Refused(Refused::Errno(errno))
            }
            (Outcome::Refused(_), Some(Refusal::Nothing)) => Outcome::Refused(Refused::Nothing),
            (outcome, _) => outcome,
        }
    }

    /// Notes the refusal of a question whose checks begin at `first`.
    fn refuse(&mut self, first: usize, refused: Refused) {
        let Refused::Errno(errno) = refused else { return };
        self.refusals.push(RefusedQuestion {
            checks: first..self.checks.len(),
            errno,
            path: self.path.iter().map(|&name| name.to_owned()).collect(),
            because: self.because.map(str::to_owned),
        });
    }

    fn guard(&mut self, guard: &Guard, target: Option<&Target>) -> bool {
        let holds = match &guard.fact {
            Fact::LevelAbove(level) => self.situation.level > *level,
            Fact::Condition(name) => self.condition(name),
            Fact::Call(fact) => {
                matches!(self.step, Some(Step::PerfEventOpen(call)) if fact.holds(call))
            }
            Fact::Refused => self.went_on,
            Fact::EventOfAgent => self.step.and_then(used_file).is_some_and(|fd| {
                let opens = |step: &&Step| matches!(step, Step::PerfEventOpen(_));
                self.situation.given.iter().filter(opens).any(|step| step.binds() == Some(fd))
            }),
            Fact::NewUid => matches!(self.step, Some(Step::Setresuid(set))
                if !self.credentials.user.has_all_of(set)),
            Fact::NewUserNamespace => matches!(self.step, Some(Step::Unshare(unshare))
                if unshare.flags.contains(&UnshareFlag::Newuser)),
            Fact::Confidentiality => self.situation.lockdown == Lockdown::Confidentiality,
            Fact::BeyondMlockLimit => match (self.step, self.situation.free_pages) {
                (Some(Step::Mmap(mmap)), Some(free)) => u64::from(mmap.pages) > free,
                _ => false,
            },
            Fact::AnotherProcess => self.other(target).is_some(),
            Fact::OtherUser => self
                .other(target)
                .is_some_and(|other| self.credentials.is_other_user(&other, PtraceCreds::Real)),
            Fact::OtherFsUser => self
                .other(target)
                .is_some_and(|other| self.credentials.is_other_user(&other, PtraceCreds::Fs)),
            Fact::Undumpable => self.other(target).is_some_and(|other| other.dumpable != 1),
            Fact::MoreCapable => self
                .other(target)
                .is_some_and(|other| self.credentials.lacks_some_of(&other, PtraceCreds::Real)),
            Fact::MoreThanEffective => self
                .other(target)
                .is_some_and(|other| self.credentials.lacks_some_of(&other, PtraceCreds::Fs)),
        };
        holds == guard.wanted
    }

    fn condition(&mut self, name: &str) -> bool {
        self.out.conditions.insert(name.to_owned());
        (self.situation.holds)(name)
    }

    /// The credentials of a target outside the subject's thread group.
    fn other(&self, target: Option<&Target>) -> Option<Credentials> {
        let name = match target {
            Some(Target::Task(name)) => name,
            Some(Target::Agent) => return Some(Credentials::agent(self.rules)),
            _ => return None,
        };
        if let Some(child) = self.children.get(name) {
            return child.clone();
        }
        let process = self.situation.processes.iter().find(|one| one.name == *name)?;
        let mut credentials = Credentials::new(process.uid, process.grant.0, self.rules);
        process.steps.iter().for_each(|step| credentials.apply(step, self.rules, false));
        Some(credentials)
    }

    fn check(&mut self, check: &'a Check, target: Option<&Target>) -> Outcome {
        let passes = match check {
            Check::Selinux(check) => {
                let passes = self.selinux_check(check, target);
                return if passes { Outcome::Passed } else { refused(Errno::EACCES) };
            }
            Check::Capable { caps, audit, namespace } => {
                caps.iter().any(|cap| self.capable(*cap, *audit, namespace, target))
            }
            Check::Function { name, target: own } => {
                let Some(list) = self.situation.functions.list(name) else {
                    return Outcome::Passed;
                };
                let target = own.as_ref().map(|own| resolve(own, target)).or(target);
                let outer = self.because;
                self.because = list.because.as_deref().or(outer);
                self.path.push(name);
                let outcome = self.list(&list.asks, target, false);
                self.path.pop();
                self.because = outer;
                return outcome;
            }
            Check::Either(choices) => {
                // A refused choice ends there.
                let goes_on = std::mem::take(&mut self.goes_on);
                let mut last = Outcome::Passed;
                for choice in choices {
                    last = self.check(choice, target);
                    if !matches!(last, Outcome::Refused(_)) {
                        break;
                    }
                }
                self.goes_on = goes_on;
                return last;
            }
            Check::Both(checks) => {
                let mut outcome = Outcome::Passed;
                for check in checks {
                    let one = self.check(check, target);
                    if outcome == Outcome::Passed {
                        outcome = one;
                    }
                }
                return outcome;
            }
            Check::Return(None) => true,
            Check::Return(Some(errno)) => return refused(*errno),
            // step() writes them, those of every event after a refusal too.
            Check::Effect(Effect::Record(_)) => {
                self.records.reach(self.line);
                true
            }
            Check::Effect(effect) => {
                self.add(effect.clone());
                true
            }
        };
        if passes { Outcome::Passed } else { refused(Errno::EPERM) }
    }

    /// Asks a check again, whose effects begin at `before`, as the kernel may do any number of
    /// times.
    fn repeat(&mut self, check: &'a Check, target: Option<&Target>, before: usize) {
        let effects = |all: Vec<ExpectedEffects>| -> Vec<Effect> {
            all.into_iter().flat_map(|one| one.effects).collect()
        };
        let first = self.effects.split_off(before);
        let checks = self.checks.clone();
        self.check(check, target);
        self.checks = checks;
        let again = effects(self.effects.split_off(before));
        let line = self.line;
        if effects(first.clone()) == again {
            let times = Times::OneOrMore;
            self.effects.push(ExpectedEffects { effects: again, times, line });
        } else {
            // Permissive mode records the first denial only.
            self.effects.extend(first);
            self.effects.push(ExpectedEffects { effects: again, times: Times::Any, line });
        }
    }

    /// `ns_capable()`
    fn capable(
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
    fn has_selinux(&self) -> bool {
        self.situation.boot.has_policy()
    }

    fn selinux_check(&mut self, check: &SelinuxCheck, target: Option<&Target>) -> bool {
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
    fn note(&mut self, about: CheckedThing, passes: bool, before: usize) {
        let path = self.path.iter().map(|&name| name.to_owned()).collect();
        let because = self.because.map(str::to_owned);
        let lines = before..self.lines();
        let domain = self.domain.clone();
        self.checks.push(MadeCheck { path, because, domain, about, passes, lines });
    }

    /// The least number of effects so far.
    fn lines(&self) -> usize {
        self.effects.iter().map(|all| all.times.least() * all.effects.len()).sum()
    }

    /// The type of a target, and its context as a record has it, unless that is the subject's.
    fn target_context(&self, target: &Target) -> (String, Option<String>) {
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
    fn record(
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

    /// Adds a line about the new program, behind the records of the call.
    fn tell(&mut self, effect: Effect) {
        self.told.push(ExpectedEffects::once(effect, self.line));
    }

    fn add(&mut self, effect: Effect) {
        let line = self.line;
        self.effects.push(ExpectedEffects::once(effect, line));
    }
}

/// The open file that a step uses, by its name.
fn used_file(step: &Step) -> Option<&str> {
    match step {
        Step::Read(read) => Some(&read.fd),
        Step::Ioctl(ioctl) => Some(&ioctl.fd),
        Step::Mmap(mmap) => Some(&mmap.fd),
        _ => None,
    }
}

/// The target that a list names; where that is what its caller names, the caller's.
fn resolve<'t>(named: &'t Target, callers: Option<&'t Target>) -> &'t Target {
    callers.filter(|_| *named == Target::Argument).unwrap_or(named)
}

fn refused(errno: Errno) -> Outcome {
    Outcome::Refused(Refused::Errno(errno))
}
