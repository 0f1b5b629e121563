//! Every cell of the built-in suite as a test; all cells of a lane share one boot.
//!
//! The kernels are named in `PERFSEC_KERNELS`, as for `perfsec run --kernel` and separated by spaces;
//! without it, the newest stock kernel of the host's suite is taken. Under `cargo test`, a lane boots
//! when its first test runs, with the cells that the filters select. Under nextest, which starts a
//! process for each test, the first process runs the whole lane and leaves its record in the cache
//! directory, where the others find it.
//!
//! Known limitation: libtest-mimic decides before a test runs whether it is ignored, so a `SKIP`,
//! which only the kernel can tell, is shown as a test that passed, with its reason on standard error.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};
use perfsec::cache::Cache;
use perfsec::case::Library;
use perfsec::engine::{LanePlan, Limits, run_lane};
use perfsec::interrupt::Interrupt;
use perfsec::judge::Verdict;
use perfsec::kbuild::Recipe;
use perfsec::kernel::{self, Kernel};
use perfsec::known::KnownDifferences;
use perfsec::machines::qemu::Qemu;
use perfsec::obtain::{self, KernelSpec};
use perfsec::plan::{self, Filter, PlannedCell};
use perfsec::policy::{self, Policies, Policy};
use perfsec::record::{self, CellResult, Event, Run, RunEnded, RunStarted, Selection, Writer};
use perfsec::report::difference;
use perfsec_wire::Boot;
use sha2::{Digest, Sha256};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// The kernels to test.
const KERNELS: &str = "PERFSEC_KERNELS";

const QEMU: &str = "qemu-system-x86_64";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(&arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            eprintln!("error: {}", chain(&*error));
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
            of_process: OnceLock::new(),
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
    Ok(if specs.is_empty() { vec![obtain::default_spec()?] } else { specs })
}

/// The suite on one kernel.
struct Lane {
    spec: KernelSpec,
    /// The cells that the command line selects.
    selected: Vec<String>,
    /// What came of them, once they ran in this process; or why they could not.
    of_process: OnceLock<Result<Results, String>>,
}

/// What came of a lane, by the name of the cell.
struct Results {
    record: PathBuf,
    cells: BTreeMap<String, CellResult>,
}

impl Lane {
    /// The verdict on one cell, as a test's outcome.
    fn verdict(&self, cell: &str) -> Result<(), Failed> {
        if let Some(run) = std::env::var_os("NEXTEST_RUN_ID") {
            // A retry is a new attempt at the whole lane, or it would only read the same again.
            let attempt = std::env::var_os("NEXTEST_ATTEMPT").unwrap_or_default();
            let run = format!("{} {}", run.to_string_lossy(), attempt.to_string_lossy());
            let (record, result) = self.shared(&run, cell).map_err(|error| chain(&*error))?;
            return outcome(&result, &record);
        }
        let results = self.of_process.get_or_init(|| self.run().map_err(|error| chain(&*error)));
        let results = results.as_ref().map_err(Failed::from)?;
        let result = results.cells.get(cell).ok_or("the lane ended without a verdict")?;
        outcome(result, &results.record)
    }

    /// Runs the selected cells in this process.
    fn run(&self) -> Result<Results> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&self.spec, &cache)?;
        let name = format!("cells-{}-{}.jsonl", prepared.kernel.release, std::process::id());
        let record = cache.path("runs", &name);
        prepared.run(&self.selected, &record)?;
        let lanes = record::read(&record)?.run.lanes.into_iter();
        let cells = lanes.flat_map(|lane| lane.cells).map(|cell| (cell.name.clone(), cell));
        Ok(Results { cells: cells.collect(), record })
    }

    /// Finds a cell in the record that the first process of a nextest run leaves of the whole lane,
    /// or is that process.
    fn shared(&self, run: &str, cell: &str) -> Result<(PathBuf, CellResult)> {
        let cache = Cache::open()?;
        let prepared = Prepared::new(&self.spec, &cache)?;
        let name = format!("cells-{}.jsonl", prepared.key(run));
        let record = cache.path("runs", &name);
        if !record.is_file() {
            let _lock = cache.lock(
                &format!("cells-{}", prepared.kernel.sha256),
                &Interrupt::default(),
                || {},
            )?;
            if !record.is_file() {
                let room = cache.temporary()?;
                let unfinished = room.path().join("record");
                prepared.run(&[], &unfinished)?;
                cache.adopt("runs", &name, &unfinished)?;
            }
        }
        let result = find(&record, cell)?.ok_or("the lane ended without a verdict")?;
        Ok((record, result))
    }
}

