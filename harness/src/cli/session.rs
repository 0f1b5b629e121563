//! What every command that runs cells does around them: signals, the cache, progress, the record.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::args::{BootArgs, CaseArgs, MachineArgs};
use super::lanes::{self, Machine, Ready};
use super::output::Output;
use super::signals::Signals;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::case::Library;
use crate::engine::{Execution, LanePlan, Limits, execute};
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::known::KnownDifferences;
use crate::plan::{Filter, PlannedCell};
use crate::printable::printable_line;
use crate::record::{Run, Selection, Writer};
use crate::report::Progress;

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
        let signals = Signals::watch()?;
        let cache = Cache::open()?;
        let progress = Progress::new();
        let prepared =
            lanes::prepare(machine, &cache, &signals.interrupt, &|text| progress.say(text));
        let ready = signals.stopped(prepared)?;
        Ok(Self::with(&machine.boot, ready, cache, signals, progress))
    }

    /// The same for kernels that are still to be built: [`run_on`](Self::run_on) takes them.
    pub(super) fn open_without_kernels(boot: &BootArgs) -> Result<Self, Failure> {
        let signals = Signals::watch()?;
        let cache = Cache::open()?;
        let ready = Ready { kernels: Vec::new(), machine: Machine::prepare(boot, &cache)? };
        Ok(Self::with(boot, ready, cache, signals, Progress::new()))
    }

    fn with(
        boot: &BootArgs,
        ready: Ready,
        cache: Cache,
        signals: Signals,
        progress: Progress,
    ) -> Self {
        let record = new_record(&cache);
        let jobs = boot.jobs.unwrap_or_else(default_jobs).max(1);
        Self { ready, cache, record, signals, progress, limits: boot.limits(), jobs }
    }

    /// Ends what takes long.
    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.signals.interrupt
    }

    /// Tells the user what takes time.
    pub(super) fn say(&self, text: &str) {
        self.progress.say(text);
    }

    /// Tells the user what should stay to be read.
    pub(super) fn note(&self, text: &str) {
        self.progress.note(text);
    }

    /// Runs cells on one kernel more, with a record of its own, which is [`record`](Self::record) then.
    pub(super) fn run_on(
        &mut self,
        kernel: &Kernel,
        cells: &[PlannedCell],
        known: &Arc<KnownDifferences>,
        asked: Selection,
    ) -> Result<Run, Failure> {
        let Self { ready: Ready { machine, .. }, cache, progress, .. } = self;
        let kernel = machine.of_host(kernel.clone());
        machine.accelerate(&kernel, cache, &|text| progress.say(text))?;
        let plans = machine.lanes(&[kernel], cells, known, cache)?;
        self.record = new_record(&self.cache);
        self.execute(&plans, asked, &mut [])?.whole()
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
        let Ready { kernels, machine } = &self.ready;
        machine.lanes(kernels, cells, &Arc::new(known), &self.cache)
    }

    /// Runs lanes; the run goes into the record and into `outputs`.
    pub(super) fn execute(
        &mut self,
        plans: &[LanePlan],
        asked: Selection,
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

    /// The result of what a signal may have stopped.
    pub(super) fn stopped<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.signals.stopped(result)
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
pub(super) fn asked(cases: &CaseArgs, filter: Filter, library: &Library) -> Selection {
    Selection { cases_sha256: library.sha256(), cases_directory: cases.cases.clone(), filter }
}

/// The cells of a run, which needs one. A name that selects none beside others that do is told.
pub(super) fn select(filter: &Filter, library: &Library) -> Result<Vec<PlannedCell>, Failure> {
    let cells = filter.select(library).map_err(Failure::input)?;
    demand(&cells)?;
    warn_of_unmet(filter, &cells)?;
    Ok(cells)
}

/// Tells of names that select no cell.
pub(super) fn warn_of_unmet(filter: &Filter, cells: &[PlannedCell]) -> Result<(), Failure> {
    for name in filter.unmet(cells).map_err(Failure::input)? {
        anstream::eprintln!("warning: no cell is selected by `{}`", printable_line(name));
    }
    Ok(())
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

/// Where the record of another run is kept.
fn new_record(cache: &Cache) -> PathBuf {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    cache.path("runs", &format!("{stamp}-{}.jsonl", std::process::id()))
}

/// A guest has one CPU, and neither QEMU's own threads nor perfsec need much beside it.
fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}
