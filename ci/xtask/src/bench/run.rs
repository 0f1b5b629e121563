//! Compares a run of the suite with a stock boot of the same kernel.
//!
//! Everything is measured in one go on one host; only the ratios are meaningful. The kernel is a
//! local file, so the times include no download. A cold run has an empty cache directory, so its
//! time includes unpacking the kernel, compiling the policies and saving the snapshots.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use cpio::newc;
use serde_json::Value;
use xshell::{Shell, cmd};

use super::Options;
use super::record::Figures;
use crate::error::{self, Error};
use crate::setup;

/// The source of the stock boot's first process, which powers off on `act=off`.
const INIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../qemu/tests/guest/init.rs");

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
    let (kernel, initrd, record) = (at("vmlinuz"), at("initrd"), at("record.jsonl"));
    let (spec, accel) = (options.kernel.iter(), options.accel.iter());
    let fetch = cmd!(shell, "{perfsec} kernel {spec...} --shipped {kernel}");
    fetch.quiet().ignore_stdout().run()?;
    initial_archive(shell, room.path(), &initrd)?;

    eprintln!("measuring memory");
    let mut run = Command::new(&perfsec);
    run.arg("run").arg("--kernel").arg(&kernel).arg("--out").arg(&record);
    accel.clone().for_each(|accel| {
        run.args(["--accel", accel]);
    });
    let memory = peak_memory(run.env("PERFSEC_CACHE_DIR", at("probed")))?;
    let suite = figures(&record)?;
    let accel = &suite.accel;

    eprintln!("measuring time, {} runs each", options.runs);
    let times = at("times.json");
    let (cold, log) = (at("cold"), at("stock.log"));
    let (runs, cache) = (options.runs.to_string(), cold.display().to_string());
    let stock = format!(
        "qemu-system-x86_64 -accel {accel} -m 512 -kernel {} -initrd {} \
         -append 'console=ttyS0 act=off' -display none -serial file:{} -no-reboot",
        kernel.display(),
        initrd.display(),
        log.display()
    );
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
    if !read(&log)?.contains("guest is up") {
        let what = "the stock boot did not reach its first process".to_owned();
        return Err(Error::Output { program: "the guest", what });
    }
    let [stock, cold, restored, cell_cold, cell_restored] = medians(&read(&times)?)?;
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

/// Writes the initramfs of the stock boot: one program that powers off.
fn initial_archive(shell: &Shell, room: &Path, archive: &Path) -> Result<(), Error> {
    let init = room.join("init");
    let compile = cmd!(
        shell,
        "rustc --edition 2024 -C opt-level=s -C panic=abort -C strip=symbols
         -C target-feature=+crt-static {INIT} -o {init}"
    );
    compile.quiet().run()?;
    let failed = |source| Error::File { doing: "write", path: archive.to_owned(), source };
    let program = File::open(&init).map_err(failed)?;
    let header = newc::Builder::new("init").mode(0o100_755);
    let file = File::create(archive).map_err(failed)?;
    cpio::write_cpio([(header, program)].into_iter(), file).map_err(failed)?;
    Ok(())
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

fn figures(record: &Path) -> Result<Figures, Error> {
    let figures = Figures::read(&read(record)?);
    if figures.cells.is_empty() {
        return Err(Error::Output { program: "perfsec run", what: "no cell ran".to_owned() });
    }
    Ok(figures)
}

/// The median time of each command in seconds, in order.
fn medians(json: &str) -> Result<[f64; 5], Error> {
    let wrong = |what: String| Error::Output { program: "hyperfine", what };
    let times: Value = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    let median = |at: usize| {
        let seconds = times["results"][at]["median"].as_f64();
        seconds.ok_or_else(|| wrong(format!("no median of command {at}")))
    };
    Ok([median(0)?, median(1)?, median(2)?, median(3)?, median(4)?])
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { doing: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}
