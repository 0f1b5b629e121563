//! Guesses at the next question of a step.

use perfsec_wire::Step;
use perfsec_wire::step::CloneFlag;

use super::catalogue::{Asked, Listed, catalogue};
use super::precedents::Precedents;
use crate::asks::{
    Audit, Check, Fact, Guard, Namespace, Question, Refusal, SelinuxCheck, StepQuestions, Target,
};
use crate::case::Case;
use crate::errno::Errno;
use crate::policy::KERNEL;
use crate::transcript::{Avc, CallResult, CapVerdict, Effect, TranscriptCall};

/// A cell's step, and the part of it that is explained.
pub(super) struct Rest<'a> {
    pub(super) call: &'a TranscriptCall,
    /// The effects that are not explained yet.
    pub(super) effects: &'a [Effect],
}

/// A guess, and what speaks against it: among guesses that explain the same, the least counts.
pub(super) struct Guess {
    pub(super) check: Check,
    pub(super) cost: usize,
}

/// The parts of a case that questions can name.
pub(super) struct Guesses<'a> {
    listed: Vec<Listed<'a>>,
    case: &'a Case,
    precedents: &'a Precedents,
    tasks: Vec<&'a str>,
    /// Values of `perf_event_paranoid` between which cells can differ.
    thresholds: Vec<i32>,
}

impl<'a> Guesses<'a> {
    pub(super) fn new(case: &'a Case, precedents: &'a Precedents) -> Self {
        let listed = catalogue(case.functions());
        let cloned = case.steps.iter().filter_map(|step| match step {
            Step::Clone(clone) => Some(clone.bind.as_str()),
            _ => None,
        });
        let processes = case.processes.iter().map(|process| process.name.as_str());
        // The default is a value of its own, and questions depend on the value alone.
        let values = case.axes.paranoid.iter().map(|level| level.value(false));
        let mut thresholds: Vec<_> = values.collect();
        thresholds.sort_unstable();
        thresholds.dedup();
        thresholds.pop();
        let tasks = processes.chain(cloned).collect();
        Self { listed, case, precedents, tasks, thresholds }
    }

    /// A question that leaves no line in a transcript, which this step asks first.
    pub(super) fn unseen(&self, step: &Step) -> Option<Question> {
        // accountable_mapping() is false for shared mappings, and dup_mmap() is for processes.
        let accounted = match step {
            Step::Mmap(mmap) => mmap.private,
            Step::Clone(clone) => !clone.flags.contains(&CloneFlag::Thread),
            _ => false,
        };
        let listed = self.listed.iter().find(|list| list.unseen && list.checks > 0)?;
        let check = Check::Function { name: listed.name.to_owned(), target: None };
        accounted.then(|| Question::plain(check, 0))
    }

