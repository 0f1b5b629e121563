//! Scheduling and death, on a pool that plays scripts.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use perfsec_wire::message::{AuditFacts, Refusal, SelinuxFacts};
use perfsec_wire::observation::{
    Call, CapCheck, Effect, Exit, KernelMessage, SetupFailure, SubjectSeen,
};
use perfsec_wire::{CellOutcome, Facts, Message, Observation, PROTOCOL};
use rstest::rstest;

use super::{LanePlan, Limits, run_lane};
use crate::case::Library;
use crate::interrupt::Interrupt;
use crate::judge::Verdict;
use crate::kernel::{Arch, Kernel, KernelVersion, Origin};
use crate::machines::fake::FakePool;
use crate::machines::{End, Incident};
use crate::plan::{Filter, PlannedCell};
use crate::policy::Policy;
use crate::record::{CellResult, Event, LaneEnded};

const CASE: &str = r#"
title = "a task counts itself"
source = ["a test"]
domain = "all_t"
perf_event_paranoid = 2
grant = ["none", "perfmon"]
mode = "permissive"

[[step]]
perf_event_open = { attr = { event = "software/dummy" } }

[[expect]]
grant = "none"
transcript = "perf_event_open(...) = EACCES\n  cap perfmon = not held"

[[expect]]
grant = "perfmon"
transcript = "perf_event_open(...) = fd\n  cap perfmon = granted"
"#;

/// Two cells; the control, which holds CAP_PERFMON, comes first.
fn cells() -> Vec<PlannedCell> {
    cells_of(CASE)
}

fn cells_of(case: &str) -> Vec<PlannedCell> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("self.toml"), case).unwrap();
    let library = Library::directory(directory.path()).unwrap();
    Filter::default().select(&library).unwrap()
}

fn plan(boots: Vec<Vec<Incident>>) -> LanePlan {
    LanePlan {
        lane: 0,
        kernel: Kernel {
            image: None,
            arch: Arch::default(),
            release: "6.1.0".to_owned(),
            version: KernelVersion::new(6, 1, 192),
            banner: String::new(),
            distribution: None,
            origin: Origin::File { path: "vmlinuz".into() },
            config: None,
        },
        boot: perfsec_wire::BootMode::Selinux,
        policies: Arc::new(Policy {
            name: "minimal".to_owned(),
            sha256: String::new(),
            mls: true,
            binary: Vec::new(),
        })
        .into(),
        cells: Arc::new(cells()),
        pool: Arc::new(FakePool::new(boots)),
        coverage: None,
        known: Arc::default(),
    }
}

fn facts() -> Facts {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Facts {
        release: "6.1.0".to_owned(),
        cmdline: "audit=1".to_owned(),
        selinux: SelinuxFacts {
            classes: vec![
                (
                    "perf_event".to_owned(),
                    names(&["open", "cpu", "kernel", "tracepoint", "read", "write"]),
                ),
                ("capability2".to_owned(), names(&["perfmon"])),
            ],
            ..SelinuxFacts::default()
        },
        audit: AuditFacts { enabled: 1, pid: 1, backlog_limit: 8192, ..AuditFacts::default() },
        ..Facts::default()
    }
}

fn up() -> Vec<Incident> {
    vec![
        Incident::Console(b"[    0.000000] Linux version 6.1.0\r\n".to_vec()),
        Incident::Message(Message::Hello { protocol: PROTOCOL, release: "6.1.0".to_owned() }),
        Incident::Message(Message::Ready(Box::new(facts()))),
    ]
}

fn down() -> Vec<Incident> {
    vec![
        Incident::Message(Message::Done),
        Incident::Silence(None),
        Incident::Ended(End::PoweredOff),
    ]
}

/// What a healthy kernel does in a cell; `fresh` is the cell's index in the boot.
fn healthy(id: u32, fresh: usize) -> Observation {
    let cell = &cells()[id as usize];
    let held = !cell.at.grant.0.is_empty();
    let minus = if held { 0 } else { -1 };
    let policy = plan(Vec::new()).policies.own;
    Observation {
        subject: SubjectSeen {
            pid: 100 + id,
            uid: 1000,
            permitted: cell.at.grant.0,
            effective: cell.at.grant.0,
            context: cell.wire(id as usize, fresh, &policy).subject.context,
        },
        mode: cell.at.mode,
        processes: Vec::new(),
        calls: vec![Call {
            step: 0,
            result: if held { 7 } else { -13 },
            effects: vec![Effect::Cap(CapCheck {
                cap: 38,
                opts: 0,
                commoncap: minus,
                verdict: minus,
            })],
        }],
        outside: Vec::new(),
        exit: Exit::Finished,
        lost: 0,
        caps_unseen: None,
        micros: 5000,
    }
}

