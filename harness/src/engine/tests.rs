//! Scheduling and death, on a pool that plays scripts.

mod answers;
mod broken;
mod faults;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use perfsec_wire::message::{AuditFacts, Refusal, SelinuxFacts};
use perfsec_wire::observation::{Call, CapCheck, Effect, Exit, KernelMessage};
use perfsec_wire::{Cell, CellOutcome, Facts, Message, Observation, Order, PROTOCOL};
use rstest::rstest;

use super::board::{Board, Manner};
use super::earlier::earlier_lane;
use super::execute::{execute, work};
use super::{EarlierLane, Keep, LanePlan, Limits};
use crate::case::Library;
use crate::healthy::{healthy, holds};
use crate::interrupt::Interrupt;
use crate::judge::Verdict;
use crate::kernel::{Arch, Kernel, KernelVersion, Origin};
use crate::machines::fake::{Act, FakeGuest, FakePool, Script};
use crate::machines::{End, Incident};
use crate::plan::{Filter, PlannedCell};
use crate::policy::Policy;
use crate::record::{CellResult, Event, LaneEnded, Run, RunStarted, Selection};

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

type CellScript = dyn Fn(&Cell) -> Vec<Act> + Send + Sync;

/// What a guest's agent does.
#[derive(Clone)]
struct Agent {
    /// After the boot, in front of the first order.
    start: Vec<Act>,
    /// At [`Order::Begin`]; `None` for the usual facts.
    ready: Option<Vec<Act>>,
    /// In each cell.
    cell: Arc<CellScript>,
    /// At the end, in front of [`Message::Done`].
    end: Vec<Act>,
    snapshot: Option<String>,
}

impl Agent {
    /// One that does this in each cell.
    fn new(cell: impl Fn(&Cell) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let start = vec![
            Act::Print(b"[    0.000000] Linux version 6.1.0\r\n".to_vec()),
            message(Message::Hello { protocol: PROTOCOL, release: "6.1.0".to_owned() }),
            message(Message::Parked),
        ];
        Self { start, ready: None, cell: Arc::new(cell), end: Vec::new(), snapshot: None }
    }

    /// One on a healthy kernel.
    fn healthy() -> Self {
        Self::new(|cell| finish(cell, healthy(cell)))
    }

    /// One on a kernel that does this in the cell that holds CAP_PERFMON (the first), or in the
    /// other, and is healthy otherwise.
    fn seeing(
        holder: bool,
        seen: impl Fn(Observation) -> Observation + Send + Sync + 'static,
    ) -> Self {
        Self::new(move |cell| match holds(cell) == holder {
            true => finish(cell, seen(healthy(cell))),
            false => finish(cell, healthy(cell)),
        })
    }

    /// One that says nothing but this after its boot.
    fn starting(start: Vec<Act>) -> Self {
        Self { start, ..Self::healthy() }
    }

    /// One that reports these facts.
    fn reporting(facts: Facts) -> Self {
        let nonce = 0;
        let ready = message(Message::Ready { nonce, facts: Box::new(facts) });
        Self { ready: Some(vec![ready]), ..Self::healthy() }
    }

    fn restored(self, snapshot: &str) -> Self {
        Self { snapshot: Some(snapshot.to_owned()), ..self }
    }

    fn guest(&self) -> FakeGuest {
        let agent = self.clone();
        let script: Script = Box::new(move |order| match order {
            None => agent.start.clone(),
            Some(Order::Begin { nonce, .. }) => match agent.ready.clone() {
                None => {
                    vec![message(Message::Ready { nonce: *nonce, facts: Box::new(facts()) })]
                }
                Some(ready) => ready.into_iter().map(|it| with_nonce(it, *nonce)).collect(),
            },
            Some(Order::Cells(cells)) => {
                let mut incidents = Vec::new();
                for cell in cells {
                    incidents.push(message(Message::Started(cell.id)));
                    let done = (agent.cell)(cell);
                    let goes_on = matches!(
                        done.last(),
                        Some(Act::Report(Incident::Message(Message::Finished(..))))
                    );
                    incidents.extend(done);
                    if !goes_on {
                        return incidents;
                    }
                }
                incidents.push(message(Message::Idle));
                incidents
            }
            Some(Order::End) => {
                [agent.end.clone(), vec![message(Message::Done)], ended(End::PoweredOff)].concat()
            }
            Some(Order::Shell | Order::Type(_)) => panic!("nobody wants a shell"),
        });
        FakeGuest { script, snapshot: self.snapshot.clone() }
    }
}

