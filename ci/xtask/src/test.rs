//! `cargo xtask test`: runs every check and test of the project.

use std::process::Command;
use std::time::{Duration, Instant};

use xshell::{Cmd, Shell, cmd};

use crate::deny;
use crate::error::{self, Error};
use crate::machines;
use crate::peers::{self, Peers};
use crate::setup;
use crate::suite::{CONTEXTS, FROM_SOURCE, KERNELS, TESTED_POLICY};
use crate::system;

/// Tests that need a kernel built for them, or many minutes: CONTRIBUTING.md has their commands.
const APART: [&str; 2] = [
    "on_an_intact_kernel_every_program_sees_what_is_expected",
    "on_a_broken_kernel_the_program_of_a_cell_that_notices_sees_a_difference",
];

/// Runs every check, the cheapest first, and stops at the first failure.
pub(crate) fn test(shell: &Shell) -> Result<(), Error> {
    require_components()?;
    let started = Instant::now();
    let mut phases = Phases::default();

    phases.begin("set-up of this host");
    let perfsec = setup::build(shell)?;
    setup::install(
        shell,
        &perfsec,
        &["run", "debian", "kernel-build", "peers", "policies", "guests"],
    )?;
    let peers = Peers::obtain(shell)?;

    // With the release build: a debug build needs a minute to unpack each.
    phases.begin("kernels");
    let images = cmd!(shell, "{perfsec} kernel {KERNELS...}").quiet().read()?;
    let image = images.lines().last().unwrap_or_default();
    let old = images.lines().nth(1).unwrap_or_default();

    phases.run(
        "a kernel from source",
        cmd!(shell, "{perfsec} kernel {FROM_SOURCE}").quiet().ignore_stdout(),
    )?;

    let _directory = shell.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    phases.run("formatting", cmd!(shell, "cargo fmt --all --check"))?;
    phases
        .run("lints", cmd!(shell, "cargo clippy --workspace --all-targets -- --deny warnings"))?;
    phases.run(
        "lints of the subject",
        cmd!(shell, "cargo clippy --package perfsec-subject --features program").args([
            "--profile",
            "agent",
            "--",
            "--deny",
            "warnings",
        ]),
    )?;
    phases.begin("licences and sources of crates");
    deny::deny(shell, &deny::Options::default())?;
    // The cells in perfsec-cases need kernels and come last.
    phases.run("tests", cmd!(shell, "cargo test --workspace --exclude perfsec-cases"))?;
    phases.run("tests of the data", cmd!(shell, "cargo test --package perfsec-cases --lib"))?;
    phases.run(
        "documentation",
        cmd!(shell, "cargo doc --workspace --no-deps").env("RUSTDOCFLAGS", "--deny warnings"),
    )?;
    phases.run(
        "tests with QEMU, a kernel and the package registry",
        cmd!(shell, "cargo test --workspace --exclude perfsec-cases -- --ignored")
            .args(APART.iter().flat_map(|name| ["--skip", name]))
            .args(machines::TESTS.iter().flat_map(|name| ["--skip", name]))
            .args(system::TESTS.iter().flat_map(|(_, name)| ["--skip", name]))
            .env("PERFSEC_TEST_KERNEL", image)
            .env("PERFSEC_TEST_OLD_KERNEL", old)
            .envs(peers.environment()),
    )?;
    phases.begin("templates for other people's CI");
    peers::accessibility(shell, &perfsec, &peers)?;
    peers::templates(shell, &perfsec, &peers)?;
    phases.run(
        "the suite on real kernels",
        cmd!(shell, "cargo test --package perfsec-cases --test cells -- --format terse")
            .env("PERFSEC_KERNELS", format!("{} {FROM_SOURCE}", KERNELS.join(" "))),
    )?;
    let (kernel, policy) = TESTED_POLICY;
    let domains = CONTEXTS.iter().flat_map(|context| ["--domain", context]);
    phases.run(
        "the suite under a distribution's policy",
        cmd!(shell, "{perfsec} run --quiet --kernel {kernel} --policy {policy} {domains...}"),
    )?;
    phases.run("real programs in a guest system", system::part(shell, &perfsec, kernel))?;
    phases.end();
    println!("every phase passed in {}", seconds(started.elapsed()));
    Ok(())
}

/// Prints the name of each phase and the time that it took.
#[derive(Default)]
struct Phases {
    current: Option<(&'static str, Instant)>,
}

impl Phases {
    fn begin(&mut self, name: &'static str) {
        self.end();
        eprintln!("== {name}");
        self.current = Some((name, Instant::now()));
    }

    fn run(&mut self, name: &'static str, command: Cmd<'_>) -> Result<(), Error> {
        self.begin(name);
        eprintln!("$ {command}");
        error::run(command)
    }

    fn end(&mut self) {
        if let Some((name, began)) = self.current.take() {
            eprintln!("== {name}: passed in {}", seconds(began.elapsed()));
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}

/// Checks for the optional components of cargo, before anything is built.
fn require_components() -> Result<(), Error> {
    let exists = |name: &str| {
        let asked = Command::new("cargo").args([name, "--version"]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let components = [("fmt", "rustfmt"), ("clippy", "clippy")];
    let missing: Vec<&str> =
        components.iter().filter(|(name, _)| !exists(name)).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Components { what: missing.join(" ") }) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manifest_is_the_workspaces() {
        let text = std::fs::read_to_string(crate::setup::MANIFEST).unwrap();
        assert!(text.contains("[workspace]"));
    }
}
