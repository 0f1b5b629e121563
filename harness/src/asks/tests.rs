//! Properties of the evaluator that hold for all questions, policies and credentials.

use std::collections::BTreeSet;

use perfsec_wire::caps::{BPF, PERFMON, SYS_ADMIN};
use perfsec_wire::step::Read;
use perfsec_wire::{BootMode, CapSet, Lockdown, Mode, Step};
use proptest::prelude::*;

use super::*;
use crate::policy::{Answer, Answers};
use crate::transcript::{CallResult, CapVerdict, Effect, ExpectedTranscript, Times};

/// A policy that allows what it lists.
#[derive(Clone, Debug)]
struct Listed {
    allowed: BTreeSet<(String, String)>,
    permissive: bool,
    dontaudit: bool,
}

impl Answers for Listed {
    fn answer(&self, _: &str, _: &str, class: &str, permission: &str) -> Answer {
        Answer {
            allowed: self.allowed.contains(&(class.to_owned(), permission.to_owned())),
            audit_denied: !self.dontaudit,
            audit_granted: false,
            permissive: self.permissive,
        }
    }
}

impl SecurityServer for Listed {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(self)
    }

    fn agent_context(&self, _: &Loaded, _: &str) -> String {
        "u:r:kernel_t:s0".to_owned()
    }
}

const HOOKS: [&str; 4] = ["open", "kernel", "cpu", "read"];
const CAPS: [u32; 3] = [PERFMON, SYS_ADMIN, BPF];

/// A question of the generated cases, in the words of a case.
fn question() -> impl Strategy<Value = String> {
    let hook = prop::sample::select(&HOOKS[..]).prop_map(|name| format!("perf_event {{ {name} }}"));
    let chain = prop::sample::select(&["perfmon | sys_admin", "bpf | sys_admin", "sys_admin"][..]);
    let capable = chain.prop_map(|caps| format!("capable {caps}"));
    let other = Just("capable perfmon || process { ptrace }".to_owned());
    let suffix = prop::sample::select(&["", "  or EACCES", "  or go on", "  if level > 1"][..]);
    (prop_oneof![hook, capable, other], suffix).prop_map(|(check, suffix)| check + suffix)
}

fn policy() -> impl Strategy<Value = Listed> {
    let all = HOOKS.iter().map(|name| ("perf_event", *name));
    let caps = [("capability2", "perfmon"), ("capability2", "bpf"), ("capability", "sys_admin")];
    let all: Vec<_> = all.chain(caps).chain([("process", "ptrace")]).collect();
    let subset = prop::sample::subsequence(all.clone(), 0..=all.len());
    (subset, any::<bool>(), any::<bool>()).prop_map(|(allowed, permissive, dontaudit)| Listed {
        allowed: allowed.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect(),
        permissive,
        dontaudit,
    })
}

fn grant() -> impl Strategy<Value = CapSet> {
    let subset = prop::sample::subsequence(CAPS.to_vec(), 0..=CAPS.len());
    subset.prop_map(|caps| {
        caps.into_iter().fold(CapSet::EMPTY, |set, cap| set.with(CapSet::one(cap)))
    })
}

/// Evaluates one step, or the same step several times.
fn transcript(
    asks: &[String],
    times: usize,
    policy: &Listed,
    grant: CapSet,
    mode: Mode,
) -> ExpectedTranscript {
    let names = Names { functions: vec![], conditions: vec![], tasks: vec![], in_function: false };
    let asks = parse(&asks.join("\n"), 1, &names).expect("questions");
    let functions = Functions::built_in().expect("functions.toml");
    let situation = Situation {
        domain: "subject_t",
        uid: 1000,
        grant,
        comm: "subject",
        mode,
        level: 2,
        suid_dumpable: 0,
        boot: BootMode::Selinux,
        policy: "listed",
        server: policy,
        processes: &[],
        given: &[],
        before: &[],
        lockdown: Lockdown::None,
        free_pages: None,
        whole: false,
        functions: &functions,
        holds: &|_| false,
    };
    let read = Step::Read(Read { fd: "fd".to_owned(), count: 8, some: false, text: false });
    let questions = StepQuestions { line: 1, asks, returns: Vec::new() };
    evaluate(&vec![read; times], &vec![questions; times], &situation).transcript
}

fn effects(transcript: &ExpectedTranscript) -> Vec<&Effect> {
    transcript.calls.iter().flat_map(|call| &call.effects).flat_map(|all| &all.effects).collect()
}

fn succeeds(transcript: &ExpectedTranscript) -> bool {
    transcript.calls.iter().all(|call| !matches!(call.head.result(), Some(CallResult::Error(_))))
}

