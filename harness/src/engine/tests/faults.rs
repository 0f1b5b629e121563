//! Machines that go wrong. Whatever they do, the run ends, every cell has one result, and no result
//! says more than was seen.
//!
//! `PERFSEC_FAULT_SEEDS=N` runs N seeds; a failure names its own.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use super::*;
use crate::machines::CONSOLE_KEPT;
use crate::machines::faulty::{Fault, FaultKind, FaultyBoot, FaultyPool, LOCKUP};

/// Seeds of a usual run.
const SEEDS: u64 = 300;
/// Threads that run seeds: they wait most of the time.
const THREADS: usize = 8;
/// A run of one seed takes less than this on the slowest host.
const END: Duration = Duration::from_secs(120);
/// The limits of random runs: too short for a healthy guest on a loaded host, which is one more
/// fault.
const SHORT: Duration = Duration::from_millis(40);
/// Messages of a guest that runs all cells.
const MESSAGES: usize = 6 + 2 * 8;

/// Eight cells.
static CELLS: LazyLock<Arc<Vec<PlannedCell>>> = LazyLock::new(|| {
    let levels = "perf_event_paranoid = [2, 1, 0, -1]";
    Arc::new(cells_of(&CASE.replace("perf_event_paranoid = 2", levels)))
});

/// The cells that fake agents performed, by a number that their observations carry.
#[derive(Clone, Default)]
struct Performed {
    next: Arc<AtomicU32>,
    cells: Arc<Mutex<HashMap<u32, u32>>>,
}

impl Performed {
    fn perform(&self, cell: &Cell) -> CellOutcome {
        let micros = self.next.fetch_add(1, Ordering::SeqCst);
        self.cells.lock().unwrap().insert(micros, cell.id);
        CellOutcome::Observed(Observation { micros, ..healthy(cell) })
    }
}

/// The record of a run, and the number of its boots.
struct FaultyRun {
    events: Vec<Event>,
    performed: Performed,
    cells: BTreeMap<usize, CellResult>,
    end: LaneEnded,
}

/// Runs the cells on machines that go wrong as planned.
fn run_faulty(
    guests: usize,
    manner: Manner,
    plan_boot: impl Fn(usize) -> FaultyBoot + Send + Sync + 'static,
) -> FaultyRun {
    let performed = Performed::default();
    let perform = {
        let performed = performed.clone();
        move |cell: &Cell| performed.perform(cell)
    };
    let pool = Arc::new(FaultyPool::new(facts(), perform, plan_boot));
    let plan = LanePlan { cells: Arc::clone(&CELLS), pool: pool.clone(), ..plan(&[]) };
    let events = events(&[plan], manner, guests, &Interrupt::default());
    assert_eq!(pool.running(), 0, "machines are left behind");
    let mut cells = BTreeMap::new();
    let mut ends = Vec::new();
    for event in &events {
        match event {
            Event::Cell(cell) => {
                let earlier = cells.insert(cell.number, (**cell).clone());
                assert!(earlier.is_none(), "{} has two results", cell.name);
            }
            Event::LaneEnd(end) => ends.push(end.clone()),
            _ => {}
        }
    }
    assert!(cells.keys().copied().eq(0..CELLS.len()), "{:?}", cells.keys());
    let [end] = ends.try_into().unwrap();
    FaultyRun { events, performed, cells, end }
}

impl FaultyRun {
    fn verdicts(&self) -> Vec<Verdict> {
        self.cells.values().map(|cell| cell.judgement.verdict).collect()
    }

    /// Every sentence about a fault.
    fn sentences(&self) -> Vec<String> {
        let reasons = self.cells.values().filter_map(|cell| cell.judgement.reason.clone());
        let deaths = self.events.iter().filter_map(|event| match event {
            Event::Death(death) => Some(death.to_string()),
            _ => None,
        });
        let refused = self.end.refused.iter().map(|refused| refused.reason.clone());
        reasons.chain(deaths).chain(refused).collect()
    }

