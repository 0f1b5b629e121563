//! The files of `ci/`: checked with their own tools, and what they run is run.

use std::path::Path;

use xshell::{Shell, cmd};

use super::labs::labs;
use super::programs::Peers;
use super::{KERNEL, run};
use crate::error::Error;

const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates");

const CI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The cells that the templates run: enough to see that they work.
const CELLS: &str = "event/read event/own";

/// Runs what a job of GitHub or GitLab runs, with an archive like that of a release.
fn jobs(shell: &Shell, perfsec: &Path) -> Result<(), Error> {
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
    run(cmd!(shell, "shellcheck gate.sh testing-farm.sh cki/runtest.sh kselftest/perfsec.sh"))?;
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
    let tmt = cmd!(shell, "tmt --feeling-safe run --id {id} --all").args(variables);
    run(tmt.args(["plan", "--name", "/plan/local$"]))?;
    labs(shell, perfsec, peers)
}
