//! Evaluates calls.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use perfsec_wire::{BootMode, CapSet, Mode, Step};

use super::asked::{Asked, AskedCall, CallRefusal, Obstacle};
use super::process::Process;
use crate::allow::{Extended, Rule, RuleScope};
use crate::asks::{
    CallChecks, Check, CheckedThing, Functions, MadeCheck, Names, Question, RefusedQuestion,
    Situation, StepQuestions, decisive, evaluate, parse,
};
use crate::case::{CaseProcess, Circumstances};
use crate::errno::Errno;
use crate::explain::place;
use crate::grant::{Grant, cap_constant};
use crate::transcript::Effect;
use crate::why::command::{Call, OTHER, ToolCommand};
use crate::why::facts::Facts;

/// The domain of another process, in rules, if it is not known.
const MONITORED: &str = "DOMAIN_OF_THE_PROCESS";

/// The lists of kernel functions.
static FUNCTIONS: LazyLock<Option<Functions>> = LazyLock::new(|| Functions::built_in().ok());

/// Facts and a command, with the rules of a module.
#[derive(Clone)]
pub(crate) struct Changed {
    /// The facts.
    pub(crate) facts: Facts,
    /// The command.
    pub(crate) command: ToolCommand,
    /// Rules beyond those of the policy.
    pub(crate) rules: BTreeMap<RuleScope, Rule>,
    /// The system call that is known to have failed, if the others are known to have succeeded.
    pub(crate) focus: Option<&'static str>,
}

/// Computes what becomes of the calls of a command.
#[must_use]
pub(crate) fn ask(changed: &Changed) -> Asked {
    ask_about(changed, changed.command.calls(&changed.facts))
}

/// Computes what becomes of these calls.
fn ask_about(changed: &Changed, calls: Vec<Call>) -> Asked {
    let (facts, command) = (&changed.facts, &changed.command);
    // Its file is among the sources of the program; a test reads it.
    let Some(functions) = &*FUNCTIONS else { return Asked::default() };
    let process = Process::of(facts);
    let calls = with_exec(facts, calls);
    let steps: Vec<Step> = calls.iter().map(|call| call.step.clone()).collect();
    let filtered = |step: &Step| match step {
        Step::PerfEventOpen(_) => facts.filter.value.perf,
        Step::Bpf(_) => facts.filter.value.bpf,
        _ => None,
    };
    let questions: Vec<_> = calls.iter().map(|call| questions(call, functions)).collect();
    let own_domain = facts.policy_is_loaded || facts.own_process.value;
    let other = CaseProcess {
        name: OTHER.to_owned(),
        uid: process.uid + u32::from(!facts.own_process.value),
        grant: Grant(CapSet::EMPTY),
        domain: if own_domain { facts.domain.value.clone() } else { MONITORED.to_owned() },
        steps: Vec::new(),
    };
    let kernel = Circumstances::hypothetical(facts.kernel.value, Some(&facts.distribution.value));
    let conditions = functions.conditions();
    let server = Extended { inner: &*facts.policy, rules: &changed.rules };
    let disabled = facts.selinux.value == Mode::Disabled;
    let situation = Situation {
        domain: &facts.domain.value,
        uid: process.uid,
        grant: process.caps,
        comm: "perf",
        mode: if disabled { Mode::Enforcing } else { facts.selinux.value },
        level: facts.level.value,
        suid_dumpable: 0,
        boot: if disabled { BootMode::NoSelinux } else { BootMode::Selinux },
        policy: "",
        server: &server,
        processes: &[other],
        given: &[],
        before: &process.before,
        lockdown: facts.lockdown.value,
        free_pages: Some(facts.free_pages()),
        whole: true,
        functions,
        holds: &|name| conditions.get(name).is_some_and(|it| it.holds(&kernel)),
    };
    let found = evaluate(&steps, &questions, &situation);
    let least = found.transcript.least();
    let outcomes = found.checks.into_iter().zip(&least.transcript().calls);
    let calls = calls.into_iter().zip(outcomes).map(|(call, (checks, transcript))| {
        let records = records(&checks, &transcript.effects);
        let refused =
            |question: &RefusedQuestion| refusal(question, &checks, &call, records.is_empty());
        let filter = filtered(&call.step).map(|errno| of_filter(errno, call.step.name()));
        let refusals = filter.into_iter().chain(checks.refusals.iter().map(refused));
        let invalid = excludes_in_vain(command, &call.step).then(invalid);
        let refusals = refusals.chain(invalid).collect();
        let Call { step, purpose, .. } = call;
        AskedCall { step, purpose, checks: checks.made, refusals, records }
    });
    let focused = |call: &AskedCall| changed.focus.is_none_or(|name| call.step.name() == name);
    Asked { calls: calls.filter(focused).collect() }
}

