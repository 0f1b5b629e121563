//! Drives `secilc`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::cache::{Cache, CacheError};

/// The binary format that is asked for: every kernel since 4.13 reads it, and newer compilers would
/// write one that older kernels refuse (`POLICYDB_VERSION_MAX` is 33 in 5.10).
const POLICY_VERSION: &str = "31";

/// Why a policy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// No such policy.
    #[error("find a policy `{name}` (give a file, or one of: {known}){close}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The closest name.
        close: String,
        /// Those that there are.
        known: String,
    },
    /// The file cannot be read.
    #[error("read the policy {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no binary policy.
    #[error("use {path} as a policy: it is neither CIL source (.cil) nor a binary policy", path = .path.display())]
    NotAPolicy {
        /// Which.
        path: PathBuf,
    },
    /// A binary policy has no source to which a module could be added.
    #[error(
        "add a module to the policy `{name}`: it is binary; give its CIL source, or one of perfsec's own"
    )]
    Binary {
        /// Which.
        name: String,
    },
    /// The compiler is not there.
    #[error(
        "run secilc, which compiles SELinux policies (`perfsec doctor` says how to install it)"
    )]
    NoCompiler(#[source] io::Error),
    /// The compiler refused the policy.
    #[error("compile the policy `{name}`; secilc says:\n{output}")]
    Refused {
        /// Which.
        name: String,
        /// The compiler's words.
        output: String,
    },
    /// The result cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, PolicyError> {
    fs::read(path).map_err(|source| PolicyError::Read { path: path.to_owned(), source })
}

/// Compiles the files of a policy, each with what the user calls it, or finds the result of an
/// earlier compilation of the same texts.
pub(super) fn compile(
    name: &str,
    files: &[(&str, &[u8])],
    cache: &Cache,
) -> Result<Vec<u8>, PolicyError> {
    let mut key = Sha256::new();
    key.update(POLICY_VERSION);
    for (_, source) in files {
        key.update(source.len().to_le_bytes());
        key.update(source);
    }
    let key = crate::hex(&key.finalize());
    let kept = cache.path("policies", &key);
    if kept.is_file() {
        return read(&kept);
    }
    let room = cache.temporary()?;
    let output = room.path().join("policy");
    let mut copies = Vec::new();
    for (index, (called, source)) in files.iter().enumerate() {
        let copy = room.path().join(format!("{index}.cil"));
        fs::write(&copy, source).map_err(|error| cache.error("write", &copy, error))?;
        copies.push((copy, called));
    }
    let result = Command::new(super::compiler())
        .args(["--policyvers", POLICY_VERSION, "--output"])
        .arg(&output)
        .arg("--filecontext")
        .arg(room.path().join("file_contexts"))
        .args(copies.iter().map(|(copy, _)| copy))
        .output()
        .map_err(PolicyError::NoCompiler)?;
    if !result.status.success() {
        let words = String::from_utf8_lossy(&result.stderr);
        // It was given copies, and speaks of those.
        let output = copies.iter().fold(words.trim().to_owned(), |words, (copy, called)| {
            words.replace(&copy.display().to_string(), called)
        });
        return Err(PolicyError::Refused { name: name.to_owned(), output });
    }
    let binary = read(&output)?;
    cache.adopt("policies", &key, &output)?;
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs secilc"]
    fn the_compiler_speaks_of_the_file_that_the_user_gave() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for (source, place) in
            [("(nonsense", "line 1 of mine.cil"), ("\n(allow a b c)", "mine.cil:2")]
        {
            let files = [("mine.cil", source.as_bytes())];
            let error = compile("mine", &files, &cache).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
            assert!(!error.contains(&directory.path().display().to_string()), "{error}");
        }
    }
}
