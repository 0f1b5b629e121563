//! Runs the kernel's own `make`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::error::BuildError;
use super::recipe::Recipe;
use super::toolchain::Toolchain;
use crate::cache::Lock;
use crate::interrupt::Interrupt;
use crate::kernel::Arch;
use crate::process;

/// Fixes the time, the host and the user, so that builds are reproducible. An empty
/// `LOCALVERSION` keeps `scripts/setlocalversion` from appending `+` to commits without a tag.
const CONSTANT: &[&str] = &[
    "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER=perfsec",
    "KBUILD_BUILD_HOST=perfsec",
    "KBUILD_BUILD_VERSION=1",
    "LOCALVERSION=",
];

/// Environment variables that a build inherits: the paths of programs, libraries and caches. Others
/// could change the kernel without appearing in the record: kbuild reads `KCPPFLAGS`, `HOSTCC` and
/// more (Documentation/kbuild/kbuild.rst), gcc reads `CPATH`.
const PASSED: &[&str] = &[
    "CARGO_HOME",
    "HOME",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "PKG_CONFIG_PATH",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "TEMP",
    "TMP",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// Prefixes of the variables of compiler caches, which a build inherits too.
const PASSED_PREFIXES: &[&str] = &["CCACHE_", "SCCACHE_"];

/// Runs make for one tree and one build directory.
pub(super) struct Make<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) toolchain: &'a Toolchain,
    /// The source tree, never built in place.
    pub(super) tree: &'a Path,
    /// The build directory.
    pub(super) out: &'a Path,
    /// The lock of the tree and the build directory.
    pub(super) lock: &'a Lock,
    pub(super) interrupt: &'a Interrupt,
    /// Gets each line of output.
    pub(super) hear: &'a mut dyn FnMut(&str),
}

impl Make<'_> {
    /// The variables of every `make` of this build, as `NAME=VALUE`.
    pub(super) fn variables(&self) -> Vec<String> {
        let own = CONSTANT.iter().map(|constant| (*constant).to_owned());
        let merged = ["CC", "KCFLAGS"];
        let given = self.recipe.variables.iter().filter(|it| !merged.contains(&it.name.as_str()));
        let flags = self.recipe.variable("KCFLAGS").unwrap_or_default();
        // kbuild removes the tree's absolute path from __FILE__, as in WARN(). A compiler cache
        // passes relative paths to the compiler, so remove those too: the kernel must not depend
        // on the cache.
        let flags = format!("KCFLAGS=-fmacro-prefix-map={}= {flags}", relative(self.tree));
        let ours = [self.toolchain.variable(), flags.trim_end().to_owned()];
        own.chain(ours).chain(given.map(ToString::to_string)).collect()
    }

    /// The command that makes a target.
    pub(super) fn command(&self, target: &str) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.tree)
            .arg(format!("O={}", self.out.display()))
            .arg(format!("-j{}", self.recipe.jobs))
            // The compiler's messages follow the line that announces the object.
            .arg("--output-sync=target")
            .arg("--no-print-directory")
            .arg(format!("ARCH={}", Arch::X86_64))
            .args(self.variables())
            .arg(target);
        command
    }

    /// Runs a program of the build; returns true if it succeeded. The log has the reason if not.
    pub(super) fn run(&mut self, mut command: Command) -> Result<bool, BuildError> {
        let own: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passes(name)));
        command.env("LC_ALL", "C").envs(own);
        // Below this directory all trees have the same relative paths, so that they share objects.
        command.envs(self.tree.parent().map(|base| ("CCACHE_BASEDIR", base)));
        let stdin = self.lock.stdin();
        let ended = stdin
            .and_then(|stdin| process::follow(command, stdin, self.interrupt, &mut *self.hear));
        Ok(ended.map_err(BuildError::Start)?.success())
    }
}

/// True if a build inherits this environment variable.
fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    PASSED.contains(&name) || PASSED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Path of a tree relative to its build directory, which is its sibling.
pub(super) fn relative(tree: &Path) -> String {
    format!("../{}/", tree.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("PATH", true)]
    #[case("CCACHE_DIR", true)]
    #[case("KCPPFLAGS", false)]
    #[case("KBUILD_EXTRA_WARN", false)]
    #[case("HOSTCC", false)]
    #[case("CPATH", false)]
    #[case("LLVM", false)]
    fn a_build_inherits_no_variable_that_changes_the_kernel(
        #[case] name: &str,
        #[case] passed: bool,
    ) {
        assert_eq!(passes(OsStr::new(name)), passed);
    }
}
