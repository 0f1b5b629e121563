//! `perfsec run`

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Instant;

use super::args::{CaseArgs, RunArgs};
use super::{Exit, Failure, lanes};
use crate::cache::Cache;
use crate::case::Library;
use crate::judge::Verdict;
use crate::plan::{self, PlannedCell};
use crate::record::{Event, RecordError, RunEnded, RunStarted, Writer};
use crate::report::{Progress, Text};
use crate::run::{Interrupt, LanePlan, Limits, run_lane};
use crate::target::TargetError;

pub(super) fn library(args: &CaseArgs) -> Result<Library, Failure> {
    Ok(match &args.cases {
        Some(directory) => Library::directory(directory)?,
        None => Library::built_in()?,
    })
}

pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let library = library(&args.cases)?;
    let mut cells = args.filter.filter().select(&library).map_err(Failure::input)?;
    if args.list {
        let mut names: Vec<_> = cells.iter().map(PlannedCell::name).collect();
        names.sort();
        super::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
        return Ok(if names.is_empty() { Exit::NothingRan } else { Exit::Success });
    }
    demand(&cells)?;

    if let Some(seed) = args.shuffle {
        cells = plan::shuffled(&cells, seed);
    }
    cells = plan::repeated(cells, args.repeat.into());

    let signals = Signals::watch().map_err(Failure::host)?;
    let cache = Cache::open()?;
    let mut progress = Progress::new();
    let ready = lanes::prepare(&args.machine, &cache, &|text| progress.say(text))?;
    let path = record_path(&cache);
    let mut writers = writers(&path, args.out.as_deref())?;

    let mut text = Text::default();
    let jobs = args.jobs.unwrap_or_else(default_jobs).max(1);
    let plans = ready.lanes(&cells, &cache)?;
    let outcome = execute(&plans, args.machine.limits(), jobs, &signals.interrupt, |event| {
        progress.event(event);
        text.event(event);
        writers.iter_mut().try_for_each(|writer| writer.write(event))
    });
    let shown = args.out.as_ref().unwrap_or(&path);
    let printed = super::print(&format!("{}run record: {}\n", text.summary(), shown.display()));
    let exit = outcome?;
    printed?;
    Ok(signals.exit().unwrap_or(exit))
}

/// Runs lanes, `jobs` at a time, and passes every event to `subscribe`, one at a time and in order.
///
/// # Errors
///
/// When a subscriber or a target fails; the other lanes are stopped first.
pub(super) fn execute<E: Into<Failure>>(
    plans: &[LanePlan],
    limits: Limits,
    jobs: usize,
    interrupt: &Interrupt,
    mut subscribe: impl FnMut(&Event) -> Result<(), E>,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut failure: Option<Failure> = None;
    let mut concluded: Vec<Event> = Vec::new();
    let mut tell = |event: Event, interrupt: &Interrupt| {
        if let (Err(error), None) = (subscribe(&event), &failure) {
            failure = Some(error.into());
            interrupt.raise();
        }
        if matches!(event, Event::Cell(_) | Event::LaneEnd(_)) {
            concluded.push(event);
        }
    };
    tell(Event::Run(RunStarted::now(plans.iter().map(|plan| plan.cells.len()).sum())), interrupt);
    let queue = Mutex::new(plans.iter());
    let queue = &queue;
    let errors = thread::scope(|scope| {
        let (sink, events) = mpsc::channel();
        let workers: Vec<_> = (0..jobs.min(plans.len()))
            .map(|_| {
                let sink = sink.clone();
                scope.spawn(move || work(queue, limits, interrupt, &sink))
            })
            .collect();
        drop(sink);
        events.into_iter().for_each(|event| tell(event, interrupt));
        let ends = workers.into_iter().map(|worker| worker.join());
        ends.filter_map(|end| match end {
            Ok(result) => result.err(),
            Err(panic) => std::panic::resume_unwind(panic),
        })
        .collect::<Vec<_>>()
    });
    let exit = Exit::of_run(&concluded);
    let has = |event: &Event, verdict| matches!(event, Event::Cell(cell) if cell.judgement.verdict == verdict);
    let count = |verdict| (verdict, concluded.iter().filter(|event| has(event, verdict)).count());
    let end = RunEnded {
        counts: Verdict::ALL.into_iter().map(count).filter(|(_, count)| *count > 0).collect(),
        interrupted: interrupt.is_raised(),
        millis: started.elapsed().as_millis() as u64,
    };
    if let (Err(error), None) = (subscribe(&Event::End(end)), &failure) {
        failure = Some(error.into());
    }
    match (failure, errors.into_iter().next()) {
        (Some(failure), _) => Err(failure),
        (None, Some(error)) => Err(error.into()),
        (None, None) => Ok(exit),
    }
}

fn work<'a>(
    queue: &Mutex<impl Iterator<Item = &'a LanePlan>>,
    limits: Limits,
    interrupt: &Interrupt,
    sink: &Sender<Event>,
) -> Result<(), TargetError> {
    // The receiver outlives every worker.
    let emit = |event| drop(sink.send(event));
    let mut result = Ok(());
    loop {
        let next = queue.lock().ok().and_then(|mut plans| plans.next());
        let Some(plan) = next else { return result };
        if let Err(error) = run_lane(plan, limits, interrupt, &emit) {
            result = Err(error);
        }
    }
}

/// A guest has one CPU, and neither QEMU's own threads nor perfsec need much beside it.
pub(super) fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// A run needs a cell.
pub(super) fn demand(cells: &[PlannedCell]) -> Result<(), Failure> {
    if cells.is_empty() {
        return Err(Failure {
            exit: Exit::NothingRan,
            error: "the filters select no cell: `perfsec run --list` lists them all".into(),
        });
    }
    Ok(())
}

/// What writes the record of a run: where it is kept, and where the user wants it too.
pub(super) fn writers(path: &Path, out: Option<&Path>) -> Result<Vec<Writer>, RecordError> {
    std::iter::once(path).chain(out).map(Writer::create).collect()
}

/// Where the record of a run that begins now is kept.
pub(super) fn record_path(cache: &Cache) -> PathBuf {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    cache.path("runs", &format!("{stamp}-{}.jsonl", std::process::id()))
}

/// SIGINT and SIGTERM stop a run in order: machines are ended and the record is finished.
pub(super) struct Signals {
    pub(super) interrupt: Interrupt,
    seen: std::sync::Arc<std::sync::atomic::AtomicI32>,
}

impl Signals {
    pub(super) fn watch() -> std::io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let interrupt = Interrupt::default();
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicI32::new(0));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
        let (raised, number) = (interrupt.clone(), seen.clone());
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                // The second time the user means it: QEMU dies with us.
                if number.swap(signal, std::sync::atomic::Ordering::SeqCst) != 0 {
                    std::process::exit(128 + signal);
                }
                raised.raise();
            }
        })?;
        Ok(Self { interrupt, seen })
    }

    /// The exit code that the signal asks for, if one came.
    pub(super) fn exit(&self) -> Option<Exit> {
        let number = self.seen.load(std::sync::atomic::Ordering::SeqCst);
        u8::try_from(number).ok().filter(|number| *number != 0).map(Exit::Signal)
    }
}
