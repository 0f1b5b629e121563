//! Lanes in domains of a policy that is not ours: the guest is asked about the policy first, and
//! expectations follow from its answers.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use perfsec_wire::BootMode;

use super::board::Manner;
use super::{Engine, EngineError, LanePlan, Suite, execute};
use crate::asks::{ExtendedPolicy, LoadedPolicy};
use crate::case::{Circumstances, Library, Setting};
use crate::kernel::Kernel;
use crate::plan::{self, Filter, PlannedCell};
use crate::policy::{self, Access, GuestAnswers, KERNEL, Policy, PolicyError};
use crate::record::{Event, LaneAnswers};

/// Classes of checks in user namespaces. Our policies do not define them, and the kernel allows what
/// they do not define.
const OF_USER_NAMESPACES: [&str; 3] = ["user_namespace", "cap_userns", "cap2_userns"];

/// Questions that go to the agent at a time: their answers must fit into one message.
const QUESTIONS: usize = 2000;

/// The class of processes, which every policy has: the kernel refuses one without it.
const PROCESS: &str = "process";

impl Engine<'_> {
    /// Plans one lane for each kernel and policy, whose cells run in these contexts. `select` chooses
    /// them from the suite in these contexts.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan), and if a policy does not have one of the contexts.
    pub fn plan_in_domains(
        &self,
        kernels: &[Kernel],
        contexts: &[String],
        suite: &Suite,
        select: &dyn Fn(&Library) -> Result<Vec<PlannedCell>, EngineError>,
    ) -> Result<Vec<LanePlan>, EngineError> {
        self.plan_under(kernels, self.policies(), contexts, suite, select)
    }

    /// The same, under these policies.
    pub(super) fn plan_under(
        &self,
        kernels: &[Kernel],
        policies: &[Arc<Policy>],
        contexts: &[String],
        suite: &Suite,
        select: &dyn Fn(&Library) -> Result<Vec<PlannedCell>, EngineError>,
    ) -> Result<Vec<LanePlan>, EngineError> {
        let mut lanes = Vec::new();
        for kernel in kernels {
            for policy in policies {
                let loaded = self.ask(kernel, policy, accesses(contexts)?, suite)?;
                if let Some(loaded) = &loaded {
                    self.check_contexts(contexts, loaded, (kernel, policy), suite)?;
                }
                let loaded = loaded.map(Arc::new);
                for plan in self.plan_answered((kernel, policy), loaded, contexts, suite, select)? {
                    lanes.push(LanePlan { lane: lanes.len(), ..plan });
                }
            }
        }
        Ok(lanes)
    }

    /// The same on a kernel that has answered about the contexts.
    pub(super) fn plan_answered(
        &self,
        (kernel, policy): (&Kernel, &Arc<Policy>),
        loaded: Option<Arc<LoadedPolicy>>,
        contexts: &[String],
        suite: &Suite,
        select: &dyn Fn(&Library) -> Result<Vec<PlannedCell>, EngineError>,
    ) -> Result<Vec<LanePlan>, EngineError> {
        let library = adapted(suite, contexts, kernel, loaded.as_deref());
        let cells = select(&library)?;
        if cells.is_empty() {
            return Err(EngineError::NoCell);
        }
        let (kernels, policies) = (slice::from_ref(kernel), slice::from_ref(policy));
        let plans = self.plan(kernels, policies, &cells, suite)?.into_iter();
        let server = loaded.map(|loaded| loaded as _);
        Ok(plans.map(|plan| LanePlan { server: server.clone(), ..plan }).collect())
    }

    /// Plans one lane for each kernel, whose cells run in our domains: the policy is a machine's own,
    /// and they were added to it.
    ///
    /// # Errors
    ///
    /// As [`plan`](Self::plan).
    pub fn plan_extended(
        &self,
        kernels: &[Kernel],
        cells: &[PlannedCell],
        suite: &Suite,
    ) -> Result<Vec<LanePlan>, EngineError> {
        let mut classes = policy::classes().map_err(PolicyError::from)?;
        classes.extend(OF_USER_NAMESPACES.map(str::to_owned));
        let asking = plan::answers(BootMode::Selinux, cells, &classes);
        let accesses: BTreeSet<_> = asking.into_iter().flat_map(|cell| cell.asks).collect();
        let accesses: Vec<_> = accesses.into_iter().collect();
        let mut lanes = Vec::new();
        for kernel in kernels {
            for policy in self.policies() {
                // There is nothing to ask if all cells are skipped.
                let found = match accesses.as_slice() {
                    [] => None,
                    some => self.ask(kernel, policy, some.to_vec(), suite)?,
                };
                let subject = policy.context(KERNEL, "");
                let extended = found.map(|loaded| ExtendedPolicy::new(loaded, subject));
                let server = extended.transpose().map_err(PolicyError::from)?;
                let server = server.map(|server| Arc::new(server) as _);
                let one = (slice::from_ref(kernel), slice::from_ref(policy));
                for plan in self.plan(one.0, one.1, cells, suite)? {
                    lanes.push(LanePlan { lane: lanes.len(), server: server.clone(), ..plan });
                }
            }
        }
        Ok(lanes)
    }

    /// The answers of a policy on a kernel about these accesses; `None` if the kernel does not boot
    /// or does not load the policy, which the run shows.
    pub(super) fn ask(
        &self,
        kernel: &Kernel,
        policy: &Arc<Policy>,
        accesses: Vec<Access>,
        suite: &Suite,
    ) -> Result<Option<LoadedPolicy>, EngineError> {
        let parts = accesses.chunks(QUESTIONS);
        let cells = parts.filter_map(|part| plan::question(&suite.library, part.to_vec()));
        let cells: Vec<PlannedCell> = cells.collect();
        self.say(&format!("asking {} on Linux {}", policy.name, kernel.release));
        self.pool().prepare(kernel, &|text| self.say(text))?;
        let say = |text: &str| self.say(text);
        let obtaining = self.obtaining(&say);
        let policy = policy.for_kernel(kernel.version, &obtaining)?;
        let plan = LanePlan {
            server: None,
            ..self.lane(
                (kernel, BootMode::Selinux),
                self.policies_beside(&policy, suite, &obtaining)?,
                Arc::new(cells),
                suite,
            )
        };
        let manner = Manner { limits: self.setup().limits, cold: self.setup().cold, retries: 0 };
        let (mut found, interrupt): (Vec<LaneAnswers>, _) = (Vec::new(), self.interrupt());
        let asked = suite.asked(Filter::default());
        let (_, failure) = execute(&[plan], asked, manner, 1, interrupt, |event| {
            if let Event::Answers(answers) = event {
                found.push(answers.clone());
            }
            Ok(())
        });
        match failure {
            Some(error) => Err(error),
            None if self.stopped() => Err(EngineError::Interrupted),
            None => Ok(found.first().map(|first| {
                let vectors: Vec<_> = found.iter().flat_map(|it| it.vectors.clone()).collect();
                let answers = GuestAnswers::new(&vectors, first.allows_unknown);
                let aliases = found.iter().flat_map(|it| it.aliases.clone()).collect();
                LoadedPolicy { answers, agent: first.agent.clone(), aliases }
            })),
        }
    }

    /// Checks that the loaded policy has the contexts.
    pub(super) fn check_contexts(
        &self,
        contexts: &[String],
        loaded: &LoadedPolicy,
        (kernel, policy): (&Kernel, &Arc<Policy>),
        suite: &Suite,
    ) -> Result<(), EngineError> {
        if let Some((context, name)) =
            contexts.iter().find_map(|it| loaded.aliases.get_key_value(it))
        {
            let (context, policy) = (context.clone(), policy.name.clone());
            let reason = format!("it is another name of {name}");
            return Err(EngineError::NoContext { policy, reason, context });
        }
        let lacks = |context: &&String| !loaded.answers.has(&process(context, context));
        let Some(context) = contexts.iter().find(lacks) else { return Ok(()) };
        let trials = Trials::of(context, &loaded.agent);
        let asks = trials.all().map(|context| process(context, context));
        let found = self.ask(kernel, policy, asks.collect(), suite)?;
        let known = |context: &str| {
            found.as_ref().is_some_and(|it| it.answers.has(&process(context, context)))
        };
        let (context, policy) = (context.clone(), policy.name.clone());
        Err(EngineError::NoContext { policy, reason: trials.reason(&known), context })
    }
}

