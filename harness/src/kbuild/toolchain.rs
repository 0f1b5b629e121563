//! Detects the compiler, the linker and the compiler cache of a build.

use std::io;
use std::process::{Command, Stdio};

use super::recipe::Recipe;
use crate::host::find_program;

/// Compiler caches, in order of preference.
const CACHES: &[&str] = &["ccache", "sccache"];

/// The compiler and the linker of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The compiler's command, as in `make CC=…`, without a cache.
    command: String,
    /// The first line of the compiler's `--version`.
    pub compiler: String,
    /// The first line of the linker's `--version`.
    pub linker: String,
    /// `ccache` or `sccache`.
    cache: Option<&'static str>,
}

/// A compiler or a linker that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error(
    "run {program}, which builds the kernel (`perfsec doctor --for kernel-build` says how to \
     install it)"
)]
pub struct ToolchainError {
    /// The command.
    pub program: String,
    /// The system's error.
    pub source: io::Error,
}

impl Toolchain {
    /// Detects the programs that `make` will run with the recipe's variables.
    ///
    /// # Errors
    ///
    /// The compiler or the linker cannot be run.
    pub fn detect(recipe: &Recipe) -> Result<Self, ToolchainError> {
        let cross = recipe.variable("CROSS_COMPILE").unwrap_or_default();
        let (cc, ld) = match recipe.variable("LLVM") {
            None | Some("") => (format!("{cross}gcc"), format!("{cross}ld")),
            // A version (`-15`), or a directory with a trailing slash (below).
            Some(suffix) if suffix.starts_with('-') => {
                (format!("clang{suffix}"), format!("ld.lld{suffix}"))
            }
            Some(prefix) if prefix.ends_with('/') => {
                (format!("{prefix}clang"), format!("{prefix}ld.lld"))
            }
            Some(_) => ("clang".to_owned(), "ld.lld".to_owned()),
        };
        let command = recipe.variable("CC").map_or(cc, str::to_owned);
        let linker = recipe.variable("LD").map_or(ld, str::to_owned);
        let cached = CACHES.iter().any(|cache| command.starts_with(cache));
        let cache = CACHES.iter().find(|cache| !cached && find_program(cache).is_ok()).copied();
        Ok(Self { compiler: version(&command)?, linker: version(&linker)?, command, cache })
    }

    /// The variable that sets the compiler: `CC=ccache gcc`.
    pub(super) fn variable(&self) -> String {
        match self.cache {
            Some(cache) => format!("CC={cache} {}", self.command),
            None => format!("CC={}", self.command),
        }
    }
}

/// The first line of a program's `--version`.
fn version(command: &str) -> Result<String, ToolchainError> {
    let failed = |source| ToolchainError { program: command.to_owned(), source };
    let mut words = command.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .arg("--version")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().next().filter(|_| output.status.success()) {
        Some(line) => Ok(line.trim().to_owned()),
        None => Err(failed(io::Error::other(format!("--version: {}", output.status)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(variables: &[&str]) -> Recipe {
        let variables = variables.iter().map(|text| text.parse().unwrap()).collect();
        Recipe { variables, ..Recipe::new(Vec::new()) }
    }

    #[test]
    fn the_error_names_a_missing_compiler() {
        for (variable, named) in [
            ("CC=no-such-cc", "no-such-cc"),
            ("CROSS_COMPILE=no-such-", "no-such-gcc"),
            ("LLVM=-0", "clang-0"),
        ] {
            let error = Toolchain::detect(&recipe(&[variable])).unwrap_err();
            assert_eq!(error.program, named);
        }
    }

    #[test]
    #[ignore = "needs gcc"]
    fn the_version_of_the_compiler_is_read() {
        let toolchain = Toolchain::detect(&recipe(&[])).unwrap();
        assert!(toolchain.compiler.contains("gcc"), "{}", toolchain.compiler);
        assert!(toolchain.variable().ends_with("gcc"));
        let own = Toolchain::detect(&recipe(&["CC=ccache gcc"]));
        assert!(own.is_err() || own.unwrap().variable() == "CC=ccache gcc");
    }
}
