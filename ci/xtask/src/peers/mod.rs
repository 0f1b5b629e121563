//! `cargo xtask peers`: checks perfsec's reports, cases and templates with the programs that read
//! them.

mod accessibility;
mod labs;
mod programs;
mod templates;

use xshell::{Cmd, Shell, cmd};

use crate::error::{self, Error};
use crate::setup;

pub(crate) use accessibility::accessibility;
pub(crate) use programs::Peers;
pub(crate) use templates::templates;

/// The kernel of whatever only has to run.
const KERNEL: &str = "debian:6.1";

/// Prints a command and runs it.
fn run(command: Cmd<'_>) -> Result<(), Error> {
    eprintln!("$ {command}");
    error::run(command)
}

/// Runs every check that needs the third-party programs.
pub(crate) fn peers(shell: &Shell) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian", "guests", "peers"])?;
    let peers = Peers::obtain(shell)?;
    let manifest = setup::MANIFEST;
    let tests = cmd!(shell, "cargo test --manifest-path {manifest} --package perfsec")
        .args(["--test", "reports", "--test", "schemas", "--", "--include-ignored"])
        .envs(peers.environment());
    error::run(tests)?;
    let b4 = cmd!(shell, "cargo test --manifest-path {manifest} --package perfsec")
        .args(["--test", "series", "--", "--include-ignored", "b4_shows_the_answers"])
        .envs(peers.environment());
    error::run(b4)?;
    accessibility(shell, &perfsec, &peers)?;
    templates(shell, &perfsec, &peers)
}
