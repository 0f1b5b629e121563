//! Drives the kernel's own `make`.

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

/// What would make two builds of the same thing differ: when, where and by whom.
/// `LOCALVERSION`, set and empty, keeps `scripts/setlocalversion` from writing a `+` for commits without a tag.
const CONSTANT: &[&str] = &[
    "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
    "KBUILD_BUILD_USER=perfsec",
    "KBUILD_BUILD_HOST=perfsec",
    "KBUILD_BUILD_VERSION=1",
    "LOCALVERSION=",
];

/// What a build gets of the environment: where programs, their libraries and their caches are. Anything else
/// can change the kernel (kbuild reads variables such as `KCPPFLAGS` and `HOSTCC` from there,
/// Documentation/kbuild/kbuild.rst, and gcc `CPATH`), and would be in no record.
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

/// The same of caches of compiled objects, by how their variables begin.
const PASSED_OF_CACHES: &[&str] = &["CCACHE_", "SCCACHE_"];

/// One build directory and what it is built from.
pub(super) struct Make<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) toolchain: &'a Toolchain,
    /// The source, in which nothing was ever built.
    pub(super) tree: &'a Path,
    /// The build directory.
    pub(super) out: &'a Path,
    /// Of the tree and the directory.
    pub(super) lock: &'a Lock,
    pub(super) interrupt: &'a Interrupt,
    /// Is told each line.
    pub(super) hear: &'a mut dyn FnMut(&str),
}

impl Make<'_> {
    /// What every `make` of this build is given.
    pub(super) fn variables(&self) -> Vec<String> {
        let own = CONSTANT.iter().map(|constant| (*constant).to_owned());
        let apart = ["CC", "KCFLAGS"];
        let given = self.recipe.variables.iter().filter(|it| !apart.contains(&it.name.as_str()));
        let flags = self.recipe.variable("KCFLAGS").unwrap_or_default();
        // A cache gives the compiler relative names. kbuild takes the absolute ones out of messages like that of
        // WARN(), and these have to go as well: with and without a cache the kernel is the same.
        let flags = format!("KCFLAGS=-fmacro-prefix-map={}= {flags}", relative(self.tree));
        let ours = [self.toolchain.variable(), flags.trim_end().to_owned()];
        own.chain(ours).chain(given.map(ToString::to_string)).collect()
    }

    /// `make` of a target.
    pub(super) fn command(&self, target: &str) -> Command {
        let mut command = Command::new("make");
        command
            .arg("-C")
            .arg(self.tree)
            .arg(format!("O={}", self.out.display()))
            .arg(format!("-j{}", self.recipe.jobs))
            // So that what a compiler says follows the line that names the object.
            .arg("--output-sync=target")
            .arg("--no-print-directory")
            .arg(format!("ARCH={}", Arch::X86_64))
            .args(self.variables())
            .arg(target);
        command
    }

    /// Runs a program of the build, and says whether it ended well; the log says why not.
    pub(super) fn run(&mut self, mut command: Command) -> Result<bool, BuildError> {
        let own: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| passes(name)));
        command.env("LC_ALL", "C").envs(own);
        // Every tree has the same names from here on: what was compiled of one is found for another.
        command.envs(self.tree.parent().map(|base| ("CCACHE_BASEDIR", base)));
        let stdin = self.lock.stdin();
        let ended = stdin
            .and_then(|stdin| process::follow(command, stdin, self.interrupt, &mut *self.hear));
        Ok(ended.map_err(BuildError::Start)?.success())
    }
}

/// Whether a build gets this variable of the environment.
fn passes(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    PASSED.contains(&name) || PASSED_OF_CACHES.iter().any(|of_cache| name.starts_with(of_cache))
}

/// A tree as it is named from its build directory, which is beside it.
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
    fn what_changes_a_kernel_comes_from_no_environment(#[case] name: &str, #[case] passed: bool) {
        assert_eq!(passes(OsStr::new(name)), passed);
    }
}
