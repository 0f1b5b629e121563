//! `cargo xtask peers`: checks perfsec's reports, cases and templates with the programs that read
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::setup;

/// The Python packages that read perfsec's reports, cases and templates.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../peers.txt");

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates");

const CI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The cells that the templates run: enough to see that they work.
const CELLS: &str = "event/read event/own";
const KERNEL: &str = "debian:6.1";

/// The directories of third-party programs.
pub(crate) struct Peers {
    /// Programs from Python packages.
    bin: PathBuf,
    /// `tools/testing/kunit` from a kernel's source.
    kunit: PathBuf,
}

impl Peers {
    /// Fetches what is missing, to a directory below `target/`.
    pub(crate) fn obtain(shell: &Shell) -> Result<Self, Error> {
        let room = Path::new(setup::MANIFEST).with_file_name("target/peers");
        shell.create_dir(&room)?;
        let room = shell.current_dir().join(room);
        Ok(Self { bin: python(shell, &room)?, kunit: kunit(shell, &room)? })
    }

    /// The environment variables through which tests find them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        vec![
            ("PATH", format!("{}:{path}", self.bin.display())),
            ("PERFSEC_PYTHON", self.bin.join("python3").display().to_string()),
            ("PERFSEC_KUNIT", self.kunit.display().to_string()),
        ]
    }
}

/// Creates a virtual environment with the packages, unless it exists, and returns its programs.
fn python(shell: &Shell, room: &Path) -> Result<PathBuf, Error> {
    let wanted = shell.read_file(REQUIREMENTS)?;
    let (place, mark) = (room.join("python"), room.join("python/installed.txt"));
    if fs::read_to_string(&mark).ok().as_ref() != Some(&wanted) {
        eprintln!("fetching the Python packages of {REQUIREMENTS}");
        cmd!(shell, "python3 -m venv --clear {place}").quiet().run()?;
        let pip = place.join("bin/pip");
        cmd!(
            shell,
            "{pip} install --quiet --disable-pip-version-check --requirement {REQUIREMENTS}"
        )
        .quiet()
        .run()?;
        shell.write_file(&mark, wanted)?;
    }
    Ok(place.join("bin"))
}

/// Fetches the kernel's own parser of test results from the distribution's source package.
fn kunit(shell: &Shell, room: &Path) -> Result<PathBuf, Error> {
    let place = room.join("kunit");
    if place.join("kunit_parser.py").is_file() {
        return Ok(place);
    }
    let names =
        cmd!(shell, "apt-cache --names-only search ^linux-source-[0-9.]+$").quiet().read()?;
    let names = names.lines().filter_map(|line| line.split_whitespace().next());
    let name = names.max_by_key(|name| version(name)).ok_or_else(|| Error::Output {
        program: "apt-cache",
        what: "no package linux-source-VERSION".to_owned(),
    })?;
    eprintln!("fetching the kernel's parser of test results: {name}");
    let work = shell.create_temp_dir()?;
    let _directory = shell.push_dir(work.path());
    cmd!(shell, "apt-get --quiet=2 download {name}").quiet().run()?;
    let package = shell.read_dir(".")?.pop().unwrap_or_default();
    cmd!(shell, "dpkg-deb --extract {package} .").quiet().run()?;
    cmd!(shell, "tar --extract --file usr/src/{name}.tar.xz {name}/tools/testing/kunit")
        .quiet()
        .run()?;
    shell.remove_path(&place)?;
    cmd!(shell, "cp --recursive {name}/tools/testing/kunit {place}").quiet().run()?;
    Ok(place)
}

/// The version numbers in a package's name.
fn version(name: &str) -> Vec<u32> {
    let numbers = name.split(['-', '.']).filter_map(|part| part.parse().ok());
    numbers.collect()
}

/// Runs every check that needs the third-party programs.
pub(crate) fn peers(shell: &Shell) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "peers"])?;
    let peers = Peers::obtain(shell)?;
    let manifest = setup::MANIFEST;
    let tests = cmd!(shell, "cargo test --manifest-path {manifest} --package perfsec")
        .args(["--test", "reports", "--test", "schemas", "--", "--include-ignored"])
        .envs(peers.environment());
    error::run(tests)?;
    templates(shell, &perfsec, &peers)
}