fn message(message: Message) -> Act {
    Act::from(message)
}

fn with_nonce(act: Act, nonce: u64) -> Act {
    match act {
        Act::Report(Incident::Message(Message::Ready { facts, .. })) => {
            message(Message::Ready { nonce, facts })
        }
        other => other,
    }
}

fn ended(end: End) -> Vec<Act> {
    [Incident::Silence(None), Incident::Ended(end)].map(Act::Report).into()
}

fn finish(cell: &Cell, seen: Observation) -> Vec<Act> {
    vec![message(Message::Finished(cell.id, CellOutcome::Observed(seen)))]
}

/// A lane whose guests have these agents, one after another.
/// `/proc/version` of the kernel.
const BANNER: &str = "Linux version 6.1.0 (a@b) (gcc 12) #1 SMP Debian 6.1.192-1";

fn plan(agents: &[Agent]) -> LanePlan {
    let agents = agents.to_vec();
    LanePlan {
        lane: 0,
        kernel: Kernel {
            image: None,
            arch: Arch::default(),
            release: "6.1.0".to_owned(),
            version: KernelVersion::new(6, 1, 192),
            banner: BANNER.to_owned(),
            distribution: None,
            origin: Origin::File { path: "vmlinuz".into() },
            config: None,
            parameters: Vec::new(),
        },
        boot: perfsec_wire::BootMode::Selinux,
        policies: Arc::new(Policy::empty("minimal", true)).into(),
        cells: Arc::new(cells()),
        pool: Arc::new(FakePool::new(move |boot| agents.get(boot).map(Agent::guest))),
        coverage: None,
        server: None,
        earlier: EarlierLane::default(),
        until_broken: None,
        known: Arc::default(),
    }
}

