//! `cargo xtask soak`: runs very many cells in one process, and checks that none of them differs
//! from its repetitions and that perfsec does not grow.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::error::Error;
use crate::setup;

/// Time between two looks at the process.
const INTERVAL: Duration = Duration::from_secs(1);
/// Allocators keep what they once had. More than this part on top is growth.
const MEMORY_TOLERANCE: f64 = 0.1;
/// Guests that start and end at the time of a look.
const DESCRIPTOR_TOLERANCE: f64 = 16.0;

/// Options of `soak`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels, as for `perfsec run --kernel`.
    #[arg(long, value_name = "KERNEL", default_values = ["debian:6.1", "debian:7.3"])]
    kernel: Vec<String>,
    /// Run the suite this many times on each kernel. 18 times on two kernels are 100,000 cells.
    #[arg(long, value_name = "N", default_value_t = 18)]
    repeat: u16,
    /// The order of the cells depends on this number.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    shuffle: u64,
    /// Run only these cells (globs on their names).
    #[arg(value_name = "CELL")]
    cells: Vec<String>,
}

/// Runs the cells and checks them. Fails if the run fails, a cell differs or perfsec grows.
pub(crate) fn soak(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian"])?;
    let room = shell.create_temp_dir()?;
    let record = room.path().join("run.jsonl");
    let kernels = options.kernel.iter().flat_map(|kernel| ["--kernel", kernel]);
    let (repeat, shuffle) = (options.repeat.to_string(), options.shuffle.to_string());
    let (cells, stderr) = (&options.cells, room.path().join("progress.txt"));
    let run = cmd!(shell, "{perfsec} run --repeat {repeat} --shuffle {shuffle} --out {record}")
        .args(kernels)
        .args(cells);
    let command = run.to_string();
    eprintln!("$ {command}");
    let failed = |doing, source| Error::File { doing, path: stderr.clone(), source };
    // A line for each boot; the verdicts are in the record.
    let progress = File::create(&stderr).map_err(|source| failed("write", source))?;
    let mut child = Command::from(run)
        .stderr(progress)
        .spawn()
        .map_err(|source| Error::Start { command: command.clone(), source })?;
    let samples = watch(&mut child);
    let status =
        child.wait().map_err(|source| Error::Start { command: command.clone(), source })?;
    let cells = Cells::read(&record)?;
    print!("{cells}");
    let growths = [
        Growth::of("memory in MiB", samples.iter().map(|it| it.memory), |before| {
            before * MEMORY_TOLERANCE
        }),
        Growth::of("open files", samples.iter().map(|it| it.descriptors), |_| DESCRIPTOR_TOLERANCE),
    ];
    growths.iter().for_each(|growth| println!("{growth}"));
    if !status.success() {
        let said = fs::read_to_string(&stderr).map_err(|source| failed("read", source))?;
        eprint!("{said}");
        return Err(Error::Failed { command, status, reported: true });
    }
    let grown = growths.iter().filter(|it| it.is_too_much()).map(|it| format!("grew: {it}"));
    let found: Vec<String> = cells.differing().into_iter().chain(grown).collect();
    match found.as_slice() {
        [] => Ok(()),
        found => Err(Error::Output { program: "perfsec run", what: found.join("; ") }),
    }
}

/// The size of perfsec at one time.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// Resident memory in MiB.
    memory: f64,
    /// Number of open file descriptors.
    descriptors: f64,
}

/// Looks at a process until it ends.
fn watch(child: &mut Child) -> Vec<Sample> {
    let process = format!("/proc/{}", child.id());
    let mut samples = Vec::new();
    // An error of the wait itself shows up again in the caller's.
    while let Ok(None) = child.try_wait() {
        samples.extend(Sample::take(Path::new(&process)));
        thread::sleep(INTERVAL);
    }
    samples
}

impl Sample {
    /// Reads proc(5). Returns `None` if the process is ending.
    fn take(process: &Path) -> Option<Self> {
        let status = fs::read_to_string(process.join("status")).ok()?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = memory.trim().trim_end_matches(" kB").parse().ok()?;
        let descriptors = fs::read_dir(process.join("fd")).ok()?.count();
        Some(Self { memory: kib / 1024.0, descriptors: descriptors as f64 })
    }
}

/// The peak of a figure in the second fifth of the time and in the last. In the first, perfsec
/// starts its guests.
struct Growth {
    name: &'static str,
    early: f64,
    late: f64,
    tolerance: f64,
}

