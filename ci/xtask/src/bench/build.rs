//! Measures the time that perfsec adds to the `make` that a developer waits for anyway.
//!
//! perfsec and plain `make` alternately build two clones of one tree with the same configuration,
//! without a compiler cache. Only the ratios within one run are meaningful.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use xshell::{Shell, cmd};

use super::record::Figures;
use crate::error::Error;
use crate::setup;

/// Files in which one line changes, as in a patch.
const CHANGED: &[&str] = &["kernel/events/core.c", "security/selinux/hooks.c"];

/// Measures and prints a table.
pub(super) fn bench(shell: &Shell, tree: &Path) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "kernel-build", "bench"])?;
    let room = shell.create_temp_dir()?;
    let at = |name: &str| room.path().join(name);
    let (given, cache) = (shell.current_dir().join(tree), at("cache"));
    let (ours, alone, out) = (at("ours"), at("alone"), at("out"));
    for clone in [&ours, &alone] {
        cmd!(shell, "git -c advice.detachedHead=false clone --quiet --shared {given} {clone}")
            .quiet()
            .run()?;
    }
    let _own = [
        shell.push_env("PERFSEC_CACHE_DIR", &cache),
        shell.push_env("CCACHE_DISABLE", "1"),
        shell.push_env("LOCALVERSION", ""),
    ];
    let build = cmd!(shell, "{perfsec} kernel build {ours}");
    let clean = time(|| build.quiet().ignore_stdout().run())?;
    let config = configuration(&cache.join("source"))?;
    fs::create_dir_all(&out)
        .and_then(|()| fs::copy(&config, out.join(".config")).map(drop))
        .map_err(|source| Error::File { doing: "write", path: out.clone(), source })?;
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let make = || {
        let jobs = format!("-j{jobs}");
        let output = format!("O={}", out.display());
        cmd!(shell, "make -C {alone} {output} ARCH=x86_64 {jobs} vmlinux")
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
    };
    let clean_alone = time(make)?;
    let record = at("record.jsonl");
    let run = |tree: &Path| {
        let kernel = format!("tree:{}", tree.display());
        let run = cmd!(shell, "{perfsec} run --kernel {kernel} --out {record}");
        run.quiet().ignore_stdout().ignore_status().run()
    };
    // This run creates what is made once per host, such as the policy.
    run(&ours)?;
    let built = time(|| run(&ours))?;

    println!("\n{:<46} {:>9} {:>9}  {:>6}", "what", "perfsec", "make", "ratio");
    row("a clean build, with its checkout", clean, clean_alone);
    for file in CHANGED {
        for tree in [&ours, &alone] {
            touch(shell, tree, file)?;
        }
        let built =
            time(|| cmd!(shell, "{perfsec} kernel build {ours}").quiet().ignore_stdout().run())?;
        row(&format!("one line of {file}"), built, time(make)?);
    }
    for tree in [&ours, &alone] {
        touch(shell, tree, CHANGED[0])?;
    }
    let verdict = time(|| run(&ours))?;
    let alone = time(make)?;
    let figures = Figures::read(&shell.read_file(&record)?);
    let boot = Duration::from_secs_f64(figures.boot() / 1000.0);
    row("from patch to verdict", verdict, alone);
    row("    without the boot (aim: <= 1.5)", verdict.saturating_sub(boot), alone);
    row("    without its cells too", verdict.saturating_sub(built), alone);
    let (cells, passed) = (figures.cells.len(), figures.passed);
    println!("\n{passed} of {cells} cells passed; the run alone: {:.1} s", built.as_secs_f64());
    Ok(())
}

fn time(run: impl FnOnce() -> xshell::Result<()>) -> Result<Duration, Error> {
    let began = Instant::now();
    run()?;
    Ok(began.elapsed())
}

fn row(what: &str, ours: Duration, alone: Duration) {
    let (ours, alone) = (ours.as_secs_f64(), alone.as_secs_f64());
    println!("{what:<46} {ours:>7.1} s {alone:>7.1} s  {:>6.2}", ours / alone);
}

/// Adds a line that changes the object file, and commits it.
fn touch(shell: &Shell, tree: &Path, file: &str) -> Result<(), Error> {
    let path = tree.join(file);
    let text = shell.read_file(&path)?;
    let number = text.len();
    shell.write_file(&path, format!("{text}\nint perfsec_bench_{number} = {number};\n"))?;
    let _directory = shell.push_dir(tree);
    cmd!(
        shell,
        "git -c user.name=bench -c user.email=bench@localhost commit --quiet --all --message change"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// Finds the configuration that perfsec generated: a new cache has one build directory.
fn configuration(sources: &Path) -> Result<PathBuf, Error> {
    let below = |directory: &Path| {
        let entries = fs::read_dir(directory).map_err(|source| Error::File {
            doing: "read",
            path: directory.to_owned(),
            source,
        })?;
        Ok::<_, Error>(entries.flatten().map(|entry| entry.path()).collect::<Vec<_>>())
    };
    for tree in below(sources)? {
        for directory in below(&tree)? {
            let config = directory.join(".config");
            if config.is_file() {
                return Ok(config);
            }
        }
    }
    let what = "its cache has no configuration".to_owned();
    Err(Error::Output { program: "perfsec kernel build", what })
}