fn facts() -> Facts {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    Facts {
        release: "6.1.0".to_owned(),
        version: BANNER.to_owned(),
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

fn died(console: &str, end: End) -> Vec<Act> {
    [vec![Act::Print(console.into())], ended(end)].concat()
}

fn crashed() -> End {
    let detail = "QEMU was killed by a signal (9, SIGKILL)".to_owned();
    End::Crashed { detail, said: String::new() }
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

/// Limits that a healthy guest keeps on a loaded host.
fn manner() -> Manner {
    limited(Duration::from_secs(60))
}

/// Limits for guests that hang, which the healthy ones after them keep too.
fn hasty() -> Manner {
    limited(Duration::from_secs(1))
}

fn limited(limit: Duration) -> Manner {
    let limits = Limits { boot: limit, silence: limit, cell: Duration::ZERO, run: None };
    Manner { limits, cold: false, retries: 0 }
}

/// The events of a run on this many guests.
fn events(plans: &[LanePlan], manner: Manner, guests: usize, interrupt: &Interrupt) -> Vec<Event> {
    let (sink, events) = mpsc::channel();
    let board = Board::new(plans, manner, Instant::now(), interrupt, sink);
    board.begin();
    std::thread::scope(|scope| {
        (0..guests).for_each(|_| drop(scope.spawn(|| work(&board))));
    });
    assert!(board.into_error().is_none());
    events.into_iter().collect()
}

fn run_as(plan: LanePlan, manner: Manner, interrupt: &Interrupt) -> Outcomes {
    let (mut cells, mut causes, mut ended) = (Vec::new(), Vec::new(), None);
    let mut covered = 0;
    for event in events(&[plan], manner, 1, interrupt) {
        match event {
            Event::Cell(cell) => cells.push(*cell),
            Event::Coverage(_) => covered += 1,
            Event::Death(death) => causes.push(death.cause),
            Event::LaneEnd(end) => ended = Some(end),
            _ => {}
        }
    }
    cells.sort_by_key(|cell| cell.number);
    Outcomes { covered, cells, causes, end: ended.unwrap() }
}

fn run_plan(plan: LanePlan) -> Outcomes {
    run_as(plan, manner(), &Interrupt::default())
}

fn run(agents: &[Agent]) -> Outcomes {
    run_plan(plan(agents))
}

fn run_hasty(agents: &[Agent]) -> Outcomes {
    run_as(plan(agents), hasty(), &Interrupt::default())
}

const PANIC: &str = "[    5.000000] Kernel panic - not syncing: Fatal exception\r\n";

#[test]
fn a_healthy_lane_passes_in_one_boot() {
    let outcomes = run(&[Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (1, None));
    assert!(outcomes.causes.is_empty());
}

#[test]
fn coverage_is_kept_once_per_boot_and_only_if_asked_for() {
    let told = message(Message::Coverage(Box::default()));
    for (asked, messages, kept) in [(true, 1, 1), (true, 2, 1), (false, 1, 0)] {
        let mut plan = plan(&[Agent { end: vec![told.clone(); messages], ..Agent::healthy() }]);
        plan.coverage = asked.then(Vec::new);
        let outcomes = run_plan(plan);
        assert_eq!(outcomes.covered, kept, "{asked} {messages}");
        assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    }
}

/// One whose guest dies in the first cell.
fn deadly(console: &'static str, end: &End) -> Agent {
    let end = end.clone();
    Agent::new(move |_| died(console, end.clone()))
}

#[test]
fn a_panic_fails_the_cell_that_ran_and_the_rest_runs_on_a_fresh_boot() {
    let outcomes = run(&[deadly(PANIC, &End::Rebooted), Agent::healthy()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("kernel panic"), "{}", outcomes.reason(0));
    // Its control failed, so a denial proves nothing.
    assert_eq!(outcomes.cells[1].judgement.verdict, Verdict::Error);
    assert_eq!(outcomes.end.boots, 2);
}

#[test]
fn a_silent_reboot_is_the_kernels_fault_and_a_crash_of_the_machine_is_not() {
    let crash = crashed();
    for (end, verdict) in [(End::Rebooted, Verdict::Fail), (crash, Verdict::Error)] {
        let outcomes = run(&[deadly("", &end), Agent::healthy()]);
        assert_eq!(outcomes.cells[0].judgement.verdict, verdict, "{}", outcomes.reason(0));
    }
}

#[test]
fn a_hang_is_an_error_of_the_cell_that_ran() {
    let outcomes = run_hasty(&[Agent::new(|_| Vec::new()), Agent::healthy()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Error);
    assert!(outcomes.reason(0).contains("no progress"), "{}", outcomes.reason(0));
}

#[test]
fn a_kernel_that_does_not_come_up_misses_every_cell_in_one_boot() {
    for (start, part) in [
        (died(PANIC, End::Rebooted), "kernel panic"),
        (died("", End::Rebooted), "rebooted without a message"),
        (Vec::new(), "no progress"),
    ] {
        let outcomes = run_hasty(&[Agent::starting(start)]);
        assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
        let refused = outcomes.end.refused.map(|refused| refused.reason).unwrap_or_default();
        assert!(refused.contains("did not come up") && refused.contains(part), "{refused}");
        assert_eq!(outcomes.end.boots, 1);
    }
}

#[test]
fn a_machine_that_dies_between_cells_boots_again_only_if_it_finished_a_cell() {
    let between = |cell: &Cell| [finish(cell, healthy(cell)), died("", End::Rebooted)].concat();
    let outcomes = run(&[Agent::new(between), Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);

    let ready = message(Message::Ready { nonce: 0, facts: Box::new(facts()) });
    let nowhere = [vec![ready], died("", End::Rebooted)].concat();
    let outcomes = run(&[Agent { ready: Some(nowhere), ..Agent::healthy() }]);
    assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
}

/// Eight cells. Each kills its guest, except that those of `survived` finish.
fn run_deadly(survived: &'static [u32]) -> Outcomes {
    let case = CASE.replace("perf_event_paranoid = 2", "perf_event_paranoid = [2, 1, 0, -1]");
    let agent = Agent::new(move |cell| match survived.contains(&cell.id) {
        true => finish(cell, healthy(cell)),
        false => died(PANIC, End::Rebooted),
    });
    let plan = LanePlan { cells: Arc::new(cells_of(&case)), ..plan(&vec![agent; 8]) };
    run_plan(plan)
}

#[test]
fn a_lane_whose_every_boot_dies_in_its_first_cell_is_given_up() {
    let outcomes = run_deadly(&[]);
    assert_eq!(outcomes.end.boots, 3);
    assert_eq!(outcomes.verdicts(), [[Verdict::Fail; 3].as_slice(), &[Verdict::Miss; 5]].concat());
    assert!(outcomes.reason(3).contains("3 boots in a row"), "{}", outcomes.reason(3));
}

#[test]
fn a_lane_that_finishes_cells_between_deaths_goes_on() {
    let outcomes = run_deadly(&[2, 6]);
    assert_eq!(outcomes.end.boots, 6);
    assert!(!outcomes.verdicts().contains(&Verdict::Miss));
}

#[test]
fn a_refusal_is_reported_once_and_ends_the_lane() {
    let hello = message(Message::Hello { protocol: PROTOCOL, release: "6.1.0".to_owned() });
    let refusal = Refusal::NoSelinux { lsm: "capability,apparmor".to_owned() };
    let outcomes = run(&[Agent::starting(vec![hello, message(Message::Refused(refusal))])]);
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
    let mut locked = facts();
    locked.selinux.deny_unknown = true;
    for (facts, part) in
        [(lacking, "does not define the class perf_event"), (locked, "handleunknown deny")]
    {
        let outcomes = run(&[Agent::reporting(facts)]);
        assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
        let refused = outcomes.end.refused.map(|refused| refused.reason).unwrap_or_default();
        assert!(refused.contains(part), "{refused}");
    }
}

#[rstest]
#[case::release(Facts { release: "6.2.0".to_owned(), ..facts() }, "6.2.0", "6.1.0")]
#[case::banner(Facts { version: "Linux version 6.1.0 #2".to_owned(), ..facts() }, "#2", BANNER)]
fn a_guest_that_runs_another_kernel_is_an_error_and_no_fault_of_the_kernel(
    #[case] facts: Facts,
    #[case] running: &str,
    #[case] believed: &str,
) {
    let outcomes = run(&[Agent::reporting(facts)]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert_eq!(outcomes.end.refused, None);
    let reason = outcomes.reason(0);
    assert!(reason.contains(running) && reason.contains(believed), "{reason}");
}

#[test]
fn a_version_that_the_banner_of_the_guest_does_not_have_is_an_error() {
    let mut plan = plan(&[Agent::healthy()]);
    plan.kernel.version = KernelVersion::new(6, 1, 193);
    let outcomes = run_as(plan, manner(), &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(0).contains("6.1.193"), "{}", outcomes.reason(0));
}

#[test]
fn a_policy_that_denies_unknown_classes_is_accepted_if_the_agent_can_switch_modes() {
    let mut facts = facts();
    facts.selinux.deny_unknown = true;
    facts.selinux.classes.push(("security".to_owned(), vec!["setenforce".to_owned()]));
    let outcomes = run(&[Agent::reporting(facts)]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
}

#[rstest]
#[case::lossy(|seen| Observation { lost: 1, ..seen }, "lost 1 audit record")]
#[case::overdue(|seen| Observation { exit: Exit::Overdue, ..seen }, "did not finish in time")]
#[case::incapable(
    |mut seen: Observation| {
        seen.subject.effective = perfsec_wire::CapSet::EMPTY;
        seen
    },
    "effective capabilities is `none`"
)]
#[case::elsewhere(
    |mut seen: Observation| {
        seen.subject.context = "u:r:none_t:s0".to_owned();
        seen
    },
    "context is `u:r:none_t:s0`"
)]
fn a_subject_set_up_wrongly_or_a_lost_record_is_an_error_and_not_a_failure(
    #[case] change: fn(Observation) -> Observation,
    #[case] part: &str,
) {
    let outcomes = run(&[Agent::seeing(true, change)]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Error);
    assert!(outcomes.reason(0).contains(part), "{}", outcomes.reason(0));
}

#[test]
fn an_overdue_subject_is_a_failure_if_a_call_returned_something_else() {
    let change = |mut seen: Observation| {
        seen.exit = Exit::Overdue;
        seen.calls[0].result = -22;
        seen
    };
    let outcomes = run(&[Agent::seeing(true, change)]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("did not finish in time"), "{}", outcomes.reason(0));
}

#[test]
fn a_warning_of_the_kernel_fails_the_cell_that_provoked_it() {
    let warning = |mut seen: Observation| {
        for text in [
            "------------[ cut here ]------------",
            "WARNING: CPU: 0 PID: 100 at kernel/events/core.c:1 perf_event_alloc+0x1/0x2",
        ] {
            let message = KernelMessage { level: 4, text: text.to_owned() };
            seen.calls[0].effects.push(Effect::Message(message));
        }
        seen
    };
    let outcomes = run(&[Agent::seeing(true, warning)]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("WARNING"), "{}", outcomes.reason(0));
}

#[test]
fn checks_that_cannot_be_seen_are_reported_and_not_compared() {
    let blind = |mut seen: Observation| {
        seen.calls[0].effects.clear();
        seen.caps_unseen = Some("no kprobes".to_owned());
        seen
    };
    let agent = Agent::new(move |cell| finish(cell, blind(healthy(cell))));
    let outcomes = run(&[agent]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    assert!(outcomes.cells[0].judgement.notes.iter().any(|note| note.contains("no kprobes")));
    let outcomes = run(&[Agent::seeing(true, move |seen| refused(blind(seen)))]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
}

/// The step fails with EPERM.
fn refused(mut seen: Observation) -> Observation {
    seen.calls[0].result = -1;
    seen
}

#[rstest]
#[case::wrong(Agent::seeing(false, refused), Verdict::Xfail)]
#[case::right(Agent::healthy(), Verdict::Xpass)]
fn a_known_difference_is_xfail_and_its_absence_xpass(
    #[case] agent: Agent,
    #[case] verdict: Verdict,
) {
    let known = CASE
        .replace(
            "[[step]]",
            "[when.old]\ndistribution = \"elsewhere\"\nreason = \"a bug\"\n[[step]]",
        )
        .replace("grant = \"none\"\ntranscript", "grant = \"none\"\nxfail = \"old\"\ntranscript");
    assert_ne!(known, CASE);
    let mut plan = plan(&[agent]);
    plan.cells = Arc::new(cells_of(&known));
    plan.kernel.distribution = Some("elsewhere".to_owned());
    let outcomes = run_plan(plan);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, verdict]);
    assert_eq!(outcomes.reason(1), "a bug");
}

#[rstest]
#[case::as_known("EPERM", Agent::seeing(false, refused), Verdict::Xfail)]
#[case::otherwise("EINVAL", Agent::seeing(false, refused), Verdict::Fail)]
#[case::gone("EPERM", Agent::healthy(), Verdict::Xpass)]
fn a_listed_difference_is_known_only_as_it_is_listed(
    #[case] errno: &str,
    #[case] agent: Agent,
    #[case] verdict: Verdict,
) {
    let list = format!(
        "[[known]]\nname = \"eperm\"\ncells = [\"self/*/none/*\"]\nreason = \"a bug\"\n\
         instead = \"perf_event_open(...) = {errno}\\n  cap perfmon = not held\""
    );
    let known = crate::known::read("known.toml".as_ref(), &list, None).unwrap();
    let mut plan = plan(&[agent]);
    plan.known = Arc::new(crate::known::KnownDifferences(known));
    let outcomes = run_plan(plan);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, verdict]);
}

#[test]
fn cells_are_skipped_if_the_pool_cannot_boot_in_their_mode() {
    let pool = Arc::new(FakePool::unable("cannot change the kernel's command line"));
    let outcomes = run_plan(LanePlan { pool, ..plan(&[]) });
    assert_eq!(outcomes.verdicts(), [Verdict::Skip; 2]);
    assert_eq!(outcomes.reason(0), "this machine cannot change the kernel's command line");
}

#[test]
fn a_case_whose_requirement_is_unmet_is_skipped_with_its_reason() {
    let needing = CASE.replace(
        "[[step]]",
        "requires = [\"new\"]\n[when.new]\nsince = \"6.2\"\nreason = \"new in 6.2\"\n[[step]]",
    );
    let mut plan = plan(&[]);
    plan.cells = Arc::new(cells_of(&needing));
    let outcomes = run_plan(plan);
    assert_eq!(outcomes.verdicts(), [Verdict::Skip, Verdict::Skip]);
    assert!(outcomes.reason(0).contains("new in 6.2"), "{}", outcomes.reason(0));
    assert_eq!(outcomes.end.boots, 0);
}

#[test]
fn an_agent_of_another_perfsec_ends_the_lane() {
    let protocol = message(Message::Hello { protocol: 999, release: String::new() });
    let outcomes = run(&[Agent::starting(vec![protocol])]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(0).contains("speaks protocol 999"), "{}", outcomes.reason(0));
    assert_eq!(outcomes.end.boots, 1);
}

#[rstest]
#[case::garbled(Agent::starting(vec![
    Act::Report(Incident::Silence(Some("a frame does not decode".to_owned()))),
    Act::Report(Incident::Ended(End::Killed)),
]), "a frame does not decode")]
#[case::stale(
    Agent { ready: None, ..Agent::starting(vec![
        hello(), message(Message::Ready { nonce: 7, facts: Box::new(facts()) })]) },
    "`ready` after its hello"
)]
#[case::unbidden(Agent::starting(vec![message(Message::Idle)]), "`idle` before its hello")]
#[case::ready_twice(
    Agent { ready: Some(vec![ready(), ready()]), ..Agent::healthy() },
    "`ready`"
)]
fn a_guest_that_speaks_nonsense_is_booted_once_more(#[case] agent: Agent, #[case] part: &str) {
    let outcomes = run(&[agent.clone(), Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass], "{:?}", outcomes.causes);
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (2, None));
    assert!(outcomes.causes[0].contains(part), "{:?}", outcomes.causes);

    let outcomes = run(&[agent.clone(), agent]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(1).contains(part), "{}", outcomes.reason(1));
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (2, None));
}

