//! Measures perfsec's own work per cell: it plays a run record back, from guests that answer at
//! once, through the engine, the judge, the progress and a new record.
//!
//! `cargo xtask bench --host RUN` starts this.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use perfsec::cache::Cache;
use perfsec::case::Library;
use perfsec::engine::{Engine, Listener, Setup, Suite};
use perfsec::interrupt::Interrupt;
use perfsec::machines::fake::{FakeGuest, FakePool};
use perfsec::machines::{MachineSetup, Pool};
use perfsec::plan::{Filter, PlannedCell};
use perfsec::record::{self, Event};
use perfsec::report::Progress;
use perfsec_wire::observation::SetupFailure;
use perfsec_wire::{BootMode, Cell, CellOutcome, Observation};

/// How often the suite runs.
const ROUNDS: usize = 10;

/// Shows what `perfsec run` shows in a log.
struct Log(RefCell<Progress>);

impl Listener for Log {
    fn say(&self, _text: &str) {}

    fn note(&self, _text: &str) {}

    fn event(&self, event: &Event) {
        self.0.borrow_mut().event(event);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds `--bench`.
    let path = std::env::args_os().skip(1).find(|argument| argument != "--bench");
    let path = PathBuf::from(path.ok_or("give the path of a run record")?);
    let run = record::read(&path)?.run;
    let lane = run.lanes.iter().find(|lane| lane.started.boot == BootMode::Selinux);
    let lane = lane.ok_or("the record has no lane with a policy")?;
    let facts = lane.ready.first().ok_or("no guest of the lane was ready")?.facts.clone();
    let seen = lane.cells.iter().map(|cell| (cell.name.clone(), cell.observation.clone()));
    let seen: Arc<HashMap<_, _>> = Arc::new(seen.collect());
    let names: Arc<OnceLock<Vec<String>>> = Arc::default();
    let pool: Arc<dyn Pool> = Arc::new(FakePool::new({
        let names = Arc::clone(&names);
        move |_| {
            let (names, seen) = (Arc::clone(&names), Arc::clone(&seen));
            Some(FakeGuest::obedient((*facts).clone(), move |cell| replay(&names, &seen, cell)))
        }
    }));
    let suite = Suite { library: Library::built_in()?, directory: None, known: Arc::default() };
    let cells = suite.select(&Filter::default())?;

    let directory = tempfile::tempdir()?;
    let listener = Log(Progress::new().into());
    for guests in [1, 2, 16] {
        let setup = Setup {
            jobs: guests,
            machine: MachineSetup::Pool(Arc::clone(&pool)),
            ..Setup::by_default()?
        };
        let cache = Cache::at(directory.path())?;
        let engine = Engine::open(setup, cache, Interrupt::default(), &listener)?;
        let kernel = lane.started.kernel.clone();
        let mut plans = engine.plan(&[kernel], engine.policies(), &cells, &suite)?;
        plans.retain(|plan| plan.boot == BootMode::Selinux);
        let cells = Arc::clone(&plans[0].cells);
        names.get_or_init(|| cells.iter().map(PlannedCell::name).collect());
        let (began, busy) = (Instant::now(), processor_time()?);
        // Not as one run: then the contexts would differ from those in the recorded AVC records.
        for _ in 0..ROUNDS {
            let asked = suite.asked(Filter::default());
            engine.execute(&plans, asked, &mut |_| Ok(()))?.ended()?;
        }
        let (took, busy) = (began.elapsed(), processor_time()? - busy);
        let many = (ROUNDS * cells.len()) as f64;
        println!(
            "{guests:>2} guests: {many} cells, {:.0} per second, {:.3} ms of processor time each \
             (aim: < 0.2)",
            many / took.as_secs_f64(),
            busy.as_secs_f64() * 1000.0 / many,
        );
    }
    Ok(())
}

/// The outcome of a cell in the record; a failure if the record lacks the cell.
fn replay(
    names: &OnceLock<Vec<String>>,
    seen: &HashMap<String, Option<Observation>>,
    cell: &Cell,
) -> CellOutcome {
    let name = names.get().and_then(|names| names.get(cell.id as usize));
    let seen = name.and_then(|name| seen.get(name)).cloned().flatten();
    match seen {
        Some(seen) => CellOutcome::Observed(seen),
        None => {
            let doing = "find the cell in the record".to_owned();
            CellOutcome::Failed(SetupFailure { doing, errno: 0, detail: String::new() })
        }
    }
}

/// Processor time of this process so far.
fn processor_time() -> Result<Duration, nix::Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let duration = |time: TimeVal| {
        Duration::from_secs(time.tv_sec() as u64) + Duration::from_micros(time.tv_usec() as u64)
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}
