//! Opens the event of a symptom, as the evaluator computes it.

use perfsec_wire::caps::{PERFMON, SYS_ADMIN, SYS_PTRACE};
use perfsec_wire::{BootMode, CapSet, Mode, Step};

use super::model::Symptom;
use crate::asks::{
    AllowAll, CallChecks, CheckedThing, Functions, MadeCheck, Situation, StepQuestions, evaluate,
};
use crate::case::{CaseProcess, Circumstances, UNPRIVILEGED};
use crate::errno::Errno;
use crate::explain::location::location;
use crate::grant::{Grant, cap_constant};
use crate::transcript::CallResult;

/// The domain of the process that perf monitors, in rules.
pub(super) const MONITORED: &str = "DOMAIN_OF_THE_PROCESS";

/// The system call.
const CALL: &str = "perf_event_open";

/// The kernel on which the event is opened.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    /// The lists of kernel functions.
    pub(super) functions: &'a Functions,
    /// The kernel.
    pub(super) kernel: Circumstances<'a>,
    /// `kernel.perf_event_paranoid`
    pub(super) level: i32,
}

/// The outcome where SELinux and lockdown allow everything.
pub(super) struct Opened {
    checks: CallChecks,
    /// The refusal, if the event cannot be opened.
    pub(super) refusal: Option<OpenRefusal>,
}

/// A refusal by a capability check.
pub(super) struct OpenRefusal {
    /// The errno of the call.
    pub(super) errno: Errno,
    /// The last check.
    check: MadeCheck,
    /// The capabilities that the kernel asked for.
    asked: Vec<u32>,
}

impl Symptom {
    /// Opens the event with these effective capabilities.
    pub(super) fn open(&self, caps: CapSet, host: &Host<'_>) -> Opened {
        let other = CaseProcess {
            name: "other".to_owned(),
            uid: UNPRIVILEGED + u32::from(!self.own),
            grant: Grant(CapSet::EMPTY),
            domain: MONITORED.to_owned(),
            steps: Vec::new(),
        };
        let conditions = host.functions.conditions();
        let situation = Situation {
            domain: self.domain.as_deref().unwrap_or("DOMAIN"),
            uid: UNPRIVILEGED,
            grant: caps,
            comm: "perf",
            mode: Mode::Enforcing,
            level: host.level,
            suid_dumpable: 0,
            boot: BootMode::Selinux,
            policy: "",
            server: &AllowAll,
            processes: &[other],
            given: &[],
            functions: host.functions,
            holds: &|name| conditions.get(name).is_some_and(|it| it.holds(&host.kernel)),
        };
        let steps = [Step::PerfEventOpen(Box::new(self.call()))];
        let questions = [StepQuestions::of_function(CALL)];
        let mut found = evaluate(&steps, &questions, &situation);
        let result = found.transcript.calls.first().and_then(|call| call.head.result());
        let errno = match result {
            Some(CallResult::Error(errno)) => Some(*errno),
            _ => None,
        };
        let checks = found.checks.pop().unwrap_or_default();
        let refusal = errno.zip(checks.refusing).and_then(|(errno, first)| {
            let mut refused = checks.made.get(first..)?.iter().filter(|check| !check.passes);
            let asked = refused.clone().filter_map(|check| match check.about {
                CheckedThing::Capability { cap, .. } => Some(cap),
                CheckedThing::Permissions { .. } => None,
            });
            Some(OpenRefusal { errno, asked: asked.collect(), check: refused.next_back()?.clone() })
        });
        Opened { checks, refusal }
    }
}

impl Opened {
    /// The capabilities that a check used.
    pub(super) fn used_capabilities(&self) -> impl Iterator<Item = u32> {
        self.checks.made.iter().filter(|check| check.passes).filter_map(|check| match check.about {
            CheckedThing::Capability { cap, .. } => Some(cap),
            CheckedThing::Permissions { .. } => None,
        })
    }

    /// The permissions of class perf_event that SELinux checked.
    pub(super) fn hooks(&self) -> impl Iterator<Item = &str> {
        let all = self.checks.made.iter().filter_map(|check| match &check.about {
            CheckedThing::Permissions { class, permissions, .. } if class == "perf_event" => {
                Some(permissions)
            }
            _ => None,
        });
        all.flatten().map(String::as_str)
    }

    /// True if SELinux checked ptrace access to the monitored process.
    pub(super) fn asks_ptrace(&self) -> bool {
        self.checks.made.iter().any(|check| {
            matches!(&check.about, CheckedThing::Permissions { target, .. } if target == MONITORED)
        })
    }
}

impl OpenRefusal {
    /// The function that refuses, as the subject of a sentence.
    pub(super) fn function(&self) -> String {
        let place = location(&self.check, CALL);
        if place.contains(',') { place + "," } else { place }
    }

    /// The reason, as a clause.
    pub(super) fn because(&self) -> &str {
        self.check.because.as_deref().unwrap_or_default()
    }

    /// The object of "it asks for".
    pub(super) fn asks_for(&self) -> String {
        match *self.asked.as_slice() {
            [.., SYS_PTRACE] => {
                "ptrace access to another user's process, because CAP_PERFMON is missing".to_owned()
            }
            [PERFMON, SYS_ADMIN] => {
                "CAP_PERFMON, then for CAP_SYS_ADMIN, and the process holds neither".to_owned()
            }
            [.., last] => format!("{}, which the process does not hold", cap_constant(last)),
            [] => "SELinux".to_owned(),
        }
    }
}
