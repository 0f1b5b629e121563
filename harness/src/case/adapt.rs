//! Cases in the domains of a policy that is not ours.
//!
//! A case of the suite names domains of our policies. Its steps and its questions hold in any
//! domain of any policy, as only the answers depend on them: so the axis is replaced, and the
//! expectations are computed from the answers of the policy that a guest has loaded.

use std::collections::BTreeSet;

use perfsec_wire::step::Action;
use perfsec_wire::{BootMode, Step};

use super::{Case, Library, Setting};
use crate::asks::{Check, Question, Target};
use crate::policy::{KERNEL, OBJECT};

impl Library {
    /// The cases in each of these contexts, under the policy of a setting. Those whose expectations
    /// can only be known under our policies are unfit, and say why.
    #[must_use]
    pub fn in_domains(&self, contexts: &[String], setting: &Setting<'_>) -> Self {
        let (of_systems, ours): (Vec<_>, Vec<_>) =
            self.cases.iter().partition(|case| case.is_of_system());
        let of_context = |context: &String| {
            ours.iter().map(|it| it.in_domain(context, setting)).collect::<Vec<_>>()
        };
        let mut cases: Vec<_> = contexts.iter().flat_map(of_context).collect();
        // These name their own contexts.
        cases.extend(of_systems.into_iter().map(|case| Case { unfit: None, ..case.clone() }));
        Self { cases }
    }

    /// The cases in our domains, which were added to the policy of a machine. Those that are about
    /// more of our policies than their domains are unfit, and say why.
    #[must_use]
    pub fn in_added_domains(&self) -> Self {
        let adapted = |case: &Case| {
            let unfit = case.unfit.clone().or_else(|| case.bound_to_our_contexts());
            Case { unfit, ..case.clone() }
        };
        Self { cases: self.cases.iter().map(adapted).collect() }
    }
}

/// The beginnings of contexts that only our policies have.
const OF_OUR_POLICIES: [&str; 2] = ["u:r:", "u:object_r:"];

/// The reason why a case of another boot mode cannot run on a machine that runs already.
const BOOTS_OTHERWISE: &str = "it boots without SELinux, audit or file capabilities";

/// The reason why a case that names contexts of a distribution cannot run under our policies.
pub(super) const OF_SYSTEM: &str = "it is about a distribution's policy and programs: boot one with \
                                    `--guest debian:trixie`";

impl Case {
    /// True if its domains are contexts of a distribution's policy: then its transcripts are
    /// written for that.
    #[must_use]
    pub fn is_of_system(&self) -> bool {
        names_contexts(&self.axes.domain)
    }

    /// The case with this context as its domain, with controls under the policy of a setting.
    fn in_domain(&self, context: &str, setting: &Setting<'_>) -> Self {
        let mut case = self.placed_in(context);
        if case.unfit.is_none() {
            case.refused = case.refused_cells(setting);
        }
        case
    }

    /// The case with this context as its domain, and without controls, which depend on the policy.
    /// The processes beside the subject have the context, too.
    #[must_use]
    pub fn placed_in(&self, context: &str) -> Self {
        let mut case = self.clone();
        case.axes.domain = vec![context.to_owned()];
        for process in &mut case.processes {
            context.clone_into(&mut process.domain);
        }
        case.control = None;
        case.unfit = self.bound_to_our_policies();
        case.refused = BTreeSet::new();
        case
    }

    /// The reason why the case has expectations only under a policy with nothing but our domains.
    fn bound_to_our_contexts(&self) -> Option<String> {
        if self.boot != BootMode::Selinux {
            return Some(BOOTS_OTHERWISE.to_owned());
        }
        if let Some(policy) = &self.policy {
            return Some(format!("it loads the policy {policy} of perfsec"));
        }
        if let Some(reason) = &self.only_ours {
            return Some(reason.clone());
        }
        if !self.records.is_empty() {
            return Some("it lists records with the session of perfsec's own guests".to_owned());
        }
        let lines = self.text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut words = lines.flat_map(|line| line.split(|it: char| !is_of_context(it)));
        let has_own_type = |word: &str| word.split(':').any(|it| [KERNEL, OBJECT].contains(&it));
        let named = words.find(|word| {
            OF_OUR_POLICIES.iter().any(|it| word.starts_with(it)) || has_own_type(word)
        });
        named.map(|name| format!("it names {name} of perfsec's policies"))
    }