proptest! {
    #[test]
    fn a_larger_grant_never_adds_a_refusal(
        asks in prop::collection::vec(question(), 0..6),
        policy in policy(),
        small in grant(),
        more in grant(),
        permissive: bool,
    ) {
        let mode = if permissive { Mode::Permissive } else { Mode::Enforcing };
        let with_small = transcript(&asks, 1, &policy, small, mode);
        let with_large = transcript(&asks, 1, &policy, small.with(more), mode);
        prop_assert!(!succeeds(&with_small) || succeeds(&with_large));
    }

    #[test]
    fn permissive_mode_succeeds_wherever_enforcing_does(
        asks in prop::collection::vec(question(), 0..6),
        policy in policy(),
        grant in grant(),
    ) {
        let enforcing = transcript(&asks, 1, &policy, grant, Mode::Enforcing);
        let permissive = transcript(&asks, 1, &policy, grant, Mode::Permissive);
        prop_assert!(!succeeds(&enforcing) || succeeds(&permissive));
    }

    #[test]
    fn a_domain_that_is_allowed_everything_logs_nothing(
        asks in prop::collection::vec(question(), 0..6),
        grant in grant(),
        permissive: bool,
    ) {
        let all = HOOKS.iter().map(|name| ("perf_event", *name)).chain([
            ("capability2", "perfmon"),
            ("capability2", "bpf"),
            ("capability", "sys_admin"),
            ("process", "ptrace"),
        ]);
        let allowed = all.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
        let policy = Listed { allowed, permissive: false, dontaudit: false };
        let mode = if permissive { Mode::Permissive } else { Mode::Enforcing };
        let transcript = transcript(&asks, 2, &policy, grant, mode);
        prop_assert!(effects(&transcript).iter().all(|it| !matches!(it, Effect::Avc(_))));
    }

    #[test]
    fn lines_follow_the_order_of_questions(
        asks in prop::collection::vec(question(), 0..6),
        policy in policy(),
        grant in grant(),
    ) {
        let transcript = transcript(&asks, 1, &policy, grant, Mode::Permissive);
        let lines: Vec<_> =
            transcript.calls[0].effects.iter().map(|effects| effects.line).collect();
        prop_assert!(lines.is_sorted());
    }

    #[test]
    fn selinux_is_never_asked_about_a_capability_that_is_not_held(
        asks in prop::collection::vec(question(), 0..6),
        policy in policy(),
        grant in grant(),
    ) {
        let transcript = transcript(&asks, 1, &policy, grant, Mode::Enforcing);
        for pair in effects(&transcript).windows(2) {
            if let [Effect::Cap(cap), Effect::Avc(avc)] = pair
                && avc.field("capability").is_some()
            {
                prop_assert_eq!(cap.verdict == CapVerdict::NotHeld, false);
            }
        }
    }

    #[test]
    fn a_denial_that_permissive_mode_let_through_is_logged_once(
        asks in prop::collection::vec(question(), 0..6),
        policy in policy(),
        grant in grant(),
    ) {
        let transcript = transcript(&asks, 3, &policy, grant, Mode::Permissive);
        let mut seen = BTreeSet::new();
        for effect in effects(&transcript) {
            if let Effect::Avc(avc) = effect {
                prop_assert!(seen.insert(avc.to_string()), "{avc} twice");
            }
        }
    }

    #[test]
    fn a_list_is_read_as_it_is_written(asks in prop::collection::vec(question(), 1..6)) {
        let names =
            Names { functions: vec![], conditions: vec![], tasks: vec![], in_function: false };
        let read = parse(&asks.join("\n"), 1, &names).expect("questions");
        let written: Vec<_> = read.iter().map(ToString::to_string).collect();
        prop_assert_eq!(parse(&written.join("\n"), 1, &names).expect("again"), read);
    }
}

fn lines(asks: &str, policy: &Listed, grant: CapSet, mode: Mode) -> String {
    let asks: Vec<_> = asks.lines().map(str::to_owned).collect();
    transcript(&asks, 1, policy, grant, mode).to_string()
}

fn denying(dontaudit: bool) -> Listed {
    Listed { allowed: BTreeSet::new(), permissive: false, dontaudit }
}

#[test]
fn a_repeated_check_is_logged_once_in_permissive_mode() {
    let asks = "capable perfmon | sys_admin  or go on  +";
    let perfmon = CapSet::one(PERFMON);
    let permissive = lines(asks, &denying(false), perfmon, Mode::Permissive);
    assert_eq!(
        permissive,
        "read(fd, 8) = 8\n  cap perfmon = granted\n  \
         avc denied { perfmon } capability=38 tclass=capability2\n  cap perfmon = granted  *\n"
    );
    let enforcing = lines(asks, &denying(false), perfmon, Mode::Enforcing);
    assert_eq!(
        enforcing,
        "read(fd, 8) = 8\n  (cap perfmon = refused by selinux; \
         avc denied { perfmon } capability=38 tclass=capability2; cap sys_admin = not held)  +\n"
    );
}

#[test]
fn dontaudit_hides_the_record_and_refuses_all_the_same() {
    let text = lines("perf_event { open }", &denying(true), CapSet::EMPTY, Mode::Enforcing);
    assert_eq!(text, "read(fd, 8) = EACCES\n");
}

#[test]
fn a_question_that_is_asked_once_has_no_count() {
    let asks = vec!["perf_event { open }".to_owned()];
    let transcript = transcript(&asks, 1, &denying(false), CapSet::EMPTY, Mode::Permissive);
    assert!(transcript.calls[0].effects.iter().all(|effects| effects.times == Times::Once));
}
