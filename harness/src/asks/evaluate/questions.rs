//! Asks lists of questions: which of them the kernel asks, and what a refusal does.

use perfsec_wire::step::UnshareFlag;
use perfsec_wire::{Lockdown, Step};

use super::{Evaluator, Outcome, Refused, refused, resolve};
use crate::asks::credentials::{Credentials, PtraceCreds};
use crate::asks::evaluation::RefusedQuestion;
use crate::asks::question::{Check, Fact, Guard, Question, Refusal, Target};
use crate::errno::Errno;
use crate::transcript::{Effect, ExpectedEffects, Times};

impl<'a> Evaluator<'a> {
    /// Asks a list of questions. Effects of a function's list have the line of its caller.
    pub(super) fn list(
        &mut self,
        asks: &'a [Question],
        target: Option<&Target>,
        own_lines: bool,
    ) -> Outcome {
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

    pub(super) fn question(&mut self, question: &'a Question, target: Option<&Target>) -> Outcome {
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

    pub(super) fn guard(&mut self, guard: &Guard, target: Option<&Target>) -> bool {
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

    pub(super) fn condition(&mut self, name: &str) -> bool {
        self.out.conditions.insert(name.to_owned());
        (self.situation.holds)(name)
    }

    /// The credentials of a target outside the subject's thread group.
    pub(super) fn other(&self, target: Option<&Target>) -> Option<Credentials> {
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

    pub(super) fn check(&mut self, check: &'a Check, target: Option<&Target>) -> Outcome {
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