/// The records until the first refusal.
fn records(checks: &CallChecks, effects: &[Effect]) -> Vec<String> {
    let end = checks.refusals.first().map(|question| {
        let made = checks.made.get(..question.checks.end).unwrap_or_default();
        made.last().map_or(0, |check| check.lines.end)
    });
    let reached = effects.get(..end.unwrap_or(effects.len())).unwrap_or(effects);
    let records = reached.iter().filter(|effect| matches!(effect, Effect::Avc(_)));
    records.map(ToString::to_string).collect()
}

/// The calls, with the exec of the program before them.
fn with_exec(facts: &Facts, calls: Vec<Call>) -> Vec<Call> {
    if facts.effective.is_some() || calls.is_empty() {
        return calls;
    }
    let exec = Call {
        step: Step::Execve(facts.file.value.clone()),
        asks: String::new(),
        purpose: "executes the program".to_owned(),
    };
    std::iter::once(exec).chain(calls).collect()
}

fn questions(call: &Call, functions: &Functions) -> StepQuestions {
    let names = Names {
        functions: functions.names().collect(),
        conditions: functions.conditions().keys().map(String::as_str).collect(),
        tasks: vec![OTHER],
        in_function: false,
    };
    // The questions are ours, and a test reads them all; an unreadable one would refuse.
    let refuse = || vec![Question::plain(Check::Return(Some(Errno::EPERM)), 1)];
    let asks = parse(&call.asks, 1, &names).unwrap_or_else(|_| refuse());
    StepQuestions { line: 1, asks, returns: Vec::new() }
}

fn refusal(
    question: &RefusedQuestion,
    checks: &CallChecks,
    call: &Call,
    silent: bool,
) -> CallRefusal {
    let made = checks.made.get(question.checks.clone()).unwrap_or_default();
    let not_held = made.iter().filter_map(|check| match check.about {
        CheckedThing::Capability { cap, held: false, .. } => Some(cap),
        _ => None,
    });
    let not_held: Vec<u32> = not_held.collect();
    let deciding = decisive(made);
    let obstacle = match (deciding, &call.step) {
        (Some(check), _) => obstacle(check),
        (None, Step::Execve(_)) => Obstacle::Bounding,
        (None, _) => Obstacle::Absolute,
    };
    let path = deciding.map_or(&question.path, |check| &check.path);
    let because = deciding.and_then(|check| check.because.clone());
    let because = because.or_else(|| question.because.clone()).unwrap_or_else(|| match deciding {
        Some(check) => asked_for(check),
        None => "the kernel refuses it to every process".to_owned(),
    });
    CallRefusal {
        errno: question.errno,
        place: place(path, call.step.name()),
        because,
        obstacle,
        not_held,
        silent,
    }
}

fn obstacle(check: &MadeCheck) -> Obstacle {
    match &check.about {
        CheckedThing::Capability { cap, held: false, .. } => Obstacle::Capability(*cap),
        CheckedThing::Capability { cap, class, .. } => Obstacle::Denial {
            source: check.domain.clone(),
            target: check.domain.clone(),
            class: (*class).to_owned(),
            permissions: vec![crate::grant::cap_name(*cap)],
        },
        CheckedThing::Permissions { target, class, permissions } => Obstacle::Denial {
            source: check.domain.clone(),
            target: target.clone(),
            class: class.clone(),
            permissions: permissions.clone(),
        },
    }
}

fn asked_for(check: &MadeCheck) -> String {
    match &check.about {
        CheckedThing::Capability { cap, .. } => format!("it needs {}", cap_constant(*cap)),
        CheckedThing::Permissions { class, permissions, .. } => {
            format!("it needs {class} {{ {} }}", permissions.join(" "))
        }
    }
}

/// The refusal of a filter, which runs before the system call.
fn of_filter(errno: Errno, syscall: &str) -> CallRefusal {
    CallRefusal {
        errno,
        place: "a seccomp filter".to_owned(),
        because: format!("it runs before the system call and refuses {syscall}()"),
        obstacle: Obstacle::SeccompFilter,
        not_held: Vec::new(),
        silent: true,
    }
}

/// True if the event excludes the kernel and its PMU cannot (`PERF_PMU_CAP_NO_EXCLUDE`).
fn excludes_in_vain(command: &ToolCommand, step: &Step) -> bool {
    let Step::PerfEventOpen(open) = step else { return false };
    let excludes = open.attr.exclude_kernel || open.attr.exclude_user;
    let mut events = command.events.iter();
    excludes && events.any(|event| !event.can_exclude && event.event == open.attr.event)
}

/// `EINVAL`
const EINVAL: Errno = Errno(nix::errno::Errno::EINVAL as i32);

