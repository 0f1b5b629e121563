//! Prepares a fresh machine to run perfsec.

use std::path::{Path, PathBuf};

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::error::{self, Error};

/// The path of the workspace's manifest.
pub(crate) const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");

/// Builds perfsec and returns the program's path.
pub(crate) fn build(shell: &Shell) -> Result<PathBuf, Error> {
    eprintln!("building perfsec");
    let build = cmd!(
        shell,
        "cargo build --release --manifest-path {MANIFEST} --package perfsec
         --message-format json-render-diagnostics"
    );
    let messages = build.quiet().read()?;
    let program = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "perfsec")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program
        .ok_or_else(|| Error::Output { program: "cargo build", what: "it built no program".into() })
}

/// Installs what the host lacks for these purposes. `perfsec doctor` prints what and why; without
/// root, it prints the command to run.
pub(crate) fn install(shell: &Shell, perfsec: &Path, purposes: &[&str]) -> Result<(), Error> {
    let purposes = purposes.iter().flat_map(|purpose| ["--for", purpose]);
    let doctor = cmd!(shell, "{perfsec} doctor --install {purposes...}");
    error::run(doctor)
}
