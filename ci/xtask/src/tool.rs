//! Cargo's third-party tools, built from the package registry.

use std::path::{Path, PathBuf};

use xshell::{Shell, cmd};

use crate::error::{self, Error};
use crate::setup;

/// A program from a crate.
pub(crate) struct Tool {
    /// The crate, which has a program of the same name.
    name: &'static str,
    /// Its version. Another one might accept or reject something else.
    version: &'static str,
}

pub(crate) const CARGO_CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9" };
pub(crate) const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0" };
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };
pub(crate) const CARGO_GENERATE_RPM: Tool = Tool { name: "cargo-generate-rpm", version: "0.21.1" };

/// Builds a tool below `target/`, unless that was done, and returns its program.
pub(crate) fn obtain(shell: &Shell, tool: &Tool) -> Result<PathBuf, Error> {
    let Tool { name, version } = tool;
    let root = Path::new(setup::MANIFEST).with_file_name("target/tools");
    let program = root.join("bin").join(name);
    // Does nothing if this version is there.
    let install = cmd!(shell, "cargo install --quiet --locked --root {root} {name}@{version}");
    error::run(install)?;
    Ok(program)
}