fn hello() -> Act {
    message(Message::Hello { protocol: PROTOCOL, release: "6.1.0".to_owned() })
}

fn ready() -> Act {
    message(Message::Ready { nonce: 0, facts: Box::new(facts()) })
}

/// In the first cell, which is the control of the second.
#[rstest]
#[case::another_cell(|cell: &Cell| vec![message(Message::Started(1 - cell.id))])]
#[case::finished_another(|cell: &Cell| {
    finish(&Cell { id: 1 - cell.id, ..cell.clone() }, healthy(cell))
})]
#[case::no_cell(|_: &Cell| vec![message(Message::Started(77))])]
#[case::again(|cell: &Cell| vec![message(Message::Started(cell.id))])]
#[case::hello(|_: &Cell| vec![hello()])]
#[case::ready(|_: &Cell| vec![ready()])]
#[case::done(|_: &Cell| vec![message(Message::Done)])]
#[case::gave_up(|_: &Cell| vec![message(Message::Refused(Refusal::NoPerf))])]
fn nonsense_costs_the_cell_that_ran_and_no_other(#[case] nonsense: fn(&Cell) -> Vec<Act>) {
    let outcomes = run(&[Agent::new(nonsense), Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(0).contains("while this cell ran"), "{}", outcomes.reason(0));
    assert!(outcomes.reason(1).contains("its control"), "{}", outcomes.reason(1));
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (2, None));
    // The kernel's own report says more.
    let reporting =
        Agent::new(move |cell| [vec![Act::Print(PANIC.into())], nonsense(cell)].concat());
    let outcomes = run(&[reporting, Agent::healthy()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("kernel panic"), "{}", outcomes.reason(0));
}

#[test]
fn a_machine_that_fails_before_it_has_a_cell_is_booted_once_more() {
    let killed = || Agent::starting(ended(crashed()));
    let outcomes = run(&[killed(), Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
    let sentence = "QEMU was killed by a signal (9, SIGKILL) while the kernel booted";
    assert_eq!(outcomes.causes, [sentence]);

    let outcomes = run(&[killed(), killed()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(0).ends_with(sentence), "{}", outcomes.reason(0));
    assert_eq!((outcomes.end.boots, outcomes.end.refused), (2, None));

    // In a row: a cell that finishes in between counts.
    let later = Agent::new(|cell| match holds(cell) {
        true => [finish(cell, healthy(cell)), ended(crashed())].concat(),
        false => finish(cell, healthy(cell)),
    });
    let outcomes = run(&[killed(), later, Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass], "{:?}", outcomes.causes);
}

#[test]
fn output_on_the_console_extends_neither_a_cell_nor_a_boot_for_ever() {
    let line = "[   28.025048] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [subject:97]\r\n";
    let line = || [Act::Print(line.into()), Act::Pause(Duration::from_millis(10))];
    let talk: Vec<_> = (0..3000).flat_map(|_| line()).collect();
    let talking = Agent::new({
        let talk = talk.clone();
        move |_| talk.clone()
    });
    let start = Instant::now();
    let outcomes = run_hasty(&[talking, Agent::healthy()]);
    assert_eq!(outcomes.cells[0].judgement.verdict, Verdict::Fail);
    assert!(outcomes.reason(0).contains("soft lockup of subject"), "{}", outcomes.reason(0));
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the console to end");

    let never_ready = Agent { ready: Some(talk), ..Agent::healthy() };
    let start = Instant::now();
    let outcomes = run_hasty(&[never_ready]);
    assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
    assert!(outcomes.reason(0).contains("did not come up: soft lockup"), "{}", outcomes.reason(0));
    assert!(start.elapsed() < Duration::from_secs(15), "it waited for the console to end");
}

#[test]
fn an_interrupt_keeps_finished_cells_and_misses_the_others() {
    let agent = Agent::new(|cell| match holds(cell) {
        true => finish(cell, healthy(cell)),
        false => vec![Act::Report(Incident::Interrupted)],
    });
    let interrupt = Interrupt::default();
    let outcomes = run_as(plan(&[agent]), manner(), &interrupt);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Miss]);

    interrupt.raise();
    let outcomes = run_as(plan(&[]), manner(), &interrupt);
    assert_eq!(outcomes.verdicts(), [Verdict::Miss, Verdict::Miss]);
}

#[test]
fn a_failure_after_a_restore_counts_only_if_a_boot_shows_it_too() {
    let restored = Agent::seeing(false, refused).restored("snapshot abc");
    let outcomes = run(&[restored.clone(), Agent::seeing(false, refused)]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Fail]);
    let outcomes = run(&[restored, Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Error]);
    assert!(outcomes.reason(1).contains("snapshot abc"), "{}", outcomes.reason(1));
    assert_eq!(outcomes.end.boots, 2);
}

#[test]
fn a_cell_that_depends_on_a_repeated_control_waits_for_it() {
    let restored = Agent::seeing(true, refused).restored("snapshot abc");
    let outcomes = run(&[restored, Agent::healthy()]);
    assert_eq!(outcomes.verdicts(), [Verdict::Error, Verdict::Error]);
    assert!(outcomes.reason(1).contains("its control"), "{}", outcomes.reason(1));
}

#[test]
fn a_guest_that_is_not_what_its_snapshot_promised_is_booted_instead() {
    let other = Facts { release: "6.2.0".to_owned(), ..facts() };
    let silent = Agent { ready: Some(Vec::new()), ..Agent::healthy() };
    for bad in [Agent::reporting(other), silent] {
        let outcomes = run_hasty(&[bad.restored("snapshot abc"), Agent::healthy()]);
        assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Pass]);
        assert_eq!((outcomes.end.boots, outcomes.end.refused), (2, None));
    }
}