fn invalid() -> CallRefusal {
    CallRefusal {
        errno: EINVAL,
        place: "perf_event_open()".to_owned(),
        because: "the event cannot exclude the kernel or user space".to_owned(),
        obstacle: Obstacle::Invalid,
        not_held: Vec::new(),
        silent: true,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::{Level, Library, Setting};
    use crate::kernel::KernelVersion;
    use crate::transcript::CallResult;
    use crate::why::facts::{Given, Known};

    fn asked(text: &str, given: Given) -> Asked {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        let command = ToolCommand::read(&words).unwrap();
        let facts = Facts::new(given, None).unwrap();
        ask(&Changed { facts, command, rules: BTreeMap::new(), focus: None })
    }

    fn level(level: i32) -> Given {
        Given { level: Some(Known::given(level)), ..Given::default() }
    }

    fn with(level: i32, caps: &str) -> Given {
        Given {
            level: Some(Known::given(level)),
            caps: Some(Known::given(caps.parse().unwrap())),
            ..Given::default()
        }
    }

    #[rstest]
    #[case("perf stat -a -e cycles", with(2, "none"), Some((Errno::EACCES, "perf_allow_kernel()")))]
    #[case("perf stat -a -e cycles", with(1, "none"), Some((Errno::EACCES, "perf_allow_cpu()")))]
    #[case("perf stat -a -e cycles", with(0, "none"), None)]
    #[case("perf stat -a -e cycles", with(2, "perfmon"), None)]
    #[case("perf stat -e cycles:u ls", with(2, "none"), None)]
    #[case("perf record -e cycles:u -p 1", with(2, "none"),
        Some((Errno::EACCES, "perf_check_permission()")))]
    #[case("perf stat -e uprobe ls", with(2, "perfmon"),
        Some((Errno::EACCES, "perf_uprobe_event_init()")))]
    #[case("perf stat -a", with(4, "perfmon"), Some((Errno::EACCES, "perf_event_open()")))]
    #[case("perf stat -a", with(4, "sys_admin"), None)]
    #[case("bpftrace -e x", with(2, "bpf"), Some((Errno::EPERM, "is_perfmon_prog_type()")))]
    #[case("bpftrace -e x", with(2, "bpf+perfmon"), None)]
    #[case("perf probe do_exit", with(2, "perfmon"),
        Some((Errno::EACCES, "generic_permission(MAY_WRITE)")))]
    #[case("perf stat -e msr/tsc/u ls", with(-1, "none"), Some((EINVAL, "perf_event_open()")))]
    fn the_first_refusal_is_the_kernels(
        #[case] command: &str,
        #[case] given: Given,
        #[case] expected: Option<(Errno, &str)>,
    ) {
        let asked = asked(command, given);
        let found = asked.first().map(|(_, refusal)| (refusal.errno, refusal.place.as_str()));
        match (found, expected) {
            (Some((errno, place)), Some((wanted, words))) => {
                assert_eq!(errno, wanted, "{place}");
                assert!(place.contains(words), "{place}");
            }
            (found, expected) => assert_eq!(found, expected),
        }
    }

    #[test]
    fn every_later_refusal_is_found_too() {
        let asked = asked("perf record -a -e sched:sched_switch", level(2));
        let places: Vec<_> = asked
            .calls
            .iter()
            .flat_map(|call| &call.refusals)
            .map(|it| it.place.as_str())
            .collect();
        let wanted = [
            "generic_permission(MAY_READ)",
            "perf_allow_kernel",
            "perf_allow_tracepoint",
            "perf_allow_cpu",
        ];
        assert_eq!(places.len(), wanted.len(), "{places:?}");
        assert!(places.iter().zip(wanted).all(|(place, name)| place.contains(name)), "{places:?}");
    }

    #[test]
    fn what_keeps_a_file_from_giving_capabilities_counts() {
        let given = || with(2, "perfmon");
        let yes = || Some(Known::given(true));
        let cases = [
            Given { nosuid: yes(), ..given() },
            Given { no_new_privs: yes(), ..given() },
            Given { userns: yes(), ..given() },
            Given { not_effective: true, ..given() },
        ];
        for given in cases {
            let asked = asked("perf stat -a", given);
            let (_, refusal) = asked.first().unwrap();
            assert_eq!(refusal.obstacle, Obstacle::Capability(38));
        }
        let bounding = Some(Known::given(CapSet::EMPTY));
        let asked = asked("perf stat -a", Given { bounding, ..given() });
        let (call, refusal) = asked.first().unwrap();
        assert_eq!((call.step.name(), refusal.errno), ("execve", Errno::EPERM));
    }

    #[test]
    fn every_question_of_every_call_is_read() {
        let functions = Functions::built_in().unwrap();
        let facts = Facts::new(Given::default(), None).unwrap();
        for line in ["perf record -a -e sched:x", "bpftrace -e x", "perf probe x", "perf stat"] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            for call in ToolCommand::read(&words).unwrap().calls(&facts) {
                let questions = questions(&call, &functions);
                let refuses = |it: &Question| matches!(it.check, Check::Return(Some(_)));
                assert!(!questions.asks.iter().any(refuses), "{}", call.asks);
            }
        }
    }

    /// The questions of a step that a case lists itself, as `why` asks them.
    fn call(step: &Step) -> Option<Call> {
        let asks = match step {
            Step::PerfEventOpen(_) => "perf_event_open",
            Step::Read(_) => "perf_read",
            Step::Ioctl(_) => "perf_ioctl",
            Step::Mmap(_) => "perf_mmap",
            _ => return None,
        };
        Some(Call { step: step.clone(), asks: asks.to_owned(), purpose: String::new() })
    }

    /// Asks about cells with their own facts: the errno and the records are those of the computed
    /// transcript, and the check to pass is one that fails there.
    #[rstest]
    #[case((6, 1, 192))]
    #[case((6, 12, 117))]
    fn the_answer_about_a_cell_is_its_transcript(#[case] version: (u32, u32, u32)) {
        let version = KernelVersion::new(version.0, version.1, version.2);
        let kernel = Circumstances::hypothetical(version, Some("debian"));
        let setting = Setting::from(kernel);
        let library = Library::built_in().unwrap();
        let (mut refused, mut compared, mut named) = (0, 0, 0);
        for case in &library.cases {
            let own = case.given.is_empty() && case.processes.is_empty() && case.policy.is_none();
            let plain =
                case.boot == BootMode::Selinux && case.audit && case.comm == crate::case::COMM;
            let calls: Option<Vec<_>> = case.steps.iter().map(call).collect();
            // A result that is written in the case has causes beside the questions.
            let written = case.questions.iter().flatten().any(|it| !it.returns.is_empty());
            let Some(calls) = calls.filter(|_| own && plain && !written) else { continue };
            if case.unmet_requirement(&kernel).is_some() {
                continue;
            }
            for at in case.axes.coordinates().filter(|at| at.mode != Mode::Disabled) {
                let Some(found) = case.evaluation(&at, &setting) else { continue };
                let Level::Set(level) = at.paranoid else { continue };
                let given = Given {
                    kernel: Some(Known::given(version)),
                    distribution: Some(Known::given("debian".to_owned())),
                    level: Some(Known::given(level)),
                    caps: Some(Known::given(at.grant.0)),
                    uid: Some(Known::given(case.uid)),
                    lockdown: Some(Known::given(case.lockdown)),
                    selinux: Some(Known::given(at.mode)),
                    domain: Some(Known::given(at.domain.clone())),
                    ..Given::default()
                };
                let policies = std::rc::Rc::new(case.own_policies().clone());
                let facts = Facts::new(given, Some(policies)).unwrap();
                let command = ToolCommand::read(&["perf_event_open".to_owned()]).unwrap();
                let changed = Changed { facts, command, rules: BTreeMap::new(), focus: None };
                let asked = ask_about(&changed, calls.clone());
                // The exec comes first.
                let asked = asked.calls.iter().skip(1);
                let least = found.transcript.least();
                let seen = least.transcript().calls.iter().zip(&found.checks);
                let name = case.cell_name(&at);
                for (mine, (theirs, checks)) in asked.zip(seen) {
                    let result = theirs.head.result();
                    let (errno, other) = match result {
                        Some(CallResult::Error(errno)) if errno.is_denial() => {
                            (Some(*errno), false)
                        }
                        Some(CallResult::Error(_)) => (None, true),
                        _ => (None, false),
                    };
                    // An error of another kind ends the call before later checks.
                    if other {
                        break;
                    }
                    let first = mine.refusals.first();
                    assert_eq!(first.map(|it| it.errno), errno, "{name}: {first:?}");
                    if let Some(refusal) = first
                        && checks.refusing.is_some()
                    {
                        let mut failed = checks.made.iter().filter(|check| !check.passes);
                        let same = failed.any(|check| obstacle(check) == refusal.obstacle);
                        assert!(same, "{name}: {refusal:?}");
                        named += 1;
                    }
                    let records = theirs.effects.iter().filter(|it| matches!(it, Effect::Avc(_)));
                    let records: Vec<_> = records.map(ToString::to_string).collect();
                    assert_eq!(mine.records, records, "{name}");
                    compared += 1;
                    if errno.is_some() {
                        refused += 1;
                        break;
                    }
                }
            }
        }
        assert!(compared > 500 && refused > 200, "{compared}, {refused} of them refused");
        assert!(named > 200, "{named} of them by a check");
    }
}