    /// Asserts what must hold whatever goes wrong.
    fn check(&self) {
        let performed = self.performed.cells.lock().unwrap();
        for cell in self.cells.values() {
            let reason = cell.judgement.reason.as_deref().unwrap_or("");
            match cell.judgement.verdict {
                Verdict::Pass => {
                    let seen = cell.observation.as_ref().expect("a cell that passed was observed");
                    assert_eq!(performed.get(&seen.micros).copied(), Some(cell.number as u32));
                }
                Verdict::Fail => assert!(
                    reason.contains("soft lockup") || reason.contains("rebooted without a message"),
                    "{} is held against the kernel: {reason}",
                    cell.name
                ),
                Verdict::Error | Verdict::Miss => assert!(!reason.is_empty(), "{}", cell.name),
                other => panic!("{} has {other}", cell.name),
            }
        }
        if let Some(refused) = &self.end.refused {
            assert!(refused.reason.contains("did not come up"), "{}", refused.reason);
            assert!(!refused.reason.contains("QEMU"), "{}", refused.reason);
        }
        self.sentences().iter().for_each(|sentence| check_words(sentence));
        self.check_size();
    }

    /// Asserts that guests wrote no more than they may.
    fn check_size(&self) {
        let (mut ready, mut died) = (HashSet::new(), HashSet::new());
        for event in &self.events {
            match event {
                Event::Ready(it) => assert!(ready.insert(it.boot), "ready twice: {}", it.boot),
                Event::Death(it) => {
                    assert!(died.insert(it.boot), "died twice: {}", it.boot);
                    // A byte that is not UTF-8 takes three.
                    assert!(it.console.len() <= 3 * CONSOLE_KEPT);
                }
                Event::Coverage(_) => panic!("coverage was not asked for"),
                _ => {}
            }
        }
        // A boot that finishes nothing must not be followed by many like it.
        assert!(self.end.boots <= 3 * CELLS.len(), "{} boots", self.end.boots);
    }
}

/// A message must not end as if something followed, nor say anything twice.
fn check_words(sentence: &str) {
    let trimmed = sentence.trim_end();
    assert!(!trimmed.ends_with([':', ',', ';']), "it ends too early: {sentence:?}");
    let mut clauses = HashSet::new();
    for clause in trimmed.split([':', ';', '(', ')']).map(str::trim) {
        // A number, a name or a signal may come again.
        if clause.contains(' ') {
            assert!(clauses.insert(clause), "it says {clause:?} twice: {sentence:?}");
        }
    }
}

/// Names the seed of a test that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the seed is {}", self.0);
        }
    }
}

fn check_seed(seed: u64) {
    let _named = Seed(seed);
    let boot = move |boot: usize| {
        let mut rng = fastrand::Rng::with_seed(seed << 16 | boot as u64);
        FaultyBoot::random(&mut rng, MESSAGES)
    };
    let guests = 1 + (seed % 3) as usize / 2;
    run_faulty(guests, limited(SHORT), boot).check();
}

#[test]
fn no_fault_of_a_machine_makes_a_result_that_was_not_seen() {
    let seeds = std::env::var("PERFSEC_FAULT_SEEDS")
        .ok()
        .map_or(SEEDS, |many| many.parse().expect("PERFSEC_FAULT_SEEDS is a number"));
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds {
                        break;
                    }
                    let (done, ended) = mpsc::channel();
                    let run = thread::spawn(move || {
                        check_seed(seed);
                        let _ = done.send(());
                    });
                    match ended.recv_timeout(END) {
                        Err(mpsc::RecvTimeoutError::Timeout) => panic!("seed {seed} does not end"),
                        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                            run.join().unwrap_or_else(|_| panic!("seed {seed} failed"));
                        }
                    }
                }
            });
        }
    });
}

fn fault(at: usize, kind: FaultKind) -> FaultyBoot {
    FaultyBoot { faults: vec![Fault { at, kind }], ..FaultyBoot::default() }
}

#[rstest]
#[case::port(FaultyBoot::default())]
#[case::window(FaultyBoot { window: true, ..FaultyBoot::default() })]
#[case::restored(FaultyBoot { restored: true, window: true, ..FaultyBoot::default() })]
#[case::slow(fault(0, FaultKind::Slow))]
#[case::noisy(fault(6, FaultKind::Print("[ 2.0] noise\r\n".repeat(100_000))))]
fn machines_that_go_well_pass_in_one_boot(#[case] boot: FaultyBoot) {
    let run = run_faulty(1, manner(), move |_| boot.clone());
    run.check();
    assert_eq!(run.verdicts(), [Verdict::Pass; 8]);
    assert_eq!(run.end.boots, 1);
}

