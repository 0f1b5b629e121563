//! Drives the kernel's own `make`.

use std::path::Path;
use std::process::Command;

use super::error::BuildError;
use super::recipe::Recipe;
use super::toolchain::Toolchain;
use crate::interrupt::Interrupt;
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

/// What somebody who builds kernels by hand may have in the environment: it would be in no record.
const FOREIGN: &[&str] = &[
    "ARCH",
    "CC",
    "CROSS_COMPILE",
    "GNUMAKEFLAGS",
    "INSTALL_MOD_PATH",
    "KBUILD_OUTPUT",
    "KCFLAGS",
    "KCONFIG_ALLCONFIG",
    "KCONFIG_CONFIG",
    "LD",
    "LLVM",
    "LLVM_IAS",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "O",
    "V",
    "W",
];

/// One build directory and what it is built from.
pub(super) struct Make<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) toolchain: &'a Toolchain,
    /// The source, in which nothing was ever built.
    pub(super) tree: &'a Path,
    /// The build directory.
    pub(super) out: &'a Path,
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
            .arg("ARCH=x86_64")
            .args(self.variables())
            .arg(target);
        command
    }

    /// Runs a program of the build, and says whether it ended well; the log says why not.
    pub(super) fn run(&mut self, mut command: Command) -> Result<bool, BuildError> {
        let own: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for name in FOREIGN.iter().filter(|name| !own.iter().any(|own| own == **name)) {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C");
        // Every tree has the same names from here on: what was compiled of one is found for another.
        command.envs(self.tree.parent().map(|base| ("CCACHE_BASEDIR", base)));
        let status = process::follow(command, self.interrupt, &mut *self.hear);
        Ok(status.map_err(BuildError::Start)?.success())
    }
}

/// A tree as it is named from its build directory, which is beside it.
pub(super) fn relative(tree: &Path) -> String {
    format!("../{}/", tree.file_name().unwrap_or_default().to_string_lossy())
}
