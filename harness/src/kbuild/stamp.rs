//! Detects that a build directory is already configured for a commit.
//!
//! Configuring takes half as long as a small incremental build, and most patches do not touch any
//! Kconfig file.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::BuildError;
use super::recipe::Recipe;
use super::toolchain::Toolchain;
use crate::cache::{Cache, CacheError};
use crate::foreign;
use crate::kernel::{Config, hash};
use crate::source::{Commit, Source};

/// Name of the stamp's file in the build directory.
const FILE: &str = ".perfsec-configured";

/// Name of the configuration in the build directory.
const CONFIG: &str = ".config";

/// A hash of everything that determines a configuration.
#[derive(Debug)]
pub(super) struct Stamp(String);

impl Stamp {
    /// Hashes the fragments, the tools, and every file of the commit that kconfig reads.
    pub(super) fn compute(
        source: &Source,
        commit: &Commit,
        recipe: &Recipe,
        tools: &Toolchain,
    ) -> Result<Self, BuildError> {
        let mut hash = Sha256::new();
        for part in [&recipe.sha256(), &tools.compiler, &tools.linker] {
            hash.update(part);
            hash.update("\n");
        }
        for line in source.files(commit)?.lines() {
            // `<mode> <type> <object>\t<path>`
            let path = line.split_once('\t').map_or("", |(_, path)| path);
            if is_read_by_kconfig(path) {
                hash.update(line);
                hash.update("\n");
            }
        }
        Ok(Self(crate::hex(&hash.finalize())))
    }

    /// The configuration in the build directory, if it has this stamp and did not change since.
    pub(super) fn config(&self, out: &Path) -> Option<Config> {
        let stamp = foreign::read_text(&out.join(FILE), &foreign::CACHED).ok()?;
        let config = foreign::read_text(&out.join(CONFIG), &foreign::CONFIG).ok()?;
        (stamp == self.text(&config)).then(|| Config::parse(&config))
    }

    /// Writes the stamp of the present configuration to the build directory. To be called again
    /// after a build: kbuild's `syncconfig` may write the configuration anew.
    pub(super) fn write(&self, out: &Path, cache: &Cache) -> Result<(), CacheError> {
        let (path, config) = (out.join(FILE), out.join(CONFIG));
        let text = foreign::read_text(&config, &foreign::CONFIG)
            .map_err(|e| cache.error("read", &config, e))?;
        fs::write(&path, self.text(&text)).map_err(|error| cache.error("write", &path, error))
    }

    fn text(&self, config: &str) -> String {
        format!("{} {}\n", self.0, hash::sha256(config.as_bytes()))
    }
}

fn is_read_by_kconfig(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.starts_with("Kconfig")
        || name == "Makefile" && path.matches('/').count() < 3
        || path.starts_with("scripts/")
        || path.contains("/configs/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_kconfig_reads_are_recognised() {
        for path in [
            "Kconfig",
            "init/Kconfig",
            "kernel/Kconfig.preempt",
            "Makefile",
            "arch/x86/Makefile",
            "scripts/cc-version.sh",
            "kernel/configs/tiny-base.config",
        ] {
            assert!(is_read_by_kconfig(path), "{path}");
        }
        for path in ["kernel/events/core.c", "Documentation/kbuild/kconfig.rst", "kernel/config.c"]
        {
            assert!(!is_read_by_kconfig(path), "{path}");
        }
    }
}
