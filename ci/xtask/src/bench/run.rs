//! Compares a run of the suite with a stock boot of the same kernel.
//!
//! Everything is measured in one go on one host; only the ratios are meaningful. The kernel is a
//! local file, so the times include no download. A cold run has an empty cache directory, so its
//! time includes unpacking the kernel and compiling the policy.

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
    accel.for_each(|accel| {
        run.args(["--accel", accel]);
    });
    let memory = peak_memory(run.env("PERFSEC_CACHE_DIR", at("probed")))?;
    let accel = figures(&record)?.accel;

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
    let empty = format!("rm -rf {cache}");
    // A failed cell does not stop the measurement.
    error::run(cmd!(
        shell,
        "hyperfine --shell none --ignore-failure --runs {runs} --export-json {times}
         --prepare true --command-name stock {stock}
         --prepare {empty} --command-name cold {whole}
         --prepare true --command-name warm {whole}"
    ))?;
    if !read(&log)?.contains("guest is up") {
        let what = "the stock boot did not reach its first process".to_owned();
        return Err(Error::Output { program: "the guest", what });
    }
    let [stock, cold, warm] = medians(&read(&times)?)?;
    print(&figures(&record)?, &Medians { stock, cold, warm }, memory);
    Ok(())
}

struct Medians {
    stock: f64,
    cold: f64,
    warm: f64,
}

fn print(figures: &Figures, seconds: &Medians, memory: u64) {
    let Figures { release, accel, passed, cells, .. } = figures;
    println!("\nLinux {release}, {accel}, {passed} of {} cells passed\n", cells.len());
    let row = |what: &str, measured: String, ratio: Option<f64>, aim: &str| {
        let ratio = ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        println!("{what:<38} {measured:>18}  {ratio:>6}  {aim}");
    };
    println!("{:<38} {:>18}  {:>6}  aim", "what", "measured", "ratio");
    let Medians { stock, cold, warm } = *seconds;
    row("(a) stock boot to power-off", format!("{stock:.2} s"), Some(1.0), "");
    row("(b) the whole suite, cold", format!("{cold:.2} s"), Some(cold / stock), "ratio <= 2");
    row("    the whole suite, warm", format!("{warm:.2} s"), Some(warm / stock), "");
    row(
        "    of that, until the lanes are ready",
        format!("{:.2} s", figures.ready / 1000.0),
        None,
        "",
    );
    let guest = format!("{:.2} / {:.2} ms", figures.percentile(50), figures.percentile(95));
    row("(c) a cell in the guest, median / p95", guest, None, "<= 10 ms");
    row("    a cell, wall clock", format!("{:.2} ms", figures.wall()), None, "");
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
fn medians(json: &str) -> Result<[f64; 3], Error> {
    let wrong = |what: String| Error::Output { program: "hyperfine", what };
    let times: Value = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    let median = |at: usize| {
        let seconds = times["results"][at]["median"].as_f64();
        seconds.ok_or_else(|| wrong(format!("no median of command {at}")))
    };
    Ok([median(0)?, median(1)?, median(2)?])
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { doing: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}
