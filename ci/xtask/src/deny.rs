//! `cargo xtask deny`: checks the licences, sources and advisories of the crates that perfsec uses.

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::{setup, tool};

/// The checks that need no network besides the package registry.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Options of `deny`.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Also look for known vulnerabilities and unmaintained crates. This fetches the RustSec
    /// advisory database with git.
    #[arg(long)]
    advisories: bool,
}

/// Checks the crates of the lock file against deny.toml.
pub(crate) fn deny(shell: &Shell, options: &Options) -> Result<(), Error> {
    let program = tool::obtain(shell, &tool::CARGO_DENY)?;
    let advisories = options.advisories.then_some("advisories");
    let checks = OFFLINE.iter().copied().chain(advisories);
    let manifest = setup::MANIFEST;
    error::run(cmd!(shell, "{program} --manifest-path {manifest} check").args(checks))
}