    /// The reason why the case has expectations under our policies only.
    pub(crate) fn bound_to_our_policies(&self) -> Option<String> {
        if self.is_of_system() {
            return None;
        }
        if self.boot != BootMode::Selinux {
            return Some(BOOTS_OTHERWISE.to_owned());
        }
        if let Some(policy) = &self.policy {
            return Some(format!("it loads the policy {policy} of perfsec"));
        }
        if !self.expects.is_empty() || self.questions.is_none() {
            return Some("its transcripts are written for the domains of perfsec".to_owned());
        }
        if let Some(reason) = &self.only_ours {
            return Some(reason.clone());
        }
        if !self.records.is_empty() {
            return Some("it lists records with contexts of perfsec's policies".to_owned());
        }
        let questions = self.questions.iter().flatten().flat_map(|step| &step.asks);
        if let Some(name) = questions.filter_map(own_type).next() {
            return Some(format!("its questions name the type {name} of perfsec's policies"));
        }
        let unfit =
            self.every_step().filter(|step| !has_all_questions(step)).map(Step::name).next()?;
        Some(format!("SELinux checks of files and sockets in {unfit} are not listed"))
    }
}

/// True for a character of a context.
fn is_of_context(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':')
}

/// True if domains are whole contexts.
pub(super) fn names_contexts(domains: &[String]) -> bool {
    domains.iter().any(|domain| crate::policy::is_context(domain))
}

/// The type that a question names.
fn own_type(question: &Question) -> Option<&str> {
    fn of(check: &Check) -> Option<&str> {
        match check {
            Check::Selinux(check) => match &check.target {
                Target::Type(name) => Some(name),
                _ => None,
            },
            Check::Either(checks) | Check::Both(checks) => checks.iter().find_map(of),
            _ => None,
        }
    }
    of(&question.check)
}

/// True if the questions of a step are all that the kernel asks SELinux: those of the case and those
/// of the syscall in `functions.toml`. Our policies allow everything else, another does not.
fn has_all_questions(step: &Step) -> bool {
    match step {
        // The files of events are private to the kernel (inode_has_perm() looks at IS_PRIVATE()).
        Step::PerfEventOpen(_)
        | Step::Ioctl(_)
        | Step::Read(_)
        | Step::Write(_)
        | Step::Mmap(_)
        | Step::Munmap(_)
        | Step::Poll(_)
        | Step::Close(_)
        | Step::Prctl(_)
        | Step::Capset(_)
        | Step::Capget(_)
        | Step::Setresuid(_)
        | Step::Setresgid(_)
        | Step::Setfsuid(_)
        | Step::Getresuid(_)
        | Step::Personality(_)
        | Step::Clone(_)
        | Step::Unshare(_)
        | Step::Bpf(_)
        // Files of pidfs are private, too, and those before it are anonymous.
        | Step::PidfdOpen(_)
        // process { ptrace } is a part of mm_access().
        | Step::ProcessVmReadv(_)
        | Step::ProcessMadvise(_)
        // process { ptrace } is in the list of the case.
        | Step::Ptrace(_) => true,
        Step::Agent(action) => match action {
            Action::LoadPolicy(_) | Action::Boolean(_) => false,
            Action::Write(write) => !write.path.starts_with("/sys/fs/selinux/booleans"),
            _ => true,
        },
        Step::Open(_)
        | Step::Access(_)
        | Step::Setrlimit(_)
        | Step::Stat(_)
        | Step::Mkdir(_)
        | Step::Rmdir(_)
        | Step::Mount(_)
        | Step::Sendmsg(_)
        | Step::Recvmsg(_)
        | Step::Setexeccon(_)
        | Step::Run(_)
        | Step::Execve(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("open/cpu-kernel", None)]
    #[case("exec/transition-into-granted", None)]
    #[case("policy/boolean", None)]
    #[case("who/namespaces", Some("it names u:r:kernel_t:s0 of perfsec's policies"))]
    #[case("audit/rule-open", Some("it lists records with the session of perfsec's own guests"))]
    #[case("creds/first-process", Some("process 1 is the agent"))]
    #[case("policy/non-mls", Some("it loads the policy non-mls of perfsec"))]
    #[case("boot/no-selinux", Some(BOOTS_OTHERWISE))]
    fn a_case_runs_in_added_domains_unless_it_is_about_more(
        #[case] name: &str,
        #[case] reason: Option<&str>,
    ) {
        let library = Library::built_in().unwrap().in_added_domains();
        let case = library.cases.iter().find(|case| case.name == name).expect("a case");
        match (&case.unfit, reason) {
            (Some(unfit), Some(reason)) => assert!(unfit.contains(reason), "{unfit}"),
            (unfit, reason) => assert_eq!(unfit.as_deref(), reason),
        }
    }
}
