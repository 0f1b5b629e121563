//! Surveys a policy on a kernel.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::domains::{accesses, process};
use super::{Engine, EngineError, LanePlan, Suite};
use crate::asks::LoadedPolicy;
use crate::case::{Circumstances, Setting};
use crate::kernel::Kernel;
use crate::plan::Filter;
use crate::policy::{self, KERNEL, Policy};
use crate::survey::{self, Operations, Row, Survey};

/// Domains in which cells run, of those with different outcomes.
const CONFIRMED: usize = 8;

/// A survey, and the answers that it was computed from.
pub struct Surveyed {
    /// The survey.
    pub survey: Survey,
    loaded: Arc<LoadedPolicy>,
}

impl Engine<'_> {
    /// Asks a kernel about a policy, and computes the outcomes of operations in these contexts, or
    /// in every domain that can use perf or BPF. `None` if the kernel does not boot or does not
    /// load the policy.
    ///
    /// # Errors
    ///
    /// As [`plan_in_domains`](Self::plan_in_domains).
    pub fn survey(
        &self,
        kernel: &Kernel,
        policy: &Arc<Policy>,
        contexts: &[String],
        operations: &Operations,
        suite: &Suite,
    ) -> Result<Option<Surveyed>, EngineError> {
        let contexts = match contexts {
            [] => match self.domains_that_use_perf(kernel, policy, suite)? {
                Some(contexts) => contexts,
                None => return Ok(None),
            },
            named => named.to_vec(),
        };
        let Some(loaded) = self.ask(kernel, policy, accesses(&contexts)?, suite)? else {
            return Ok(None);
        };
        self.check_contexts(&contexts, &loaded, (kernel, policy), suite)?;
        let kernel = self.completed(kernel.clone());
        let setting = Setting {
            policy: Some(&policy.name),
            answers: Some(&loaded),
            ..Setting::from(Circumstances::from(&kernel))
        };
        let (columns, rows) = survey::rows(operations, &suite.library, &contexts, &setting);
        let survey = Survey {
            format: Survey::FORMAT,
            kernel: format!("Linux {} ({})", kernel.version, kernel.release),
            policy: policy.name.clone(),
            policy_sha256: policy.sha256.clone(),
            undefined: survey::undefined(&loaded.answers, contexts.first()),
            columns,
            rows,
            confirmed: Vec::new(),
        };
        Ok(Some(Surveyed { survey, loaded: Arc::new(loaded) }))
    }

    /// Plans the cells of all operations in domains of a survey, one for each set of outcomes.
    /// Returns their contexts, too.
    ///
    /// # Errors
    ///
    /// As [`plan_in_domains`](Self::plan_in_domains).
    pub fn plan_survey(
        &self,
        kernel: &Kernel,
        policy: &Arc<Policy>,
        surveyed: &Surveyed,
        operations: &Operations,
        suite: &Suite,
    ) -> Result<(Vec<String>, Vec<LanePlan>), EngineError> {
        let runs = |row: &&Row| policy::context_parts(&row.context)[1] != "object_r";
        let rows = surveyed.survey.rows.iter().filter(runs);
        let chosen = survey::groups(rows).into_iter().take(CONFIRMED);
        let chosen: Vec<String> = chosen.map(|(contexts, _)| contexts[0].to_owned()).collect();
        if chosen.is_empty() {
            return Ok((chosen, Vec::new()));
        }
        let names = operations.all.iter().map(survey::Operation::glob).collect();
        let filter = Filter { names, ..Filter::default() };
        let loaded = Some(Arc::clone(&surveyed.loaded));
        let plans = self.plan_answered((kernel, policy), loaded, &chosen, suite, &|library| {
            Ok(filter.select(library)?)
        })?;
        Ok((chosen, plans))
    }

    /// The contexts of all domains that can use perf or BPF: with a user and a role that a process
    /// may have, or else with `object_r`, in which none can run.
    fn domains_that_use_perf(
        &self,
        kernel: &Kernel,
        policy: &Arc<Policy>,
        suite: &Suite,
    ) -> Result<Option<Vec<String>>, EngineError> {
        // Any question: the agent's context comes with every answer.
        let any = vec![process(KERNEL, KERNEL)];
        let Some(first) = self.ask(kernel, policy, any, suite)? else {
            return Ok(None);
        };
        let candidates = survey::candidates(policy, &first.agent);
        let asks = candidates.iter().flat_map(|it| survey::uses(&it.context)).collect();
        let Some(LoadedPolicy { answers, agent, .. }) = self.ask(kernel, policy, asks, suite)?
        else {
            return Ok(None);
        };
        let users: Vec<_> =
            candidates.iter().filter(|it| survey::uses_perf(&answers, &it.context)).collect();
        let forms = |kind: &str| survey::contexts_of(policy, &agent, kind);
        let asks = users.iter().flat_map(|it| forms(&it.kind)).map(|it| process(&it, &it));
        let Some(valid) = self.ask(kernel, policy, asks.collect(), suite)? else {
            return Ok(None);
        };
        let context = |kind: &str, otherwise: &str| {
            let found = forms(kind).into_iter().find(|it| valid.answers.has(&process(it, it)));
            let found = found.unwrap_or_else(|| otherwise.to_owned());
            valid.aliases.get(&found).cloned().unwrap_or(found)
        };
        let contexts: BTreeSet<_> = users.iter().map(|it| context(&it.kind, &it.context)).collect();
        Ok(Some(contexts.into_iter().collect()))
    }
}