fn ran(id: u32, observation: Observation) -> Vec<Incident> {
    vec![
        Incident::Message(Message::Started(id)),
        Incident::Message(Message::Finished(id, CellOutcome::Observed(observation))),
    ]
}

fn died(console: &str, end: End) -> Vec<Incident> {
    vec![Incident::Console(console.into()), Incident::Silence(None), Incident::Ended(end)]
}

struct Outcomes {
    covered: usize,
    cells: Vec<CellResult>,
    causes: Vec<String>,
    end: LaneEnded,
}

impl Outcomes {
    fn verdicts(&self) -> Vec<Verdict> {
        self.cells.iter().map(|cell| cell.judgement.verdict).collect()
    }

    fn reason(&self, at: usize) -> &str {
        self.cells[at].judgement.reason.as_deref().unwrap_or("")
    }
}

fn run_with(boots: Vec<Vec<Incident>>, interrupt: &Interrupt) -> Outcomes {
    run_plan(&plan(boots), interrupt)
}

fn run_plan(plan: &LanePlan, interrupt: &Interrupt) -> Outcomes {
    let events = RefCell::new(Vec::new());
    let short = Duration::from_millis(50);
    let limits = Limits { boot: short, cell: short };
    run_lane(plan, limits, interrupt, &|event| events.borrow_mut().push(event)).unwrap();
    let (mut cells, mut causes, mut ended) = (Vec::new(), Vec::new(), None);
    let mut covered = 0;
    for event in events.into_inner() {
        match event {
            Event::Cell(cell) => cells.push(*cell),
            Event::Coverage(_) => covered += 1,
            Event::Death(death) => causes.push(death.cause),
            Event::LaneEnd(end) => ended = Some(end),
            _ => {}
        }
    }
    Outcomes { covered, cells, causes, end: ended.unwrap() }
}

fn run(boots: Vec<Vec<Incident>>) -> Outcomes {
    run_with(boots, &Interrupt::default())
}

const PANIC: &str = "[    5.000000] Kernel panic - not syncing: Fatal exception\r\n";

