//! Compiles policies with `secilc`; the errors of policies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::extended::ExtendError;
use super::request::PolicyNameError;
use super::table::TableError;
use crate::cache::{Cache, CacheError, Room};
use crate::debian::DebianError;
use crate::foreign;
use crate::host::MissingTools;
use crate::kernel::{DebError, KernelVersion, RpmError};

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
        "use {path} as a policy: it is neither CIL source (.cil), a binary policy, a package \
         (.deb, .rpm) nor a directory with a policy",
        path = .path.display()
    )]
    NotAPolicy {
        /// Its path.
        path: PathBuf,
    },
    /// The policy is binary, and only source and modules can be changed.
    #[error(
        "change the policy `{name}`: it is binary \
         (give its CIL source, its store, its package, or a built-in policy)"
    )]
    Binary {
        /// Its name.
        name: String,
    },
    /// The name cannot be parsed.
    #[error(transparent)]
    Name(#[from] PolicyNameError),
    /// Debian's archive failed.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// A package cannot be unpacked.
    #[error("use {} as a policy", .path.display())]
    Package {
        /// The package.
        path: PathBuf,
        /// The reason.
        source: DebError,
    },
    /// An RPM package cannot be unpacked.
    #[error("use {} as a policy", .path.display())]
    Rpm {
        /// The package.
        path: PathBuf,
        /// The reason.
        source: RpmError,
    },
    /// The package or directory is intact and has no policy.
    #[error(
        "find a policy in {place}: it has no modules (usr/share/selinux/TYPE), no store \
         (var/lib/selinux/TYPE) and no linked policy (etc/selinux/TYPE/policy)"
    )]
    NoPolicy {
        /// The package or directory.
        place: String,
    },
    /// The package has policies of several types.
    #[error(
        "choose a policy in {place}: it has {kinds}; unpack it and give a directory like \
         etc/selinux/TYPE"
    )]
    Several {
        /// The package.
        place: String,
        /// The types.
        kinds: String,
    },
    /// Two policies of a run have the same name, so that its reports could not tell them apart.
    #[error("run under two policies: both are called {name}")]
    Twice {
        /// Their name.
        name: String,
    },
    /// The kernel does not read this version of the binary format.
    #[error(
        "load the policy `{name}` into Linux {kernel}: the policy has version {version}, and this \
         kernel reads versions up to {highest} (give its modules, its store or its CIL source, \
         from which perfsec builds an older version)"
    )]
    TooNew {
        /// The policy's name.
        name: String,
        /// Its version.
        version: u32,
        /// The kernel.
        kernel: KernelVersion,
        /// The kernel's highest version.
        highest: u32,
    },
    /// Our domains cannot be added to the policy that a machine has loaded.
    #[error("add perfsec's domains to the loaded policy")]
    Extend(#[from] ExtendError),
    /// The file of a module has a name that `semodule` does not accept.
    #[error("add the module {}: expected NAME.cil or NAME.pp", .path.display())]
    ModuleName {
        /// As given by the user.
        path: PathBuf,
    },
    /// `semodule` is not installed.
    #[error(transparent)]
    Tools(#[from] MissingTools),
    /// `semodule` cannot be started.
    #[error("run semodule")]
    NoSemodule(#[source] io::Error),
    /// `semodule` refused a module or a change.
    #[error("build the policy `{name}`; semodule says:\n{output}")]
    Semodule {
        /// The policy's name.
        name: String,
        /// The error output.
        output: String,
    },
    /// The policy does not have a boolean that is to be set.
    #[error("set the boolean {boolean}: the policy `{name}` does not have it{close}")]
    UnknownBoolean {
        /// Its name.
        boolean: String,
        /// The policy's name.
        name: String,
        /// The closest name, as a suggestion.
        close: String,
    },
    /// The user stopped it.
    #[error("build the policy `{name}`: interrupted")]
    Interrupted {
        /// The policy's name.
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
