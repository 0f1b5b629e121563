//! Checks the steps of a case.

use std::ops::Range;

use perfsec_wire::step::{Action, CloneFlag, Place, Run, STDIN, UnshareFlag};
use perfsec_wire::{BootMode, Step};
use toml::Spanned;

use super::CaseProcess;
use super::bindings::needed;
use super::error::Mistakes;
use super::file::ProcessTable;
use super::step_table::StepTable;
use crate::grant::Grant;

/// Checks that perfsec has a policy of this name.
pub(super) fn check_policy(name: &str, span: Range<usize>, mistakes: &mut Mistakes<'_>) {
    let policies = perfsec_cases::policy_names();
    if !policies.contains(&name) {
        let close = crate::suggest::closest(name, &policies);
        mistakes.add(span, format!("no policy `{name}`{close}"), None);
    }
}

/// Checks a step that runs a program.
fn check_run(run: &Run, processes: &[String], span: Range<usize>, mistakes: &mut Mistakes<'_>) {
    if run.program().is_empty() {
        mistakes.add(span.clone(), "`argv` begins with a program, such as `perf`", None);
    }
    if let Some(word) = run.argv.iter().chain(&run.output).find(|word| word.contains('\0')) {
        mistakes.add(span.clone(), format!("no program gets or writes {word:?}"), None);
    }
    for name in run.argv.iter().flat_map(|word| named_processes(word)) {
        if !processes.iter().any(|known| known == name) {
            let close = crate::suggest::closest(name, processes);
            mistakes.add(span.clone(), format!("no process `{name}`{close}"), None);
        }
    }
}

/// The names in `{NAME}` of an argument. Braces of another language contain more than a word.
fn named_processes(word: &str) -> impl Iterator<Item = &str> {
    let parts = word.split('{').skip(1).filter_map(|part| part.split_once('}'));
    let is_name = |name: &&str| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
    };
    parts.map(|(name, _)| name).filter(is_name)
}

/// The parts of a case on which the validity of its steps depends.
pub(super) struct StepContext<'a> {
    pub(super) boot: BootMode,
    /// Names of the case's processes.
    pub(super) processes: &'a [String],
}

/// The PID namespace of the task that performs the steps.
enum PidNamespace {
    Initial,
    /// The next `clone` makes the first task of a new one.
    Next,
    /// The task is the first of a new one, in which a signal from inside does not stop it
    /// (`SIGNAL_UNKILLABLE`).
    First,
}

impl PidNamespace {
    /// Checks a step, which a task may have to stop for.
    fn check(&mut self, step: &Step, span: Range<usize>, mistakes: &mut Mistakes<'_>) {
        let stops = match step {
            Step::Agent(_) | Step::Execve(_) | Step::Run(_) => true,
            Step::Clone(clone) => clone.continues,
            _ => false,
        };
        if stops && matches!(self, Self::First) {
            let message = "the first process of a PID namespace cannot stop for the agent, which \
                           agent steps, `execve` and another `continue` need";
            mistakes.add(span, message, None);
        }
        *self = match (&*self, step) {
            (Self::First, _) => Self::First,
            (_, Step::Unshare(unshare)) if unshare.flags.contains(&UnshareFlag::Newpid) => {
                Self::Next
            }
            (Self::Next, Step::Clone(clone)) if clone.continues => Self::First,
            (_, Step::Clone(clone))
                if clone.continues && clone.flags.contains(&CloneFlag::Newpid) =>
            {
                Self::First
            }
            (Self::Next, _) => Self::Next,
            (Self::Initial, _) => Self::Initial,
        };
    }
}