/// Runs what a job of GitHub or GitLab runs, with an archive like that of a release.
fn jobs(shell: &Shell, perfsec: &Path) -> Result<(), Error> {
    let run = |command: xshell::Cmd<'_>| {
        eprintln!("$ {command}");
        error::run(command)
    };
    let action = format!("{CI}/action/action.yml");
    run(cmd!(shell, "check-jsonschema --builtin-schema vendor.github-actions {action}"))?;
    run(cmd!(shell, "shellcheck {CI}/install.sh {CI}/run.sh"))?;
    let room = shell.create_temp_dir()?;
    let room = room.path();
    let release = room.join("perfsec-0");
    shell.create_dir(&release)?;
    shell.copy_file(perfsec, &release)?;
    let archive = room.join("perfsec.tar.gz");
    cmd!(shell, "tar --create --gzip --file {archive} --directory {room} perfsec-0")
        .quiet()
        .run()?;
    let (home, steps, summary) = (room.join("home"), room.join("path"), room.join("summary"));
    let install = cmd!(shell, "{CI}/install.sh").env("ARCHIVE", &archive);
    run(install.env("HOME", &home).env("GITHUB_PATH", &steps))?;
    let bin = shell.read_file(&steps)?;
    let path = format!("{}:{}", bin.trim(), std::env::var("PATH").unwrap_or_default());
    for (system, file) in [("github", "annotations.txt"), ("gitlab", "code-quality.json")] {
        let results = room.join(system);
        let job = cmd!(shell, "{CI}/run.sh {system}").env("KERNEL", KERNEL).env("PATH", &path);
        run(job.env("RESULTS", &results).env("GITHUB_STEP_SUMMARY", &summary))?;
        shell.read_file(results.join(file))?;
        shell.read_file(results.join("run.jsonl"))?;
    }
    shell.read_file(&summary)?;
    Ok(())
}

/// Checks the templates with their own tools, and runs the commands in them.
pub(crate) fn templates(shell: &Shell, perfsec: &Path, peers: &Peers) -> Result<(), Error> {
    let room = shell.create_temp_dir()?;
    let copy = room.path().join("templates");
    cmd!(shell, "cp --recursive {TEMPLATES} {copy}").quiet().run()?;
    let _directory = shell.push_dir(&copy);
    for (name, value) in peers.environment() {
        shell.set_var(name, value);
    }
    shell.set_var("PERFSEC", perfsec);
    shell.set_var("CELLS", CELLS);
    let run = |command: xshell::Cmd<'_>| {
        eprintln!("$ {command}");
        error::run(command)
    };
    run(cmd!(shell, "shellcheck gate.sh"))?;
    let schema = "--builtin-schema";
    run(cmd!(shell, "check-jsonschema {schema} vendor.github-workflows github-actions.yml"))?;
    let gitlab = ["--data-transform", "gitlab-ci", "gitlab-ci.yml"];
    run(cmd!(shell, "check-jsonschema {schema} vendor.gitlab-ci").args(gitlab))?;
    run(cmd!(shell, "tmt lint --failed-only"))?;
    jobs(shell, perfsec)?;

    // The steps of the workflows, one after another instead of in parallel.
    for shard in ["1/2", "2/2"] {
        let results = format!("results-{}", &shard[..1]);
        let gate = cmd!(shell, "./gate.sh {KERNEL}").env("SHARD", shard).env("RESULTS", &results);
        run(gate)?;
        for result in ["run.jsonl", "junit.xml", "report.html", "report.txt"] {
            shell.read_file(Path::new(&results).join(result))?;
        }
    }
    let records = ["results-1/run.jsonl", "results-2/run.jsonl"];
    run(cmd!(shell, "{perfsec} merge --out run.jsonl {records...}"))?;
    run(cmd!(shell, "{perfsec} report run.jsonl --format html --out report.html"))?;
    // As a gate on regressions: there are none.
    run(cmd!(shell, "./gate.sh {KERNEL} run.jsonl"))?;
    // tmt needs its own directory, and passes no environment variables on.
    let id = shell.create_temp_dir()?;
    let id = id.path();
    let variables = [
        format!("KERNEL={KERNEL}"),
        format!("PERFSEC={}", perfsec.display()),
        format!("CELLS=\"{CELLS}\""),
    ];
    let variables = variables.iter().flat_map(|variable| ["--environment", variable]);
    run(cmd!(shell, "tmt --feeling-safe run --id {id} --all").args(variables))
}
