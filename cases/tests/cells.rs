//! Every cell of the built-in suite as a test; all cells of a lane share one boot.
//!
//! `PERFSEC_KERNELS` names the kernels, as for `perfsec run --kernel` and separated by spaces; the
//! default is the newest stock kernel of the host's suite. Under `cargo test`, a lane boots when
//! its first test runs, with the cells that the filters select. Under nextest, which starts a
//! process for each test, the first process runs the whole lane and leaves its record in the cache
//! directory, where the others find it.
//!
//! Known limitation: libtest-mimic decides before a test runs whether it is ignored, so a `SKIP`,
//! which depends on the kernel, is shown as a test that passed, with its reason on standard error.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use perfsec::cache::{Cache, Room};
use perfsec::case::Library;
use perfsec::causes::with_causes;
use perfsec::engine::{Engine, KeptRuns, KernelSpec, PlainListener, Setup, Suite};
use perfsec::interrupt::Interrupt;
use perfsec::judge::Verdict;
use perfsec::kernel::Kernel;
use perfsec::known::KnownDifferences;
use perfsec::plan::{Filter, PlannedCell};
use perfsec::record::{CellResult, Event, Run};
use perfsec::report::{attempts, difference};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The kernels to test.
const KERNELS: &str = "PERFSEC_KERNELS";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// One trial for each cell on each kernel. Nothing is fetched or booted.
fn trials(arguments: &Arguments) -> Result<Vec<Trial>> {
    let library = Library::built_in()?;
    let mut names: Vec<_> =
        Filter::default().select(&library)?.iter().map(PlannedCell::name).collect();
    names.sort();
    let mut trials = Vec::new();
    for spec in kernels()? {
        let kind = spec.to_string();
        let trial = |name: &str| Trial::test(name, || Ok(())).with_kind(&kind);
        let selected = names.iter().filter(|name| !arguments.is_filtered_out(&trial(name)));
        let lane = Arc::new(Lane {
            spec: spec.clone(),
            selected: selected.cloned().collect(),
            results: OnceLock::new(),
        });
        trials.extend(names.iter().map(|name| {
            let (lane, cell) = (Arc::clone(&lane), name.clone());
            Trial::test(name, move || lane.verdict(&cell)).with_kind(&kind)
        }));
    }
    Ok(trials)
}

fn kernels() -> Result<Vec<KernelSpec>> {
    let wanted = std::env::var(KERNELS).unwrap_or_default();
    let specs: Vec<KernelSpec> =
        wanted.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    Ok(if specs.is_empty() { vec![KernelSpec::of_host()?] } else { specs })
}

/// The suite on one kernel.
struct Lane {
    spec: KernelSpec,
    /// The cells that the command line selects.
    selected: Vec<String>,
    /// Their results once they ran in this process, or the error.
    results: OnceLock<Result<Results, String>>,
}

/// The results of a lane, by the name of the cell.
struct Results {
    record: PathBuf,
    cells: BTreeMap<String, CellResult>,
}

impl Lane {
    /// The verdict on one cell, as a test's outcome.
    fn verdict(&self, cell: &str) -> Result<(), Failed> {
        if let Some(run) = std::env::var_os("NEXTEST_RUN_ID") {
            // A retry runs the whole lane again; otherwise it would read the same results.
            let attempt = std::env::var_os("NEXTEST_ATTEMPT").unwrap_or_default();
            let run = format!("{} {}", run.to_string_lossy(), attempt.to_string_lossy());
            let (record, result) = self.shared(&run, cell).map_err(|error| with_causes(&*error))?;
            return outcome(&result, &record);
        }
        let results = self.results.get_or_init(|| self.run().map_err(|error| with_causes(&*error)));
        let results = results.as_ref().map_err(Failed::from)?;
        let result = results.cells.get(cell).ok_or("the lane ended without a verdict")?;
        outcome(result, &results.record)
    }

    /// Runs the selected cells in this process.
    fn run(&self) -> Result<Results> {
        let (run, record) = Prepared::new(&self.spec)?.run(&self.selected)?;
        let lanes = run.lanes.into_iter();
        let cells = lanes.flat_map(|lane| lane.cells).map(|cell| (cell.name.clone(), cell));
        Ok(Results { cells: cells.collect(), record })
    }

