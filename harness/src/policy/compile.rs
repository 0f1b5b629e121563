//! Compiles policies with `secilc`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::table::TableError;
use crate::cache::{Cache, CacheError, Room};
use crate::foreign;

/// The version of the binary format. Every kernel since 5.7 reads it, and CAP_PERFMON came with
/// 5.8; by default, newer compilers write one that older kernels refuse (`POLICYDB_VERSION_MAX` is
/// 33 in 5.10). The kernel writes its policy out at every change of the mode
/// (`selinux_ima_measure_state()`), and is faster in this version than in older ones.
const POLICY_VERSION: &str = "33";

/// An error from obtaining a policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No policy has that name.
    #[error("find a policy `{name}` (give a file, or one of: {known}){close}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The closest name, as a suggestion.
        close: String,
        /// The names of all policies.
        known: String,
    },
    /// The file cannot be read.
    #[error("read the policy {path}", path = .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// The file is not a binary policy.
    #[error(
        "use {path} as a policy: it is neither CIL source (.cil) nor a binary policy",
        path = .path.display()
    )]
    NotAPolicy {
        /// Its path.
        path: PathBuf,
    },
    /// The policy is binary, and a module can only be added to source.
    #[error(
        "add a module to the policy `{name}`: it is binary \
         (give its CIL source, or a built-in policy)"
    )]
    Binary {
        /// Its name.
        name: String,
    },
    /// The compiler is not installed.
    #[error(
        "run secilc, which compiles SELinux policies (`perfsec doctor` says how to install it)"
    )]
    NoCompiler(#[source] io::Error),
    /// The compiler refused the policy.
    #[error("compile the policy `{name}`; secilc says:\n{output}")]
    Refused {
        /// Its name.
        name: String,
        /// The compiler's error output.
        output: String,
    },
    /// The table of the domains of our policies has a mistake.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The result cannot be cached.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// The path of the policy compiler.
#[must_use]
pub fn compiler() -> PathBuf {
    PathBuf::from("secilc")
}

/// A file of CIL source: the name by which errors call it, and its text.
pub(super) type CilFile = (String, Vec<u8>);

pub(super) fn read(path: &Path) -> Result<Vec<u8>, PolicyError> {
    foreign::read(path, &foreign::POLICY)
        .map_err(|source| PolicyError::Read { path: path.to_owned(), source })
}

/// Compiles the files of a policy, or returns the cached result of an earlier compilation.
pub(super) fn compile(
    name: &str,
    files: &[CilFile],
    cache: &Cache,
) -> Result<Vec<u8>, PolicyError> {
    let key = key(files);
    if let Some(binary) = cache.read(Room::POLICIES, &key) {
        return Ok(binary);
    }
    let directory = cache.temporary()?;
    let output = directory.path().join("policy");
    let mut copies = Vec::new();
    for (index, (file, source)) in files.iter().enumerate() {
        let copy = directory.path().join(format!("{index}.cil"));
        fs::write(&copy, source).map_err(|error| cache.error("write", &copy, error))?;
        copies.push((copy, file));
    }
    let result = Command::new(compiler())
        .args(["--policyvers", POLICY_VERSION, "--output"])
        .arg(&output)
        .arg("--filecontext")
        .arg(directory.path().join("file_contexts"))
        .args(copies.iter().map(|(copy, _)| copy))
        .output()
        .map_err(PolicyError::NoCompiler)?;
    if !result.status.success() {
        let words = String::from_utf8_lossy(&result.stderr);
        // secilc names the copies, which the user does not know.
        let output = copies.iter().fold(words.trim().to_owned(), |words, (copy, file)| {
            words.replace(&copy.display().to_string(), file)
        });
        return Err(PolicyError::Refused { name: name.to_owned(), output });
    }
    let binary = read(&output)?;
    cache.publish(Room::POLICIES, &key, &binary)?;
    Ok(binary)
}

/// The name of a compiled policy in the cache: a hash of all that it is made of.
fn key(files: &[CilFile]) -> String {
    let mut key = Sha256::new();
    key.update(POLICY_VERSION);
    for (_, source) in files {
        key.update(source.len().to_le_bytes());
        key.update(source);
    }
    crate::hex(&key.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::spoil;

    #[test]
    #[ignore = "needs secilc"]
    fn a_damaged_policy_is_compiled_again() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let files = crate::policy::ours::Source::built_in("minimal").unwrap().unwrap().files();
        let compile = || compile("minimal", &files, &cache).unwrap();
        let binary = compile();
        let obtain = || assert!(compile() == binary, "another binary");
        let is_used = || cache.read(Room::POLICIES, &key(&files)).is_some();
        spoil::is_never_believed(&cache, Room::POLICIES, obtain, is_used);
    }

    #[test]
    #[ignore = "needs secilc"]
    fn an_error_names_the_file_that_the_user_gave() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for (source, place) in
            [("(nonsense", "line 1 of mine.cil"), ("\n(allow a b c)", "mine.cil:2")]
        {
            let files = [("mine.cil".to_owned(), source.into())];
            let error = compile("mine", &files, &cache).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
            assert!(!error.contains(&directory.path().display().to_string()), "{error}");
        }
    }
}
