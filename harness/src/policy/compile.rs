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

/// The first word of a binary policy (`POLICYDB_MAGIC`, security/selinux/ss/policydb.h).
const MAGIC: [u8; 4] = 0xf97c_ff8c_u32.to_le_bytes();

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

pub(super) fn binary(path: &Path) -> Result<Vec<u8>, PolicyError> {
    let bytes = read(path)?;
    if bytes.starts_with(&MAGIC) {
        return Ok(bytes);
    }
    Err(PolicyError::NotAPolicy { path: path.to_owned() })
}

/// Compiles CIL source, or finds the result of an earlier compilation of the same text.
pub(super) fn compile(name: &str, source: &[u8], cache: &Cache) -> Result<Vec<u8>, PolicyError> {
    let mut key = Sha256::new();
    key.update(POLICY_VERSION);
    key.update(source);
    let key = crate::hex(&key.finalize());
    let kept = cache.path("policies", &key);
    if kept.is_file() {
        return read(&kept);
    }
    let room = cache.temporary()?;
    let (input, output) = (room.path().join("policy.cil"), room.path().join("policy"));
    fs::write(&input, source).map_err(|error| cache.error("write", &input, error))?;
    let result = Command::new(super::compiler())
        .args(["--policyvers", POLICY_VERSION, "--output"])
        .arg(&output)
        .arg("--filecontext")
        .arg(room.path().join("file_contexts"))
        .arg(&input)
        .output()
        .map_err(PolicyError::NoCompiler)?;
    if !result.status.success() {
        let words = String::from_utf8_lossy(&result.stderr);
        // It was given a copy, and speaks of that.
        let output = words.trim().replace(&input.display().to_string(), name);
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
            let error = compile("mine.cil", source.as_bytes(), &cache).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
            assert!(!error.contains(&directory.path().display().to_string()), "{error}");
        }
    }
}