impl Growth {
    fn of(
        name: &'static str,
        samples: impl Iterator<Item = f64>,
        tolerance: impl Fn(f64) -> f64,
    ) -> Self {
        let all: Vec<f64> = samples.collect();
        let fifth = all.len() / 5;
        let peak = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
        let early = peak(&all[fifth..2 * fifth]);
        Self { name, early, late: peak(&all[all.len() - fifth..]), tolerance: tolerance(early) }
    }

    fn is_too_much(&self) -> bool {
        self.late > self.early + self.tolerance
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:.0} early, {:.0} at the end", self.name, self.early, self.late)
    }
}

/// The results of each cell on each kernel, with how often each was seen.
#[derive(Debug, Default)]
struct Cells {
    lanes: BTreeMap<u64, String>,
    results: BTreeMap<(String, String), BTreeMap<String, usize>>,
}

impl Cells {
    fn read(record: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { doing: "read", path: record.to_owned(), source };
        let mut cells = Self::default();
        for line in BufReader::new(File::open(record).map_err(failed)?).lines() {
            cells.take(&line.map_err(failed)?);
        }
        Ok(cells)
    }

    /// Takes a line of a run record. Skips lines that are not events.
    fn take(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lane = event["lane"].as_u64().unwrap_or_default();
        match event["event"].as_str() {
            Some("lane") => {
                let name = format!("{}, {}", text(&event["kernel"]["release"]), event["boot"]);
                self.lanes.insert(lane, name);
            }
            Some("cell") => {
                let judgement = &event["judgement"];
                let result = format!("{} {}", text(&judgement["verdict"]), judgement["observed"]);
                let lane = self.lanes.get(&lane).cloned().unwrap_or_default();
                let cell = self.results.entry((lane, text(&event["name"]))).or_default();
                *cell.entry(result).or_default() += 1;
            }
            _ => {}
        }
    }

    /// A sentence for each cell that did not always have the same result.
    fn differing(&self) -> Vec<String> {
        let differing = self.results.iter().filter(|(_, results)| results.len() > 1);
        differing
            .map(|((lane, cell), results)| {
                let counts: Vec<String> = results
                    .iter()
                    .map(|(result, count)| {
                        let verdict = result.split(' ').next().unwrap_or_default();
                        format!("{count} {verdict}")
                    })
                    .collect();
                format!("{cell} differs on {lane}: {}", counts.join(", "))
            })
            .collect()
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut verdicts: BTreeMap<&str, usize> = BTreeMap::new();
        for (result, count) in self.results.values().flatten() {
            *verdicts.entry(result.split(' ').next().unwrap_or_default()).or_default() += count;
        }
        let all: usize = verdicts.values().sum();
        write!(f, "{all} cells")?;
        for (verdict, count) in verdicts {
            write!(f, ", {count} {verdict}")?;
        }
        writeln!(f, ", {} differ", self.differing().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_differs_if_its_verdict_or_its_transcript_does() {
        let mut cells = Cells::default();
        cells.take(r#"{"event":"lane","lane":0,"kernel":{"release":"6.1"},"boot":"selinux"}"#);
        let mut take = |name: &str, verdict: &str, seen: &str| {
            let judgement = format!(r#"{{"verdict":"{verdict}","observed":["{seen}"]}}"#);
            cells.take(&format!(
                r#"{{"event":"cell","lane":0,"name":"{name}","judgement":{judgement}}}"#
            ));
        };
        take("same", "PASS", "read() = 0");
        take("same", "PASS", "read() = 0");
        take("verdict", "PASS", "read() = 0");
        take("verdict", "ERROR", "read() = 0");
        take("transcript", "FAIL", "read() = 0");
        take("transcript", "FAIL", "read() = 1");
        let differing = cells.differing();
        assert_eq!(differing.len(), 2, "{differing:?}");
        assert_eq!(differing[1], "verdict differs on 6.1, \"selinux\": 1 ERROR, 1 PASS");
        assert_eq!(cells.to_string(), "6 cells, 1 ERROR, 2 FAIL, 3 PASS, 2 differ\n");
    }

    #[test]
    fn a_figure_grows_if_its_last_peak_is_higher() {
        let growth = |last: f64| {
            let samples = [10.0, 90.0, 100.0, 80.0, 95.0, 90.0, 99.0, 90.0, 90.0, last];
            Growth::of("memory", samples.into_iter(), |before| before * MEMORY_TOLERANCE)
        };
        assert!(!growth(105.0).is_too_much());
        assert!(growth(120.0).is_too_much());
        assert!(!Growth::of("memory", std::iter::empty(), |_| 0.0).is_too_much());
    }
}