#[rstest]
fn a_guest_that_repeats_a_message_is_ended_and_fills_no_record(
    #[values(0, 1, 2, 3, 4, 5, 6, 19, 20, 21)] at: usize,
    #[values(false, true)] window: bool,
) {
    let run = run_faulty(1, manner(), move |boot| match boot {
        0 => FaultyBoot { window, ..fault(at, FaultKind::Repeat(20_000)) },
        _ => FaultyBoot::default(),
    });
    run.check();
    let length: usize =
        run.events.iter().map(|event| serde_json::to_string(event).unwrap().len()).sum();
    assert!(length < 200_000, "{length} bytes");
    // The last ones are about the last cell and the end, after which no other boot is needed.
    assert_eq!(run.end.boots, if at < 10 { 2 } else { 1 });
    assert!(!run.verdicts().contains(&Verdict::Miss), "{:?}", run.sentences());
}

#[rstest]
#[case::a_report_in_a_cell(5, FaultKind::Talk(LOCKUP.to_owned()), "soft lockup of subject")]
#[case::a_report_in_a_boot(2, FaultKind::Talk(LOCKUP.to_owned()), "soft lockup of subject")]
#[case::another_line_in_a_cell(5, FaultKind::Talk("noise\r\n".to_owned()), "no message came")]
#[case::another_line_in_a_boot(2, FaultKind::Talk("noise\r\n".to_owned()), "the silence limit")]
#[case::another_line_before_the_hello(
    0,
    FaultKind::Talk("noise\r\n".to_owned()),
    "times the boot limit"
)]
fn a_guest_that_hangs_while_its_kernel_talks_is_ended(
    #[case] at: usize,
    #[case] kind: FaultKind,
    #[case] part: &str,
) {
    let run = run_faulty(1, hasty(), move |boot| match boot {
        0 => fault(at, kind.clone()),
        _ => FaultyBoot::default(),
    });
    run.check();
    assert!(run.sentences().iter().any(|it| it.contains(part)), "{:?}", run.sentences());
}

/// The record is text. docs/trust.md promises the factor.
#[rstest]
#[case::calls(|seen: &mut Observation| {
    seen.calls = vec![Call { step: 0, result: 0, text: None, raw: None, effects: Vec::new(), program: None }; 20_000];
})]
#[case::checks(|seen: &mut Observation| {
    let check = CapCheck { cap: 0, opts: 0, commoncap: 0, verdict: 0 };
    seen.calls[0].effects = vec![Effect::Cap(check); 20_000];
})]
#[case::messages(|seen: &mut Observation| {
    let message = KernelMessage { level: 0, text: String::new() };
    seen.outside = vec![Effect::Message(message); 20_000];
})]
#[case::text(|seen: &mut Observation| {
    let message = KernelMessage { level: 0, text: "\u{1}".repeat(60_000) };
    seen.outside = vec![Effect::Message(message)];
})]
fn an_observation_takes_at_most_forty_times_its_length_in_the_record(
    #[case] change: fn(&mut Observation),
) {
    let agent = Agent::seeing(true, move |mut seen| {
        change(&mut seen);
        seen
    });
    let outcomes = run_as(plan(&[agent]), manner(), &Interrupt::default());
    let cell = &outcomes.cells[0];
    let length = perfsec_wire::frame::encode(&cell.observation).unwrap().len();
    let written = serde_json::to_string(cell).unwrap().len();
    assert!(length > 50_000 && written < 40 * length, "{length} bytes become {written}");
}

#[test]
fn a_machine_that_always_fails_is_no_fault_of_the_kernel() {
    let killed = End::Crashed {
        detail: "QEMU was killed by a signal (9, SIGKILL)".to_owned(),
        said: "qemu-system-x86_64: cannot allocate memory".to_owned(),
    };
    for at in 0..4 {
        for kind in [FaultKind::End(killed.clone()), FaultKind::Cut(killed.clone())] {
            let run = run_faulty(1, manner(), {
                let kind = kind.clone();
                move |_| fault(at, kind.clone())
            });
            run.check();
            assert_eq!(run.verdicts(), [Verdict::Error; 8], "{at} {kind:?}");
            assert_eq!((run.end.boots, run.end.refused), (2, None));
        }
    }
}