impl StepContext<'_> {
    /// Checks one step; `bound` holds the names that earlier steps bind and gets this step's.
    fn check(
        &self,
        step: &Step,
        span: Range<usize>,
        bound: &mut Vec<String>,
        mistakes: &mut Mistakes<'_>,
    ) {
        for name in needed(step, self.processes) {
            if !bound.iter().any(|known| known == name) {
                let close = crate::suggest::closest(name, bound.iter());
                let message = format!("no step before this one opens `{name}`{close}");
                mistakes.add(span.clone(), message, None);
            }
        }
        bound.extend(step.binds().map(str::to_owned));
        match step {
            Step::Agent(Action::LoadPolicy(name)) => check_policy(name, span, mistakes),
            Step::Agent(Action::Kill(name)) if !self.processes.contains(name) => {
                let close = crate::suggest::closest(name, self.processes);
                mistakes.add(span, format!("no process `{name}`{close}"), None);
            }
            Step::Agent(Action::AuditEnable) if self.boot != BootMode::AuditUnset => {
                let message = "audit would stay enabled for all cells that follow";
                mistakes.add(span, message, Some("add `boot = \"audit-unset\"`"));
            }
            Step::Run(run) => check_run(run, self.processes, span, mistakes),
            Step::Read(read) if read.text && read.some => {
                let message = "`text` shows the whole text, and `some` not even its length";
                mistakes.add(span, message, Some("remove one of the two"));
            }
            Step::Clone(clone)
                if clone.exits && (clone.continues || clone.flags.contains(&CloneFlag::Thread)) =>
            {
                let message = "a task that continues does not end, and a thread is no zombie";
                mistakes.add(span, message, Some("remove `exit`"));
            }
            Step::Mmap(mmap) if mmap.aux.is_none() && mmap.aux_offset.is_some() => {
                let message = "`aux_offset` is stored in the buffer that `aux` names";
                mistakes.add(span, message, Some("add `aux`"));
            }
            Step::Ioctl(ioctl) if ioctl.at != Place::Mapped && !ioctl.request.takes_pointer() => {
                let message = format!("the argument of `{}` points to nothing", ioctl.request);
                mistakes.add(span, message, Some("remove `at`"));
            }
            _ => {}
        }
    }

    /// Checks a step whose questions nobody observes.
    fn unasked(
        &self,
        step: &Spanned<StepTable>,
        bound: &mut Vec<String>,
        mistakes: &mut Mistakes<'_>,
    ) {
        let StepTable { step: call, asks, returns } = step.get_ref();
        if let Some(key) = asks.as_ref().or(returns.as_ref()) {
            let message = "only steps of the subject have `asks` and `returns`";
            mistakes.add(key.span(), message, Some("remove it: this step must succeed"));
        }
        if matches!(call, Step::Clone(clone) if clone.continues) {
            let message = "only the subject can hand its steps over to another task";
            mistakes.add(step.span(), message, Some("remove `continue`"));
        }
        if matches!(call, Step::Run(_)) {
            let message = "only the subject runs a program, because what it does is observed";
            mistakes.add(step.span(), message, Some("make it a `[[step]]`"));
        }
        self.check(call, step.span(), bound, mistakes);
    }

    /// Checks a process and its steps.
    pub(super) fn process(
        &self,
        name: String,
        table: ProcessTable,
        mistakes: &mut Mistakes<'_>,
    ) -> CaseProcess {
        // A descriptor belongs to the process that opens it; only those it sends reach the subject.
        let mut bound = vec!["subject".to_owned()];
        for step in &table.step {
            self.unasked(step, &mut bound, mistakes);
        }
        if let Some(step) = table.step.iter().find(|s| matches!(s.get_ref().step, Step::Agent(_))) {
            let message = "a process cannot perform an agent step";
            mistakes.add(step.span(), message, Some("write it as a `[[given]]` step"));
        }
        CaseProcess {
            name,
            uid: table.uid,
            grant: table.grant.unwrap_or(Grant(perfsec_wire::CapSet::EMPTY)),
            domain: table.domain,
            steps: table.step.into_iter().map(|step| step.into_inner().step).collect(),
        }
    }

    /// Checks the `[[given]]` steps and then the subject's, which share one set of names.
    pub(super) fn subject(
        &self,
        given: &[Spanned<StepTable>],
        steps: &[Spanned<StepTable>],
        mistakes: &mut Mistakes<'_>,
    ) {
        let mut bound = [self.processes, &[STDIN.to_owned()]].concat();
        given.iter().for_each(|step| self.unasked(step, &mut bound, mistakes));
        let mut namespace = PidNamespace::Initial;
        for step in steps {
            let table = step.get_ref();
            if matches!(&table.step, Step::PerfEventOpen(open) if open.times != 1) {
                let message = "the subject opens one event in a step";
                mistakes.add(step.span(), message, Some("write it as a `[[given]]` step"));
            }
            self.check(&table.step, step.span(), &mut bound, mistakes);
            namespace.check(&table.step, step.span(), mistakes);
        }
        if steps.is_empty() {
            mistakes.add(0..0, "a case needs at least one step", None);
        }
    }
}