#[test]
fn a_cold_run_restores_no_guest() {
    let restored = Agent::seeing(false, refused).restored("snapshot abc");
    let cold = Manner { cold: true, ..manner() };
    let outcomes = run_as(plan(&[restored]), cold, &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, Verdict::Fail]);
    assert_eq!(outcomes.end.boots, 1);
}

#[rstest]
#[case::the_same(0, Verdict::Fail)]
#[case::only_once(1, Verdict::Flaky)]
fn a_failure_that_is_repeated_is_flaky_if_it_goes_away(
    #[case] healthy_after: u32,
    #[case] verdict: Verdict,
) {
    let runs = Arc::new(Mutex::new(0));
    let agent = Agent::seeing(false, move |seen| {
        let mut runs = runs.lock().unwrap();
        *runs += 1;
        if healthy_after > 0 && *runs > healthy_after { seen } else { refused(seen) }
    });
    let retrying = Manner { retries: 1, ..manner() };
    let outcomes = run_as(plan(&[agent]), retrying, &Interrupt::default());
    assert_eq!(outcomes.verdicts(), [Verdict::Pass, verdict]);
    assert_eq!(outcomes.end.boots, 1);
}

/// The run of these events.
fn run_of(events: Vec<Event>) -> Run {
    let started = RunStarted::now(0, Selection::default());
    Run::of(std::iter::once(Event::Run(started)).chain(events)).unwrap()
}