    /// Whole lists of questions that this step may ask, as similar steps of other cases do.
    pub(super) fn lists(&self, step: &Step) -> Vec<&'a StepQuestions> {
        self.precedents.lists(step, self.case, &self.tasks)
    }

    /// The checks that may come next, as the unexplained effects of cells show.
    pub(super) fn checks(&self, step: &Step, rests: &[Rest<'_>]) -> Vec<Guess> {
        let mut guesses = Vec::new();
        let next: Vec<_> = rests.iter().filter_map(|rest| rest.effects.first()).collect();
        let asked: Vec<_> = next.iter().flat_map(|effect| Asked::by(effect)).collect();
        let mut capable = Vec::new();
        let precedents = self.precedents.functions(step);
        for list in &self.listed {
            if !asked.iter().any(|asked| list.asks.contains(asked)) {
                continue;
            }
            let known = precedents.is_none_or(|known| known.contains(list.name));
            if known && list.asks.iter().all(|asked| matches!(asked, Asked::Capability(_))) {
                capable.push(Check::Function { name: list.name.to_owned(), target: None });
            }
            // Without a target, the subject acts on itself.
            let others = self.targets().map(Some).filter(|_| list.has_target);
            for target in std::iter::once(None).chain(others) {
                // Access to oneself is always granted (__ptrace_may_access()).
                let cost = if list.has_target && target.is_none() { 10 } else { 10 * list.checks };
                let cost = cost + if known { 0 } else { 100 };
                let check = Check::Function { name: list.name.to_owned(), target };
                guesses.push(Guess { check, cost });
            }
        }
        for (caps, audit) in chains(rests) {
            let of_targets = self.targets().map(Namespace::Of);
            let namespaces = [Namespace::Initial, Namespace::Own].into_iter().chain(of_targets);
            for (namespace, cost) in namespaces.zip(15..) {
                let check = Check::Capable { caps: caps.clone(), audit, namespace };
                capable.push(check.clone());
                guesses.push(Guess { check, cost });
            }
        }
        for check in &capable {
            for list in self.listed.iter().filter(|list| list.has_target) {
                for target in self.targets() {
                    let other =
                        Check::Function { name: list.name.to_owned(), target: Some(target) };
                    let check = Check::Either(vec![check.clone(), other]);
                    guesses.push(Guess { check, cost: 20 + 10 * list.checks });
                }
            }
        }
        guesses.extend(self.permissions(&next));
        guesses.extend(next.iter().filter_map(|effect| literal(effect)));
        // A call that fails and shows nothing else.
        let failed = rests.iter().filter(|rest| rest.effects.is_empty());
        let errnos = distinct(failed.filter_map(|rest| errno(rest.call)));
        if !errnos.is_empty() {
            // The policy or the boot may hide its record.
            let permissions = self.precedents.permissions(step).iter().cloned();
            guesses.extend(permissions.map(|check| Guess { check, cost: 30 }));
        }
        for errno in errnos {
            guesses.push(Guess { check: Check::Return(Some(errno)), cost: 40 });
        }
        guesses
    }

    /// A check with each effect that its refusal may have on this step, the usual one first.
    pub(super) fn refusals(check: &Check, step: &Step, rests: &[Rest<'_>]) -> Vec<Question> {
        if matches!(check, Check::Return(_) | Check::Effect(_)) {
            return vec![Question::plain(check.clone(), 0)];
        }
        let errnos = distinct(rests.iter().filter_map(|rest| errno(rest.call)));
        let errnos = errnos.into_iter().map(Refusal::Errno);
        let nothing = rests
            .iter()
            .any(|rest| rest.call.head.result().is_some_and(|result| result.is_nothing(step)));
        let nothing = nothing.then_some(Refusal::Nothing);
        let refusals = [None, Some(Refusal::GoOn)].into_iter();
        let refusals = refusals.chain(errnos.chain(nothing).map(Some));
        refusals.map(|refusal| Question { refusal, ..Question::plain(check.clone(), 0) }).collect()
    }

    /// The conditions on the level that tell cells of this case apart.
    pub(super) fn guards(&self) -> impl Iterator<Item = Guard> {
        [true, false].into_iter().flat_map(|wanted| {
            let level = move |level: &i32| Guard { fact: Fact::LevelAbove(*level), wanted };
            self.thresholds.iter().map(level)
        })
    }

    fn targets(&self) -> impl Iterator<Item = Target> {
        let tasks = self.tasks.iter().map(|name| Target::Task((*name).to_owned()));
        tasks.chain([Target::Agent])
    }

    /// The SELinux checks that AVC records show.
    fn permissions(&self, next: &[&Effect]) -> Vec<Guess> {
        let mut guesses: Vec<Guess> = Vec::new();
        let records: Vec<&Avc> = next.iter().filter_map(|effect| record(effect)).collect();
        for record in &records {
            let Some(fields) = own_fields(record) else { continue };
            let class = record.field("tclass").unwrap_or_default();
            // Where a policy allows some of the permissions, the record has only the others.
            let mut sets = vec![record.permissions.clone()];
            let same = records.iter().filter(|it| it.field("tclass") == Some(class));
            let all = distinct(same.flat_map(|it| it.permissions.iter().cloned()));
            if all.len() > record.permissions.len() {
                sets.push(all);
            }
            for permissions in sets {
                for (target, cost) in self.record_targets(record) {
                    let check = Check::Selinux(SelinuxCheck {
                        class: class.to_owned(),
                        permissions: permissions.clone(),
                        target,
                        fields: fields.clone(),
                        audited: true,
                    });
                    if guesses.iter().all(|known| known.check != check) {
                        guesses.push(Guess { check, cost: 10 + cost });
                    }
                }
            }
        }
        guesses
    }

    /// The targets that a record may mean, with what speaks against each.
    fn record_targets(&self, record: &Avc) -> Vec<(Target, usize)> {
        let tasks = self.tasks.iter().map(|name| (Target::Task((*name).to_owned()), 1));
        match record.field("tcontext") {
            // A task in the subject's domain has its context, too.
            None => [(Target::Own, 0)].into_iter().chain(tasks).collect(),
            Some(context) if context.contains(':') || context == KERNEL => {
                vec![(Target::Agent, 0)]
            }
            Some(kind) => tasks.chain([(Target::Type(kind.to_owned()), 2)]).collect(),
        }
    }
}

/// Capabilities that cells check next, alone and with the one that follows a refusal.
fn chains(rests: &[Rest<'_>]) -> Vec<(Vec<u32>, Audit)> {
    let mut chains: Vec<(Vec<u32>, Audit)> = Vec::new();
    for rest in rests {
        let of_capability = |effect: &&Effect| match effect {
            Effect::Avc(avc) => avc.field("capability").is_some(),
            _ => false,
        };
        let lines = rest.effects.iter().filter(|effect| !of_capability(effect));
        let mut lines = lines.map_while(|effect| match effect {
            Effect::Cap(line) => Some(line),
            _ => None,
        });
        let Some(first) = lines.next() else { continue };
        let audit = if first.unaudited { Audit::Quiet } else { Audit::Audited };
        chains.push((vec![first.cap], audit));
        if first.verdict != CapVerdict::Granted
            && let Some(second) = lines.next()
            && second.cap != first.cap
        {
            chains.push((vec![first.cap, second.cap], audit));
        }
    }
    distinct(chains)
}

/// The AVC record of a permission check. The record of a capability belongs to the line before it.
fn record(effect: &Effect) -> Option<&Avc> {
    match effect {
        Effect::Avc(avc) if avc.field("capability").is_none() => Some(avc),
        _ => None,
    }
}

/// The fields of a record that are neither computed nor the same in every record; `None` if it has
/// one that no question can express.
fn own_fields(record: &Avc) -> Option<Vec<(String, String)>> {
    const COMPUTED: [&str; 4] = ["comm", "tcontext", "tclass", "permissive"];
    const INEXPRESSIBLE: [&str; 4] = ["pid", "scontext", "srawcon", "trawcon"];
    let mut fields = Vec::new();
    for (key, value) in &record.fields {
        match key.as_str() {
            key if COMPUTED.contains(&key) => {}
            key if INEXPRESSIBLE.contains(&key) => return None,
            _ => fields.push((key.clone(), value.clone())),
        }
    }
    Some(fields)
}

/// A line that is no check.
fn literal(effect: &Effect) -> Option<Guess> {
    let literal = matches!(
        effect,
        Effect::Kernel(_) | Effect::SelinuxErr(_) | Effect::Record(_) | Effect::OtherRecord { .. }
    );
    literal.then(|| Guess { check: Check::Effect((*effect).clone()), cost: 30 })
}

fn errno(call: &TranscriptCall) -> Option<Errno> {
    match call.head.result() {
        Some(CallResult::Error(errno)) => Some(*errno),
        _ => None,
    }
}

fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for value in values {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}