/// The suite in these contexts.
fn adapted(
    suite: &Suite,
    contexts: &[String],
    kernel: &Kernel,
    server: Option<&LoadedPolicy>,
) -> Library {
    let setting = Setting {
        answers: server.map(|server| server as _),
        ..Setting::from(Circumstances::hypothetical(kernel.version, None))
    };
    suite.library.in_domains(contexts, &setting)
}

/// The accesses on which the cells of these contexts depend.
pub(super) fn accesses(contexts: &[String]) -> Result<Vec<Access>, PolicyError> {
    let mut classes = policy::classes()?;
    classes.extend(OF_USER_NAMESPACES.map(str::to_owned));
    let mut all = BTreeSet::new();
    for context in contexts {
        for target in [context.as_str(), KERNEL] {
            all.extend(classes.iter().map(|class| Access::new(context, target, class)));
        }
    }
    Ok(all.into_iter().collect())
}

pub(super) fn process(source: &str, target: &str) -> Access {
    Access::new(source, target, PROCESS)
}

/// Contexts that differ from one that the policy does not have, to find the part that is wrong.
/// `object_r` may have every type (`policydb_context_isvalid()`).
struct Trials<'a> {
    /// Its parts, and those of the agent's context.
    own: [&'a str; 4],
    /// Its type alone is asked for.
    kind: String,
    /// Its user.
    user: String,
    /// Its user and its level.
    level: String,
}