/// Everything that a lane's boot needs.
struct Prepared {
    kernel: Kernel,
    policies: Policies,
    cache: Cache,
}

impl Prepared {
    fn new(spec: &KernelSpec, cache: &Cache) -> Result<Self> {
        let own = Arc::new(Policy::obtain(policy::DEFAULT, cache)?);
        let library = Library::built_in()?;
        let cells = Filter::default().select(&library)?;
        let names = cells.iter().flat_map(PlannedCell::policies);
        let policies = Policies::obtain(own, names, cache)?;
        let options = obtain::Options {
            images: kernel::Options::default(),
            recipe: Recipe::by_default()?,
            dirty: false,
            interrupt: Interrupt::default(),
        };
        let kernel = obtain::obtain(spec, cache, &options, &|text| eprintln!("{text}"))?;
        Ok(Self { kernel, policies, cache: cache.clone() })
    }

    /// Names what the lane's results depend on, and the run of nextest that it belongs to.
    fn key(&self, run: &str) -> String {
        let mut key = Sha256::new();
        let policies = self.policies.iter().map(|policy| policy.sha256.as_str());
        for part in [run, &self.kernel.sha256].into_iter().chain(policies) {
            key.update(part);
            key.update([0]);
        }
        key.update(Sha256::digest(perfsec::AGENT));
        for (name, text) in perfsec_cases::suite() {
            key.update(Sha256::digest(name));
            key.update(Sha256::digest(text));
        }
        key.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Boots for the named cells and their controls, all when none is named, and writes the run record.
    fn run(self, names: &[String], record: &Path) -> Result<()> {
        let filter = Filter { names: names.to_vec(), ..Filter::default() };
        let cells = filter.select(&Library::built_in()?)?;
        let program = PathBuf::from(QEMU);
        let say = |text: &str| eprintln!("{text}");
        let target = Qemu {
            version: Qemu::version(&program)?,
            accel: Qemu::probe(&program, &self.kernel, &self.cache, &say)?,
            kernel: self.kernel.clone(),
            boot: Boot::default(),
            append: Vec::new(),
            program,
        };
        let asked = Selection { filter, ..Selection::default() };
        let known = Arc::new(KnownDifferences::built_in()?);
        let mut events = vec![Event::Run(RunStarted::now(cells.len(), asked))];
        let mut result = Ok(());
        for (lane, (boot, cells)) in plan::by_boot(&cells).into_iter().enumerate() {
            let plan = LanePlan {
                lane,
                kernel: self.kernel.clone(),
                boot,
                policies: self.policies.clone(),
                cells: Arc::new(cells),
                coverage: None,
                known: Arc::clone(&known),
                target: Box::new(Qemu { boot, ..target.clone() }),
            };
            let (sink, told) = std::sync::mpsc::channel();
            // The receiver outlives the lane.
            let ended = run_lane(&plan, Limits::default(), &Interrupt::default(), &|event| {
                drop(sink.send(event));
            });
            drop(sink);
            events.extend(told);
            result = result.and(ended);
        }
        let run = Run::of(events.iter().cloned())?;
        let millis = run.lanes.iter().filter_map(|lane| Some(lane.end.as_ref()?.millis)).sum();
        let counts = run.counts().iter().collect();
        events.push(Event::End(RunEnded { counts, interrupted: false, millis }));
        let mut writer = Writer::create(record)?;
        events.iter().try_for_each(|event| writer.write(event))?;
        result?;
        Ok(())
    }
}

/// One cell of a record. Hundreds of processes look: each decodes only the line that it is after.
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
    if !judgement.observed.is_empty() {
        let styled = difference(&judgement.expected, &judgement.observed, &cell.path);
        let _ = write!(text, "{}", anstream::adapter::strip_str(&styled));
    }
    for note in &judgement.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = write!(text, "run record: {}", record.display());
    Err(text.into())
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