#[rstest]
#[case::interrupted(
    Agent::new(|cell| if holds(cell) { finish(cell, healthy(cell)) } else { vec![Act::Report(Incident::Interrupted)] }),
    Keep::Results,
    &[1]
)]
#[case::finished(Agent::healthy(), Keep::Results, &[])]
#[case::failed_stays_failed(Agent::seeing(false, refused), Keep::Results, &[])]
#[case::failed_runs_again_with_its_control(Agent::seeing(false, refused), Keep::Passes, &[0, 1])]
#[case::passed(Agent::healthy(), Keep::Passes, &[])]
fn a_run_is_completed_with_the_results_of_an_earlier_one(
    #[case] agent: Agent,
    #[case] keep: Keep,
    #[case] again: &'static [u32],
) {
    let interrupt = Interrupt::default();
    let earlier = run_of(events(&[plan(&[agent])], manner(), 1, &interrupt));
    let ran = Arc::new(Mutex::new(Vec::new()));
    let agent = {
        let ran = Arc::clone(&ran);
        Agent::new(move |cell| {
            ran.lock().unwrap().push(cell.id);
            finish(cell, healthy(cell))
        })
    };
    let mut plan = plan(&[agent]);
    let lane = earlier.lanes.into_iter().next().unwrap();
    plan.earlier = earlier_lane(lane, keep, &plan).unwrap();
    let run = run_of(events(&[plan], manner(), 1, &interrupt));
    assert_eq!(*ran.lock().unwrap(), again);
    assert_eq!(run.cells().map(|cell| cell.number).collect::<Vec<_>>(), [0, 1]);
    // A boot of the earlier run keeps its number.
    let boots: Vec<_> = run.lanes[0].ready.iter().map(|ready| ready.boot).collect();
    assert_eq!(boots, if again.is_empty() { vec![0] } else { vec![0, 1] });
}