impl<'a> Trials<'a> {
    fn of(context: &'a str, agent: &'a str) -> Self {
        let [own, other] = [context, agent].map(policy::context_parts);
        let join = |user: &str, kind: &str, level: &str| match level {
            "" => format!("{user}:object_r:{kind}"),
            level => format!("{user}:object_r:{kind}:{level}"),
        };
        Self {
            own,
            kind: join(other[0], own[2], other[3]),
            user: join(own[0], other[2], lowest(own[3], other[3])),
            level: join(own[0], other[2], own[3]),
        }
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        [&self.kind, &self.user, &self.level].into_iter()
    }

    /// The part that is wrong, as a clause.
    fn reason(&self, known: &dyn Fn(&str) -> bool) -> String {
        let [user, role, kind, level] = self.own;
        if !known(&self.kind) {
            format!("it has no type {kind}")
        } else if !known(&self.user) {
            format!("it has no user {user}, or no level like `{level}`")
        } else if !known(&self.level) {
            format!("the user {user} may not have the level `{level}`")
        } else {
            format!(
                "it has no role {role}, the user {user} may not take it, or it may not have the \
                 type {kind}"
            )
        }
    }
}

/// The low level of a range, if both policies have levels.
fn lowest<'a>(own: &'a str, other: &'a str) -> &'a str {
    match (own, other) {
        ("", other) => other,
        (own, _) => own.split('-').next().unwrap_or(own),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const AGENT: &str = "system_u:system_r:kernel_t:s0";

    #[rstest]
    #[case(&[], "it has no type user_t")]
    #[case(&["system_u:object_r:user_t:s0"], "it has no user staff_u")]
    #[case(
        &["system_u:object_r:user_t:s0", "staff_u:object_r:kernel_t:s0"],
        "the user staff_u may not have the level `s0-s15:c0.c1023`"
    )]
    #[case(
        &[
            "system_u:object_r:user_t:s0",
            "staff_u:object_r:kernel_t:s0",
            "staff_u:object_r:kernel_t:s0-s15:c0.c1023",
        ],
        "it has no role user_r, the user staff_u may not take it"
    )]
    fn the_wrong_part_of_a_context_is_named(#[case] known: &[&str], #[case] reason: &str) {
        let trials = Trials::of("staff_u:user_r:user_t:s0-s15:c0.c1023", AGENT);
        let found = trials.reason(&|context| known.contains(&context));
        assert!(found.starts_with(reason), "{found}");
    }
}