    /// Finds a cell in the record of the whole lane, which the first process of a nextest run
    /// writes.
    fn shared(&self, run: &str, cell: &str) -> Result<(PathBuf, CellResult)> {
        let prepared = Prepared::new(&self.spec)?;
        let name = format!("cells-{}.jsonl", prepared.key(run)?);
        let cache = prepared.engine.cache();
        let record = cache.file(Room::RUNS, &name);
        if !record.is_file() {
            let lock = format!("cells-{}", prepared.kernel.identity());
            let _lock = cache.lock(&lock, &Interrupt::default(), || {})?;
            if !record.is_file() {
                let (_, whole) = prepared.run(&[])?;
                fs::rename(whole, &record)?;
            }
        }
        let result = find(&record, cell)?.ok_or("the lane ended without a verdict")?;
        Ok((record, result))
    }
}

/// Prints each line as it comes.
static PLAIN: PlainListener = PlainListener { quiet: false };

/// Everything that a lane's boot needs.
struct Prepared {
    engine: Engine<'static>,
    suite: Suite,
    kernel: Kernel,
}

impl Prepared {
    fn new(spec: &KernelSpec) -> Result<Self> {
        // The test harness has threads of its own.
        let setup = Setup { jobs: 1, ..Setup::by_default()? };
        let engine = Engine::open(setup, Cache::open()?, Interrupt::default(), &PLAIN)?;
        let known = Arc::new(KnownDifferences::built_in()?);
        let suite = Suite { library: Library::built_in()?, directory: None, known };
        let kernel = engine.kernels(std::slice::from_ref(spec))?.remove(0);
        Ok(Self { engine, suite, kernel })
    }

    /// Names the record of the whole suite in a run of nextest, with everything that its results
    /// depend on.
    fn key(&self, run: &str) -> Result<String> {
        let cells = self.suite.select(&Filter::default())?;
        let policies = self.engine.policies();
        let mut kept = KeptRuns::of(&self.engine, &self.suite, policies, &cells);
        kept.add(run);
        Ok(kept.key(self.kernel.identity()))
    }

    /// Boots for the named cells and their controls, or for all cells if none is named. Returns the
    /// run and the path of its record.
    fn run(&self, names: &[String]) -> Result<(Run, PathBuf)> {
        let filter = Filter { names: names.to_vec(), ..Filter::default() };
        let cells = self.suite.select(&filter)?;
        let (kernels, policies) = (std::slice::from_ref(&self.kernel), self.engine.policies());
        let plans = self.engine.plan(kernels, policies, &cells, &self.suite)?;
        let ended = self.engine.execute(&plans, self.suite.asked(filter), &mut |_| Ok(()))?;
        let record = ended.record.clone();
        Ok((ended.whole()?, record))
    }
}

/// One cell of a record. Hundreds of processes do this, so each decodes only the line it needs.
fn find(record: &Path, cell: &str) -> Result<Option<CellResult>> {
    let text = fs::read_to_string(record)
        .map_err(|error| format!("cannot read {}: {error}", record.display()))?;
    let name = format!("\"name\":\"{cell}\"");
    for line in text.lines().filter(|line| line.contains(&name)) {
        if let Event::Cell(result) = serde_json::from_str(line)?
            && result.name == cell
        {
            return Ok(Some(*result));
        }
    }
    Ok(None)
}

fn outcome(cell: &CellResult, record: &Path) -> Result<(), Failed> {
    let judgement = &cell.judgement;
    let reason = judgement.reason.as_deref().unwrap_or_default();
    if !judgement.verdict.is_bad() {
        if judgement.verdict == Verdict::Skip {
            eprintln!("SKIP {}: {reason}", cell.name);
        }
        return Ok(());
    }
    let (path, line) = (cell.path.display(), cell.line);
    let mut text = format!("{} {path}:{line}: {}\n", judgement.verdict, cell.title);
    if !reason.is_empty() {
        let _ = writeln!(text, "{reason}");
    }
    let attempts = attempts(judgement, &cell.path);
    if !attempts.is_empty() {
        text.push_str(&attempts.plain());
    } else if !judgement.observed.is_empty() {
        let found = difference(&judgement.expected, &judgement.observed, &cell.path);
        text.push_str(&found.plain());
    }
    for note in &judgement.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = write!(text, "run record: {}", record.display());
    Err(text.into())
}
