//! Compares a run of the suite with a stock boot of the same kernel.
//!
//! Everything is measured in one go on one host; only the ratios are meaningful. The kernel is a
//! local file, so the times include no download. A cold run has an empty cache directory, so its
//! time includes unpacking the kernel, compiling the policies and saving the snapshots.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use xshell::{Shell, cmd};

use super::Options;
use super::record::Figures;
use super::stock::{self, StockBoot};
use super::times;
use crate::error::{self, Error};
use crate::setup;

/// A cell of the large lane, for the time from Enter to verdict.
const ONE_CELL: &str = "open/cpu-kernel/all_t/paranoid=2/perfmon/permissive";

/// The interval between samples of perfsec's memory. Its last moments go unseen.
const MEMORY_INTERVAL: Duration = Duration::from_millis(5);

/// Measures and prints a table.
pub(super) fn bench(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "bench"])?;
    let room = shell.create_temp_dir()?;
    let at = |name: &str| room.path().join(name);
    let (kernel, record) = (at("vmlinuz"), at("record.jsonl"));
    let accel = options.accel.iter();
    stock::fetch(shell, &perfsec, options.kernel.as_deref(), &kernel)?;

    eprintln!("measuring memory");
    let mut run = Command::new(&perfsec);
    run.arg("run").arg("--kernel").arg(&kernel).arg("--out").arg(&record);
    accel.clone().for_each(|accel| {
        run.args(["--accel", accel]);
    });
    let memory = peak_memory(run.env("PERFSEC_CACHE_DIR", at("probed")))?;
    let suite = Figures::of(&record)?;
    let accel = &suite.accel;

    eprintln!("measuring time, {} runs each", options.runs);
    let times = at("times.json");
    let cold = at("cold");
    let (runs, cache) = (options.runs.to_string(), cold.display().to_string());
    let boot = StockBoot::new(shell, room.path(), &kernel, accel)?;
    let stock = boot.command();
    let whole = format!(
        "env PERFSEC_CACHE_DIR={cache} {} run --accel {accel} --kernel {} --out {}",
        perfsec.display(),
        kernel.display(),
        record.display()
    );
    let one = format!("{whole} {ONE_CELL}");
    let one_cold = format!("{whole} --cold {ONE_CELL}");
    let empty = format!("rm -rf {cache}");
    // A failed cell does not stop the measurement.
    error::run(cmd!(
        shell,
        "hyperfine --shell none --ignore-failure --runs {runs} --export-json {times}
         --prepare true --command-name stock {stock}
         --prepare {empty} --command-name cold {whole}
         --prepare true --command-name restored {whole}
         --prepare true --command-name cell-cold {one_cold}
         --prepare true --command-name cell-restored {one}"
    ))?;
    boot.check()?;
    let [stock, cold, restored, cell_cold, cell_restored] = times::medians(&times)?;
    let seconds = Medians { stock, cold, restored, cell_cold, cell_restored };
    print(&suite, &seconds, memory);
    Ok(())
}

/// Median times in seconds.
struct Medians {
    stock: f64,
    cold: f64,
    restored: f64,
    cell_cold: f64,
    cell_restored: f64,
}

fn print(figures: &Figures, seconds: &Medians, memory: u64) {
    let Figures { release, accel, passed, cells, .. } = figures;
    println!("\nLinux {release}, {accel}, {passed} of {} cells passed\n", cells.len());
    let row = |what: &str, measured: String, ratio: Option<f64>, aim: &str| {
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        println!("{what:<38} {measured:>18}  {ratio:>6}  {aim}");
    };
    println!("{:<38} {:>18}  {:>6}  aim", "what", "measured", "ratio");
    let Medians { stock, cold, restored, cell_cold, cell_restored } = *seconds;
    let timed = |what: &str, seconds: f64, base: f64, aim: &str| {
        row(what, format!("{seconds:.2} s"), Some(seconds / base), aim);
    };
    timed("(a) stock boot to power-off", stock, stock, "");
    timed("(b) the whole suite, cold", cold, stock, "ratio <= 3");
    timed("    the whole suite, with snapshots", restored, stock, "ratio <= 2");
    timed("(c) one cell, booted", cell_cold, cell_cold, "");
    timed("    one cell, restored", cell_restored, cell_cold, "ratio <= 0.25");
    let guest = format!("{:.2} / {:.2} ms", figures.percentile(50), figures.percentile(95));
    row("(d) a cell in the guest, median / p95", guest, None, "<= 4 / 9 ms");
    row("peak memory of perfsec", format!("{} MiB", memory.div_ceil(1024)), None, "<= 100 MiB");
}

/// Runs perfsec to its end and returns its peak memory in KiB. The resource usage of `wait4(2)`
/// would be that of its biggest child, which is QEMU.
fn peak_memory(run: &mut Command) -> Result<u64, Error> {
    let start = |source| Error::Start { command: "perfsec run".to_owned(), source };
    let mut child = run.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(start)?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    while child.try_wait().map_err(start)?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        thread::sleep(MEMORY_INTERVAL);
    }
    Ok(peak)
}