#[test]
fn a_healthy_lane_passes_in_one_boot() {
    let outcomes = run(vec![[up(), ran(0, healthy(0, 0)), ran(1, healthy(1, 1)), down()].concat()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (1, None));
    assert!(outcomes.causes.is_empty());
}

#[test]
fn coverage_is_kept_once_per_boot_and_only_if_asked_for() {
    let told = || Incident::Message(Message::Coverage(Box::default()));
    for (asked, messages, kept) in [(true, 1, 1), (true, 2, 1), (false, 1, 0)] {
        let coverage = (0..messages).map(|_| told()).collect();
        let cells = [ran(0, healthy(0, 0)), ran(1, healthy(1, 1))].concat();
        let mut plan = plan(vec![[up(), cells, coverage, down()].concat()]);
        plan.coverage = asked.then(Vec::new);
        let outcomes = run_plan(&plan, &Interrupt::default());
        assert_eq!(outcomes.covered, kept, "{asked} {messages}");
        assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    }
}

#[test]
fn a_panic_fails_the_cell_that_ran_and_the_rest_runs_on_a_fresh_boot() {
    let first = [up(), vec![Incident::Message(Message::Started(0))], died(PANIC, End::Rebooted)];
    // The second boot begins with the first context again.
    let second = [up(), ran(1, healthy(1, 0)), down()];
    let outcomes = run(vec![first.concat(), second.concat()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("kernel panic"), "{}", outcomes.reason(0));
    // Its control failed, so a denial proves nothing.
    assert_eq!(outcomes.cells[1].judgement.verdict, Verdict::Error);
    assert_eq!(outcomes.end.boots, 2);
}

#[test]
fn a_silent_reboot_is_the_kernels_fault_and_a_crash_of_the_machine_is_not() {
    let crash = End::Crashed { detail: "signal 11".to_owned() };
    for (end, verdict) in [(End::Rebooted, Verdict::Fail), (crash, Verdict::Error)] {
        let first = [up(), vec![Incident::Message(Message::Started(0))], died("", end)];
        let second = [up(), ran(1, healthy(1, 0)), down()];
        let outcomes = run(vec![first.concat(), second.concat()]);
        assert_eq!(outcomes.cells[0].judgement.verdict, verdict, "{}", outcomes.reason(0));
    }
}

#[test]
fn a_hang_is_an_error_of_the_cell_that_ran() {
    let first = [up(), vec![Incident::Message(Message::Started(0))]];
    let second = [up(), ran(1, healthy(1, 0)), down()];
    let outcomes = run(vec![first.concat(), second.concat()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Error);
    assert!(outcomes.reason(0).contains("no progress"), "{}", outcomes.reason(0));
}

#[test]
fn a_kernel_that_does_not_come_up_misses_every_cell_in_one_boot() {
    for (script, part) in [
        (died(PANIC, End::Rebooted), "kernel panic"),
        (died("", End::Rebooted), "rebooted without a message"),
        (Vec::new(), "no progress"),
    ] {
        let outcomes = run(vec![script]);
        assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
        let refused = outcomes.end.refused.map(|refused| refused.reason).unwrap_or_default();
        assert!(refused.contains("did not come up") && refused.contains(part), "{refused}");
        assert_eq!(outcomes.end.boots, 1);
    }
}

#[test]
fn a_machine_that_dies_between_cells_boots_again_only_if_it_finished_a_cell() {
    let far = [up(), ran(0, healthy(0, 0)), died("", End::Rebooted)];
    let rest = [up(), ran(1, healthy(1, 0)), down()];
    let outcomes = run(vec![far.concat(), rest.concat()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);

    let nowhere = [up(), died("", End::Rebooted)];
    let outcomes = run(vec![nowhere.concat()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
}

/// Eight cells, each of which kills its guest, except that those of `survived` finish first.
fn run_deadly(boots: &[(u32, &[u32])]) -> Outcomes {
    let case = CASE.replace("perf_event_paranoid = 2", "perf_event_paranoid = [2, 1, 0, -1]");
    let finished = |id: &u32| {
        let (doing, detail) = ("start the subject".to_owned(), String::new());
        let failure = SetupFailure { doing, errno: 0, detail };
        [Message::Started(*id), Message::Finished(*id, CellOutcome::Failed(failure))]
    };
    let script = |(deadly, survived): &(u32, &[u32])| {
        let said = survived.iter().flat_map(finished).chain([Message::Started(*deadly)]);
        [up(), said.map(Incident::Message).collect(), died(PANIC, End::Rebooted)].concat()
    };
    let boots = boots.iter().map(script).collect();
    let plan = LanePlan { cells: Arc::new(cells_of(&case)), ..plan(boots) };
    run_plan(&plan, &Interrupt::default())
}

#[test]
fn a_lane_whose_every_boot_dies_in_its_first_cell_is_given_up() {
    let outcomes = run_deadly(&[(0, &[]), (1, &[]), (2, &[])]);
    assert_eq!(outcomes.end.boots, 3);
    assert_eq!(outcomes.verdicts(), [[Verdict::Fail; 3].as_slice(), &[Verdict::Miss; 5]].concat());
    assert!(outcomes.reason(3).contains("3 boots in a row"), "{}", outcomes.reason(3));
}

#[test]
fn a_lane_that_finishes_cells_between_deaths_goes_on() {
    let outcomes = run_deadly(&[(0, &[]), (1, &[]), (3, &[2]), (4, &[]), (5, &[]), (7, &[6])]);
    assert_eq!(outcomes.end.boots, 6);
    assert!(!outcomes.verdicts().contains(&Verdict::Miss));
}

#[test]
fn a_refusal_is_reported_once_and_ends_the_lane() {
    let hello =
        Incident::Message(Message::Hello { protocol: PROTOCOL, release: "6.1.0".to_owned() });
    let refusal = Refusal::NoSelinux { lsm: "capability,apparmor".to_owned() };
    let outcomes = run(vec![vec![hello, Incident::Message(Message::Refused(refusal))]]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    let refused = outcomes.end.refused.map(|refused| refused.reason).unwrap_or_default();
    assert!(
        refused.contains("CONFIG_SECURITY_SELINUX") && refused.contains("apparmor"),
        "{refused}"
    );
}

#[test]
fn a_lane_that_is_not_what_was_asked_for_is_an_error() {
    let lacking = Facts { selinux: SelinuxFacts::default(), ..facts() };
    let other = Facts { release: "6.2.0".to_owned(), ..facts() };
    let mut locked = facts();
    locked.selinux.deny_unknown = true;
    for (facts, part) in [
        (lacking, "does not define the class perf_event"),
        (other, "6.2.0"),
        (locked, "handleunknown deny"),
    ] {
        let ready = Incident::Message(Message::Ready(Box::new(facts)));
        let outcomes = run(vec![vec![ready]]);
        assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
        let refused = outcomes.end.refused.map(|refused| refused.reason).unwrap_or_default();
        assert!(refused.contains(part), "{refused}");
    }
}

#[test]
fn a_policy_that_denies_unknown_classes_is_accepted_if_the_agent_can_switch_modes() {
    let mut facts = facts();
    facts.selinux.deny_unknown = true;
    facts.selinux.classes.push(("security".to_owned(), vec!["setenforce".to_owned()]));
    let mut up = up();
    up[2] = Incident::Message(Message::Ready(Box::new(facts)));
    let outcomes = run(vec![[up, ran(0, healthy(0, 0)), ran(1, healthy(1, 1)), down()].concat()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
}

#[test]
fn a_subject_set_up_wrongly_or_a_lost_record_is_an_error_and_not_a_failure() {
    let good = healthy(0, 0);
    let lossy = Observation { lost: 1, ..good.clone() };
    let overdue = Observation { exit: Exit::Overdue, ..good.clone() };
    let mut incapable = good.clone();
    incapable.subject.effective = perfsec_wire::CapSet::EMPTY;
    let mut elsewhere = good.clone();
    elsewhere.subject.context = "u:r:none_t:s0".to_owned();
    for (seen, part) in [
        (lossy, "lost 1 audit record"),
        (overdue, "did not finish in time"),
        (incapable, "effective capabilities is `none`"),
        (elsewhere, "context is `u:r:none_t:s0`"),
    ] {
        let outcomes = run(vec![[up(), ran(0, seen), ran(1, healthy(1, 1)), down()].concat()]);
        assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Error);
        assert!(outcomes.reason(0).contains(part), "{}", outcomes.reason(0));
    }
}

#[test]
fn a_warning_of_the_kernel_fails_the_cell_that_provoked_it() {
    let mut seen = healthy(0, 0);
    for text in [
        "------------[ cut here ]------------",
        "WARNING: CPU: 0 PID: 100 at kernel/events/core.c:1 perf_event_alloc+0x1/0x2",
    ] {
        let message = KernelMessage { level: 4, text: text.to_owned() };
        seen.calls[0].effects.push(Effect::Message(message));
    }
    let outcomes = run(vec![[up(), ran(0, seen), ran(1, healthy(1, 1)), down()].concat()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("WARNING"), "{}", outcomes.reason(0));
}

#[test]
fn checks_that_cannot_be_seen_are_reported_and_not_compared() {
    let blind = |id: u32, fresh| {
        let mut seen = healthy(id, fresh);
        seen.calls[0].effects.clear();
        seen.caps_unseen = Some("no kprobes".to_owned());
        seen
    };
    let outcomes = run(vec![[up(), ran(0, blind(0, 0)), ran(1, blind(1, 1)), down()].concat()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    assert!(outcomes.cells[0].judgement.notes.iter().any(|note| note.contains("no kprobes")));
    let mut blind = blind(0, 0);
    blind.calls[0].result = -1;
    let outcomes = run(vec![[up(), ran(0, blind), ran(1, healthy(1, 1)), down()].concat()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
}

#[test]
fn a_known_difference_is_xfail_and_its_absence_xpass() {
    let known = CASE
        .replace(
            "[[step]]",
            "[when.old]\ndistribution = \"elsewhere\"\nreason = \"a bug\"\n[[step]]",
        )
        .replace("grant = \"none\"\ntranscript", "grant = \"none\"\nxfail = \"old\"\ntranscript");
    assert_ne!(known, CASE);
    for (wrong, verdict) in [(true, Verdict::Xfail), (false, Verdict::Xpass)] {
        let mut seen = healthy(1, 1);
        if wrong {
            seen.calls[0].result = -1;
        }
        let boots = vec![[up(), ran(0, healthy(0, 0)), ran(1, seen), down()].concat()];
        let mut plan = plan(boots);
        plan.cells = Arc::new(cells_of(&known));
        plan.kernel.distribution = Some("elsewhere".to_owned());
        let outcomes = run_plan(&plan, &Interrupt::default());
        assert_eq!(outcomes.verdicts(), [Verdict::Pass, verdict]);
        assert_eq!(outcomes.reason(1), "a bug");
    }
}

#[rstest]
#[case::as_known("EPERM", true, Verdict::Xfail)]
#[case::otherwise("EINVAL", true, Verdict::Fail)]
#[case::gone("EPERM", false, Verdict::Xpass)]
fn a_listed_difference_is_known_only_as_it_is_listed(
    #[case] errno: &str,
    #[case] wrong: bool,
    #[case] verdict: Verdict,
) {
    let list = format!(
        "[[known]]\nname = \"eperm\"\ncells = [\"self/*/none/*\"]\nreason = \"a bug\"\n\
         instead = \"perf_event_open(...) = {errno}\\n  cap perfmon = not held\""
    );
    let known = crate::known::read("known.toml".as_ref(), &list, None).unwrap();
    let mut seen = healthy(1, 1);
    if wrong {
        seen.calls[0].result = -1;
    }
    let mut plan = plan(vec![[up(), ran(0, healthy(0, 0)), ran(1, seen), down()].concat()]);
    plan.known = Arc::new(crate::known::KnownDifferences(known));
    let outcomes = run_plan(&plan, &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, verdict]);
}

#[test]
fn cells_are_skipped_if_the_pool_cannot_boot_in_their_mode() {
    let pool = Arc::new(FakePool::unable("cannot change the kernel's command line"));
    let outcomes = run_plan(&LanePlan { pool, ..plan(Vec::new()) }, &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Skip; 2]);
    assert_eq!(outcomes.reason(0), "this machine cannot change the kernel's command line");
}

#[test]
fn a_case_whose_requirement_is_unmet_is_skipped_with_its_reason() {
    let needing = CASE.replace(
        "[[step]]",
        "requires = [\"new\"]\n[when.new]\nsince = \"6.2\"\nreason = \"new in 6.2\"\n[[step]]",
    );
    let mut plan = plan(Vec::new());
    plan.cells = Arc::new(cells_of(&needing));
    let outcomes = run_plan(&plan, &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Skip, Verdict::Skip]);
    assert!(outcomes.reason(0).contains("new in 6.2"), "{}", outcomes.reason(0));
    assert_eq!(outcomes.end.boots, 0);
}

#[test]
fn an_agent_that_breaks_the_protocol_ends_the_lane() {
    let protocol = Incident::Message(Message::Hello { protocol: 999, release: String::new() });
    let garbled = Incident::Silence(Some("a frame does not decode".to_owned()));
    let out_of_turn = ran(1, healthy(1, 1)).remove(1);
    let unknown = Incident::Message(Message::Started(77));
    let scripts = [
        vec![protocol],
        vec![garbled, Incident::Ended(End::Killed)],
        [up(), vec![out_of_turn]].concat(),
        [up(), vec![unknown.clone(), ran(77, healthy(0, 0)).remove(1)]].concat(),
    ];
    for script in scripts {
        let outcomes = run(vec![script]);
        assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    }
}

#[test]
fn an_interrupt_keeps_finished_cells_and_misses_the_others() {
    let interrupt = Interrupt::default();
    let script = [up(), ran(0, healthy(0, 0)), vec![Incident::Interrupted]];
    let outcomes = run_with(vec![script.concat()], &interrupt);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Miss]);

    interrupt.raise();
    let outcomes = run_with(Vec::new(), &interrupt);
    assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
}
