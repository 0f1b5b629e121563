//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::{setup, tool};

/// Options of `fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target to run; all of them in turn by default.
    target: Option<String>,
    /// The time for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// The files of the tree that are seeds of a target: a directory or file, and their ending.
const SEEDS: &[(&str, &str, &str)] = &[
    ("log", "harness/tests/report/audit.log", "log"),
    ("console", "harness/tests/console", "log"),
    ("record", "harness/tests/report", "jsonl"),
    ("case", "cases/suite", "toml"),
    ("known", "cases/known.toml", "toml"),
    ("mailbox", "harness/tests/report/original.mbox", "mbox"),
    ("mailbox", "cases/mutations", "patch"),
    ("fragment", "kconfigs", "config"),
    ("config", "kconfigs", "config"),
    ("questions", "cases/functions.toml", "toml"),
    ("transcript", "harness/tests/report/expectations.txt", "txt"),
];

/// Names a kernel image that the target `image` gets as a seed.
const KERNEL: &str = "PERFSEC_TEST_KERNEL";

/// No address sanitizer: it needs a nightly compiler and doubles the cost, and the only unsafe code
/// starts processes, which no target does.
const SANITIZER: [&str; 2] = ["--sanitizer", "none"];

/// Limits of one input in seconds and of the process in MiB. A target whose result has to be small
/// checks that itself.
const LIMITS: [&str; 2] = ["-timeout=25", "-rss_limit_mb=2048"];

/// The longest input in bytes. A kernel image has 8 MiB and more.
const LONGEST: u32 = 1 << 20;
const LONGEST_IMAGE: u32 = 32 << 20;

/// Runs the targets, and fails if one finds something.
pub(crate) fn fuzz(shell: &Shell, options: &Options) -> Result<(), Error> {
    let root = Path::new(setup::MANIFEST).with_file_name("");
    let program = tool::obtain(shell, &tool::CARGO_FUZZ)?;
    let _directory = shell.push_dir(&root);
    let all = cmd!(shell, "{program} fuzz list").quiet().read()?;
    let wanted = |name: &&str| options.target.as_deref().is_none_or(|target| target == *name);
    let targets: Vec<&str> = all.lines().filter(wanted).collect();
    if targets.is_empty() {
        let name = options.target.clone().unwrap_or_default();
        return Err(Error::FuzzTarget { name, known: all.replace('\n', ", ") });
    }
    // libFuzzer leaves files there.
    let scratch = shell.create_temp_dir()?;
    for target in targets {
        let corpus = root.join("fuzz/corpus").join(target);
        seed(&root, target, &corpus)?;
        let seconds = format!("-max_total_time={}", options.seconds);
        let longest = if target == "image" { LONGEST_IMAGE } else { LONGEST };
        let longest = format!("-max_len={longest}");
        eprintln!("fuzzing {target}");
        let run = cmd!(shell, "{program} fuzz run {SANITIZER...} {target} -- {seconds} {longest}")
            .args(LIMITS)
            .arg("-print_final_stats=1")
            .env("TMPDIR", scratch.path());
        error::run(run)?;
    }
    Ok(())
}

/// Copies the seeds of a target to its corpus.
fn seed(root: &Path, target: &str, corpus: &Path) -> Result<(), Error> {
    let failed = |path: &Path, source| Error::File { doing: "copy", path: path.into(), source };
    fs::create_dir_all(corpus).map_err(|error| failed(corpus, error))?;
    let mut files = Vec::new();
    for (_, from, ending) in SEEDS.iter().filter(|(name, ..)| *name == target) {
        collect(&root.join(from), ending, &mut files).map_err(|error| failed(root, error))?;
    }
    files.extend(std::env::var_os(KERNEL).filter(|_| target == "image").map(PathBuf::from));
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap_or(OsStr::new("seed")).display();
        fs::copy(file, corpus.join(format!("seed-{number}-{name}")))
            .map_err(|error| failed(file, error))?;
    }
    Ok(())
}

/// The files with this ending: the path itself, or those below it.
fn collect(path: &Path, ending: &str, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), ending, files)?;
        }
    } else if path.extension().is_some_and(|found| found == ending) {
        files.push(path.to_owned());
    }
    Ok(())
}
