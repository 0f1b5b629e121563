//! Runs mmdebstrap, which makes the root of a guest system.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use tempfile::TempDir;

use super::error::GuestError;
use super::packages;
use crate::debian::Sources;
use crate::host;
use crate::interrupt::Interrupt;
use crate::process;

/// The program.
const PROGRAM: &str = "mmdebstrap";

/// util-linux's program for namespaces.
const UNSHARE: &str = "unshare";

/// The first process in a namespace ignores SIGTERM unless it handles it, so mmdebstrap is the
/// second.
const INIT: [&str; 4] = ["/bin/sh", "-c", "\"$@\"; exit $?", "init"];

/// Turns a Debian root into a guest system.
pub(super) const CUSTOMIZE: &str = include_str!("customize.sh");

/// Lines of its output that an error quotes.
const QUOTED: usize = 12;

/// apt's words about a package that the suite does not have.
const NO_PACKAGE: [(&str, &str); 2] = [
    ("Unable to locate package ", ""),
    // It is named by others, but not there.
    ("Package '", "' has no installation candidate"),
];

/// The way in which mmdebstrap gets the rights of root in the new root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    Root,
    Namespace,
}

/// Makes the root of a system and passes it, a tar, to `read`.
///
/// # Errors
///
/// A tool or a right is missing, the suite lacks a package, or mmdebstrap fails.
pub(super) fn bootstrap<T>(
    suite: &str,
    sources: &Sources,
    temporary: &Path,
    interrupt: &Interrupt,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> Result<T, GuestError> {
    let rights = rights()?;
    // A mapped user must be able to read it, whoever may read the cache.
    let place = match rights {
        Rights::Root => TempDir::new_in(temporary),
        Rights::Namespace => TempDir::with_prefix("perfsec-guest-"),
    };
    let place = place.map_err(GuestError::Run)?;
    let written = write_inputs(place.path(), sources, rights);
    let command =
        written.map_err(GuestError::Run).map(|()| command(suite, place.path(), rights))?;
    let streamed = process::stream(command, interrupt, read).map_err(GuestError::Run)?;
    if interrupt.is_raised() {
        return Err(GuestError::Interrupted { suite: suite.to_owned() });
    }
    match streamed.status.success() {
        true => Ok(streamed.value),
        false => Err(failure(suite, &streamed.stderr)),
    }
}

/// Writes the files that mmdebstrap reads.
fn write_inputs(place: &Path, sources: &Sources, rights: Rights) -> io::Result<()> {
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    mode(place, if rights == Rights::Root { 0o700 } else { 0o755 })?;
    let mut script = fs::File::create(place.join("customize"))?;
    script.write_all(CUSTOMIZE.as_bytes())?;
    mode(&place.join("customize"), 0o755)?;
    fs::write(place.join("sources"), &sources.list)?;
    fs::write(place.join("apt.conf"), &sources.configuration)?;
    let excluded = packages::EXCLUDED.iter().map(|it| format!("path-exclude={it}\n"));
    fs::write(place.join("dpkg.cfg"), excluded.collect::<String>())?;
    // Where mmdebstrap makes the root.
    let root = place.join("tmp");
    fs::create_dir(&root)?;
    mode(&root, if rights == Rights::Root { 0o700 } else { 0o1777 })
}

fn command(suite: &str, place: &Path, rights: Rights) -> Command {
    let path = |name: &str| place.join(name).display().to_string();
    // It ends when perfsec does, however that ends.
    let mut command = Command::new("setpriv");
    let mode = match rights {
        // As root it mounts on this machine's own tree. In namespaces of their own its mounts and
        // all its children go with it.
        Rights::Root => {
            command.args(["--pdeathsig", "KILL", UNSHARE, "--mount-proc", "--pid", "--fork"]);
            command.arg("--kill-child").args(INIT);
            "root"
        }
        // It removes what belongs to mapped users, which perfsec may not.
        Rights::Namespace => {
            command.args(["--pdeathsig", "TERM"]);
            "unshare"
        }
    };
    command.arg(PROGRAM);
    command
        .env("TMPDIR", path("tmp"))
        .env("LC_ALL", "C.UTF-8")
        .arg(format!("--mode={mode}"))
        // With apt, to see in the guest which versions it has.
        .arg("--variant=minbase")
        .arg("--format=tar")
        // It would empty machine-id, and every boot would be a first boot.
        .arg("--skip=cleanup/reproducible")
        .arg(format!("--include={}", packages::names()))
        .arg(format!("--aptopt={}", path("apt.conf")))
        .arg(format!("--dpkgopt={}", path("dpkg.cfg")))
        .arg(format!("--customize-hook={}", path("customize")))
        .args([suite, "-", &path("sources")]);
    command
}

fn rights() -> Result<Rights, GuestError> {
    if Uid::effective().is_root() {
        return Ok(Rights::Root);
    }
    let no = |why: String| GuestError::NoNamespaces { why };
    // It maps the users of a namespace, which is root's to allow.
    if host::find_program("newuidmap").is_err() {
        return Err(no("newuidmap is missing (Debian's package uidmap has it)".to_owned()));
    }
    let tried = Command::new(UNSHARE).args(["--user", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(Rights::Namespace),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(no(format!("user namespaces are not allowed here ({})", said.trim())))
        }
        Err(error) => Err(no(format!("unshare cannot be run ({error})"))),
    }
}

/// The error of mmdebstrap, from what it printed.
fn failure(suite: &str, printed: &str) -> GuestError {
    let suite = suite.to_owned();
    let name = |line: &str| {
        NO_PACKAGE.iter().find_map(|(before, after)| {
            let (_, rest) = line.split_once(before)?;
            let name = if after.is_empty() { Some(rest) } else { rest.split(after).next() };
            name.map(|it| it.trim().to_owned())
        })
    };
    let mut missing: Vec<_> = printed.lines().filter_map(name).collect();
    missing.dedup();
    if !missing.is_empty() {
        return GuestError::NoPackage { packages: missing, suite };
    }
    let lines: Vec<_> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let words = lines[lines.len().saturating_sub(QUOTED)..].join("\n");
    GuestError::Failed { suite, words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_the_suite_lacks_is_named() {
        let printed = "I: running apt-get update...\nE: Unable to locate package linux-perf\n\
                       E: Package 'bpftrace' has no installation candidate\nE: apt-get failed\n";
        let error = failure("sarge", printed).to_string();
        assert!(error.contains("no package linux-perf, bpftrace"), "{error}");
        assert!(error.contains("debian:sarge"), "{error}");
    }

    #[test]
    fn another_failure_is_told_by_the_end_of_the_output() {
        let printed: String = (0..50).map(|it| format!("line {it}\n\n")).collect();
        let error = failure("trixie", &printed).to_string();
        assert!(error.contains("line 49") && !error.contains("line 9\n"), "{error}");
    }

    #[test]
    fn inputs_are_written_where_a_mapped_user_can_read_them() {
        let place = tempfile::tempdir().unwrap();
        let sources = Sources { list: "deb x".to_owned(), configuration: "Acquire".to_owned() };
        write_inputs(place.path(), &sources, Rights::Namespace).unwrap();
        let mode = |name: &str| {
            fs::metadata(place.path().join(name)).unwrap().permissions().mode() & 0o7777
        };
        assert_eq!((mode(""), mode("customize"), mode("tmp")), (0o755, 0o755, 0o1777));
        let dpkg = fs::read_to_string(place.path().join("dpkg.cfg")).unwrap();
        assert!(dpkg.contains("path-exclude=/usr/share/man/*\n"), "{dpkg}");
    }
}
