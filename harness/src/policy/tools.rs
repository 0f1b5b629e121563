//! `semodule`: the host's, or that of the Debian suite whose policy it builds.
//!
//! An older libsepol does not read the modules of a newer one. So a suite's policy is built by the
//! suite's own programs, which are unpacked next to the store and run there: nothing is installed.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::compile::PolicyError;
use super::request::Obtaining;
use crate::debian::{Archive, DebianError, NamedPackage};
use crate::foreign;
use crate::foreign::meter::LONGEST_HEADER;
use crate::host::{self, Need};
use crate::kernel::deb::{self, DebError};

/// The directory of unpacked programs, below the directory that semodule runs in.
const PLACE: &str = "tools";
/// The directory of the compilers that semodule calls for modules that are not CIL.
pub(super) const COMPILERS: &str = "hll";

/// The packages of a suite that `semodule` needs, each with its possible names.
const PACKAGES: [&[&str]; 9] = [
    &["policycoreutils"],
    &["libsemanage2", "libsemanage1"],
    &["libsepol2", "libsepol1"],
    &["libselinux1"],
    &["libaudit1"],
    &["libcap-ng0"],
    &["libpcre2-8-0"],
    &["libbz2-1.0"],
    &["libc6"],
];

/// The programs that build a policy.
#[derive(Clone, Debug)]
pub(super) enum Tools {
    /// Those of this host.
    Host,
    /// Those of a Debian suite: `policycoreutils` and the libraries.
    Debian(Vec<NamedPackage>),
}

impl Tools {
    /// The tools of a suite.
    pub(super) fn of_suite(archive: &Archive<'_>, suite: &str) -> Result<Self, DebianError> {
        // Backports have only some packages, and those depend on the suite's.
        let suite = suite.strip_suffix("-backports").unwrap_or(suite);
        let suite = if suite == "experimental" { "sid" } else { suite };
        let found = PACKAGES.iter().map(|names| archive.find_named(suite, names));
        Ok(Self::Debian(found.collect::<Result<_, _>>()?))
    }

    /// Their identity, for the name of what they build.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Host => "host".to_owned(),
            Self::Debian(packages) => {
                packages.iter().map(NamedPackage::sha256).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// Prepares them in `directory`.
    ///
    /// # Errors
    ///
    /// The host does not have them, or the packages cannot be downloaded or unpacked.
    pub(super) fn prepare(
        &self,
        directory: &Path,
        archive: &Archive<'_>,
        obtaining: &Obtaining<'_>,
    ) -> Result<(), PolicyError> {
        let Self::Debian(packages) = self else { return Ok(host::require(&[Need::Policies])?) };
        let failed = |path: &Path, source| obtaining.cache.error("write", path, source);
        let place = directory.join(PLACE);
        let compilers = directory.join(COMPILERS);
        for directory in [&place, &compilers] {
            fs::create_dir(directory).map_err(|error| failed(directory, error))?;
        }
        for package in packages {
            let path = archive.fetch_named(package)?;
            unpack(&path, &place, obtaining)
                .map_err(|source| PolicyError::Package { path: path.clone(), source })?;
        }
        let compiler = compilers.join("pp");
        let script = format!("#!/bin/sh\nexec {} {PLACE}/pp \"$@\"\n", loader().join(" "));
        fs::write(&compiler, script)
            .and_then(|()| make_executable(&compiler))
            .map_err(|error| failed(&compiler, error))?;
        Ok(())
    }

    /// The command that starts `semodule` in `directory`.
    pub(super) fn semodule(&self, directory: &Path) -> Command {
        let mut command = match self {
            Self::Host => {
                // Distributions install it in sbin, which is not in every user's PATH.
                let found = host::find_program("semodule").ok();
                Command::new(found.unwrap_or_else(|| PathBuf::from("/usr/sbin/semodule")))
            }
            Self::Debian(_) => {
                let [loader, options @ ..] = loader();
                let mut command = Command::new(directory.join(loader));
                command.args(options).arg(format!("{PLACE}/semodule"));
                command
            }
        };
        command.current_dir(directory).env("LC_ALL", "C");
        command
    }
}

/// The dynamic loader of the unpacked libraries, with its options. The host's may be older than
/// they are.
fn loader() -> [String; 3] {
    let loader = format!("{PLACE}/ld-linux-x86-64.so.2");
    [loader, "--library-path".to_owned(), PLACE.to_owned()]
}

/// Unpacks the programs and the shared libraries of a package, all into one directory.
fn unpack(package: &Path, place: &Path, obtaining: &Obtaining<'_>) -> Result<(), DebError> {
    let interrupt = obtaining.interrupt;
    let read = |content: Box<dyn Read + '_>| -> Result<(), DebError> {
        let (mut archive, meter) = deb::open_content(content, interrupt);
        for entry in archive.entries()? {
            let entry = entry?;
            meter.allow(entry.size().saturating_add(LONGEST_HEADER));
            let path = entry.path()?.into_owned();
            let Some(name) = wanted(&path) else { continue };
            let to = place.join(name);
            let target = entry.link_name()?;
            match (entry.header().entry_type(), target) {
                (kind, _) if kind.is_file() => {
                    fs::write(&to, foreign::read_all(entry, &foreign::PROGRAM)?)?;
                    make_executable(&to)?;
                }
                (kind, Some(target)) if kind.is_symlink() => {
                    // The loader's link leads to another directory in the package.
                    let target = target.file_name().unwrap_or(OsStr::new(name));
                    if target != name {
                        symlink(target, &to)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    };
    deb::with_content(foreign::open(package)?, interrupt, read).map(drop)
}

/// The name of a file that `semodule` needs.
fn wanted(path: &Path) -> Option<&str> {
    match *deb::components(path).as_slice() {
        ["usr", "sbin", name @ "semodule"] | ["usr", "libexec", "selinux", "hll", name @ "pp"] => {
            Some(name)
        }
        ["usr", "lib", "x86_64-linux-gnu", name] | ["lib", "x86_64-linux-gnu", name]
            if name.contains(".so") =>
        {
            Some(name)
        }
        _ => None,
    }
}

fn make_executable(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}