#[test]
fn a_run_of_other_cells_completes_nothing() {
    let earlier = run_of(events(&[plan(&[Agent::healthy()])], manner(), 1, &Interrupt::default()));
    let mut plan = plan(&[]);
    plan.cells = Arc::new(cells_of(&CASE.replace("= 2", "= 1")));
    let lane = earlier.lanes.into_iter().next().unwrap();
    assert!(earlier_lane(lane, Keep::Results, &plan).is_none());
}

#[test]
fn a_run_ends_at_its_limit_and_says_so() {
    let hung = Agent::new(|_| Vec::new());
    let mut manner = manner();
    manner.limits.silence = Duration::from_secs(600);
    manner.limits.run = Some(Duration::from_millis(20));
    let (sink, seen) = mpsc::channel();
    let (digest, failure) = execute(
        &[plan(&[hung])],
        Selection::default(),
        manner,
        2,
        &Interrupt::default(),
        move |event| {
            sink.send(event.clone()).unwrap();
            Ok(())
        },
    );
    assert!(failure.is_none());
    assert_eq!(digest.counts().get(Verdict::Miss), 2);
    let run = Run::of(seen).unwrap();
    let reason = run.cells().next().and_then(|cell| cell.judgement.reason.clone()).unwrap();
    assert!(reason.contains("longer than its limit"), "{reason}");
    assert!(run.end.unwrap().interrupted);
}

