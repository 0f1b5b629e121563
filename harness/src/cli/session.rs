//! What every command that runs cells does around them: signals, the cache, progress, the record.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::args::{CaseArgs, MachineArgs};
use super::lanes::{self, Ready};
use super::output::Output;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::case::Library;
use crate::interrupt::Interrupt;
use crate::known::KnownDifferences;
use crate::plan::{Filter, PlannedCell};
use crate::record::{Asked, Run, Writer};
use crate::report::Progress;
use crate::run::{Execution, LanePlan, Limits, execute};

/// A command that runs cells.
pub(super) struct Session {
    /// Everything that a machine needs.
    pub(super) ready: Ready,
    pub(super) cache: Cache,
    /// Where the record of the run is kept.
    pub(super) record: PathBuf,
    signals: Signals,
    progress: Progress,
    limits: Limits,
    jobs: usize,
}

impl Session {
    /// Obtains what the options name.
    pub(super) fn open(machine: &MachineArgs) -> Result<Self, Failure> {
        let signals = Signals::watch().map_err(Failure::host)?;
        let cache = Cache::open()?;
        let progress = Progress::new();
        let ready = lanes::prepare(machine, &cache, &|text| progress.say(text))?;
        let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let record = cache.path("runs", &format!("{stamp}-{}.jsonl", std::process::id()));
        let jobs = machine.jobs.unwrap_or_else(default_jobs).max(1);
        Ok(Self { ready, cache, record, signals, progress, limits: machine.limits(), jobs })
    }

    /// Leaves verdicts out of what is shown as the run goes on.
    pub(super) fn ignore_verdicts(&mut self) {
        self.progress.ignore_verdicts();
    }

    /// The lanes of these cells, on kernels of which that is known.
    pub(super) fn lanes(
        &self,
        cells: &[PlannedCell],
        known: KnownDifferences,
    ) -> Result<Vec<LanePlan>, Failure> {
        self.ready.lanes(cells, &Arc::new(known), &self.cache)
    }

    /// Runs lanes; the run goes into the record and into `outputs`.
    pub(super) fn execute(
        &mut self,
        plans: &[LanePlan],
        asked: Asked,
        outputs: &mut [Output],
    ) -> Result<Execution<Failure>, Failure> {
        let mut record = Writer::create(&self.record)?;
        let progress = &mut self.progress;
        Ok(execute(plans, asked, self.limits, self.jobs, &self.signals.interrupt, |event| {
            progress.event(event);
            record.write(event)?;
            outputs.iter_mut().try_for_each(|output| output.event(event))
        }))
    }

    /// How the command ends after a run.
    pub(super) fn exit(&self, run: &Run) -> Exit {
        self.interrupted().unwrap_or_else(|| Exit::of_run(run))
    }

    /// How the command ends, if a signal came.
    pub(super) fn interrupted(&self) -> Option<Exit> {
        self.signals.exit()
    }
}

/// The cases that a command is about.
pub(super) fn library(args: &CaseArgs) -> Result<Library, Failure> {
    Ok(match &args.cases {
        Some(directory) => Library::directory(directory)?,
        None => Library::built_in()?,
    })
}

/// What chose the cells of a run, for its record.
pub(super) fn asked(cases: &CaseArgs, filter: Filter, library: &Library) -> Asked {
    Asked { cases_sha256: library.sha256(), cases_directory: cases.cases.clone(), filter }
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

/// A guest has one CPU, and neither QEMU's own threads nor perfsec need much beside it.
fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// SIGINT and SIGTERM stop a run in order: machines are ended and the record is finished.
struct Signals {
    interrupt: Interrupt,
    seen: std::sync::Arc<std::sync::atomic::AtomicI32>,
}

impl Signals {
    fn watch() -> std::io::Result<Self> {
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
    fn exit(&self) -> Option<Exit> {
        let number = self.seen.load(std::sync::atomic::Ordering::SeqCst);
        u8::try_from(number).ok().filter(|number| *number != 0).map(Exit::Signal)
    }
}
