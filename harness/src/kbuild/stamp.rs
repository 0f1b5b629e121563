//! Whether a build directory is configured for a commit already.
//!
//! Configuring takes half as long as a small incremental build, and most patches leave every Kconfig file as it is.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::BuildError;
use super::recipe::Recipe;
use super::toolchain::Toolchain;
use crate::cache::{Cache, CacheError};
use crate::kernel::Config;
use crate::source::{Commit, Source};

/// The file, in the build directory, in which a configuration's stamp is.
const FILE: &str = ".perfsec-configured";

/// What a configuration is made of, hashed.
#[derive(Debug)]
pub(super) struct Stamp(String);

impl Stamp {
    /// Of the fragments, the tools, and every file of the commit that kconfig reads.
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

    /// The configuration, if it was made of this.
    pub(super) fn config(&self, out: &Path) -> Option<Config> {
        let stamp = fs::read_to_string(out.join(FILE)).ok()?;
        let config = fs::read_to_string(out.join(".config")).ok()?;
        (stamp == self.0).then(|| Config::parse(&config))
    }

    /// Remembers what the configuration was made of.
    pub(super) fn write(&self, out: &Path, cache: &Cache) -> Result<(), CacheError> {
        let path = out.join(FILE);
        fs::write(&path, &self.0).map_err(|error| cache.error("write", &path, error))
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
    fn what_kconfig_reads_is_told_from_what_it_does_not() {
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