/// A case of 160 cells: of two grants at four levels in both modes, in ten domains.
fn many() -> Vec<crate::plan::PlannedCell> {
    let case = CASE
        .replace("perf_event_paranoid = 2", "perf_event_paranoid = [2, 1, 0, -1]")
        .replace("mode = \"permissive\"", "mode = [\"permissive\", \"enforcing\"]");
    crate::plan::repeat(cells_of(&case), 10)
}

/// The record of a run of `many` on this many guests, some of which die.
fn record_of(guests: usize) -> BTreeMap<usize, String> {
    // A pseudorandom sixteenth of the cells fails; a few kill their guests.
    let agent = Agent::new(|cell| match cell.id.wrapping_mul(2_654_435_761) >> 28 {
        0 => finish(cell, refused(healthy(cell))),
        1 if cell.id % 5 == 0 => died(PANIC, End::Rebooted),
        _ => finish(cell, healthy(cell)),
    });
    let pool = Arc::new(FakePool::new(move |_| Some(agent.guest())));
    let plan = LanePlan { cells: Arc::new(many()), pool, ..plan(&[]) };
    let mut record = BTreeMap::new();
    for event in events(&[plan], manner(), guests, &Interrupt::default()) {
        if let Event::Cell(mut cell) = event {
            // The temporary directory of the case, and the boot.
            (cell.path, cell.boot) = Default::default();
            let text = serde_json::to_string(&cell).unwrap();
            assert_eq!(record.insert(cell.number, text), None, "cell {} ran twice", cell.number);
        }
    }
    record
}

#[test]
fn the_record_does_not_depend_on_the_number_of_guests() {
    let one = record_of(1);
    assert_eq!(one.len(), 160);
    assert!(one.values().any(|text| text.contains("kernel panic")));
    for guests in [2, 7, 16] {
        let differs = |(one, other): &(_, _)| one != other;
        let several = record_of(guests);
        assert_eq!(one.iter().zip(&several).find(differs), None, "{guests} guests");
    }
}
