//! Checks the steps of a case.

use std::ops::Range;

use perfsec_wire::step::Action;
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

/// The parts of a case on which the validity of its steps depends.
pub(super) struct StepContext<'a> {
    pub(super) boot: BootMode,
    /// Names of the case's processes.
    pub(super) processes: &'a [String],
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
            Step::Ioctl(ioctl) if ioctl.compat && !ioctl.request.takes_number() => {
                let request = ioctl.request;
                let message = format!("`{request}` takes a pointer, which `compat` cannot pass");
                mistakes.add(span, message, None);
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
        let mut bound = self.processes.to_vec();
        given.iter().for_each(|step| self.unasked(step, &mut bound, mistakes));
        for step in steps {
            let table = step.get_ref();
            self.check(&table.step, step.span(), &mut bound, mistakes);
            if matches!(table.step, Step::Agent(Action::AuditRule)) {
                let message = "an audit rule must be loaded before the subject starts";
                mistakes.add(step.span(), message, Some("write it as a `[[given]]` step"));
            }
        }
        if steps.is_empty() {
            mistakes.add(0..0, "a case needs at least one step", None);
        }
    }
}
