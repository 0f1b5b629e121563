//! Checks if cells can run on this machine, without changing it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::Uid;

use crate::foreign;
use crate::policy;

/// The reason why no cell can run on this machine.
#[derive(Debug, thiserror::Error)]
#[error("run cells on this machine: {0}")]
pub struct CannotRunHere(String);

/// The parts of a machine that decide; tests have their own.
#[derive(Debug)]
struct Machine {
    root: PathBuf,
    is_root: bool,
    /// The kernel's answer to a socket for audit.
    audit: Result<(), Errno>,
}

/// Checks this machine.
///
/// # Errors
///
/// The first thing that is missing.
pub fn check() -> Result<(), CannotRunHere> {
    let audit = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkAudit,
    );
    let is_root = Uid::effective().is_root();
    Machine { root: PathBuf::from("/"), is_root, audit: audit.map(drop) }.check()
}

impl Machine {
    fn check(&self) -> Result<(), CannotRunHere> {
        match self.missing() {
            Some(missing) => Err(CannotRunHere(missing)),
            None => Ok(()),
        }
    }

    /// The first thing that is missing, as a clause.
    fn missing(&self) -> Option<String> {
        let lsm = self.read("sys/kernel/security/lsm").unwrap_or_default();
        let filesystems = self.read("proc/filesystems").unwrap_or_default();
        let knows = |name: &str| filesystems.split_whitespace().any(|word| word == name);
        let modules = match lsm.trim() {
            "" => String::new(),
            lsm => format!(" (its security modules are {lsm})"),
        };
        let loaded = policy::LOADED.trim_start_matches('/');
        Some(if !cfg!(target_arch = "x86_64") {
            "perfsec knows the syscalls of x86-64 only".to_owned()
        } else if !knows("selinuxfs") {
            format!("its kernel has no SELinux, or it is turned off{modules}")
        } else if !self.has(loaded) {
            format!("no SELinux policy is loaded: {} is missing", policy::LOADED)
        } else if !self.is_root {
            "that needs root".to_owned()
        } else if !self.is_whole_machine() {
            "this is a container, whose root cannot change the kernel".to_owned()
        } else if let Err(errno) = self.audit {
            format!("its kernel has no audit, or it is turned off ({})", errno.desc())
        } else if !self.has("proc/sys/kernel/perf_event_paranoid") {
            "its kernel has no perf events".to_owned()
        } else if !knows("tracefs") {
            "its kernel has no tracefs, which shows the syscalls of a subject".to_owned()
        } else if self
            .read("sys/kernel/security/lockdown")
            .is_ok_and(|text| text.contains("[confidentiality]"))
        {
            "lockdown=confidentiality hides tracefs".to_owned()
        } else {
            return None;
        })
    }

    /// True outside user namespaces: this root is that of the kernel.
    fn is_whole_machine(&self) -> bool {
        let map = self.read("proc/self/uid_map").unwrap_or_default();
        map.split_whitespace().eq(["0", "0", "4294967295"])
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn read(&self, path: &str) -> io::Result<String> {
        foreign::read_text(Path::new(&self.root.join(path)), &foreign::SYSTEM_FILE)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    const FILES: [(&str, &str); 6] = [
        ("proc/filesystems", "nodev\tselinuxfs\nnodev\ttracefs\n"),
        ("proc/self/uid_map", "         0          0 4294967295\n"),
        ("proc/sys/kernel/perf_event_paranoid", "2\n"),
        ("sys/fs/selinux/policy", "policy"),
        ("sys/kernel/security/lsm", "lockdown,capability,selinux"),
        ("sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
    ];

    /// A machine on which cells can run, but for one file.
    fn machine(changed: &str, content: Option<&str>) -> (TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in FILES {
            let content = if path == changed { content } else { Some(text) };
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            content.into_iter().for_each(|text| fs::write(&path, text).unwrap());
        }
        let machine = Machine { root: root.path().to_owned(), is_root: true, audit: Ok(()) };
        (root, machine)
    }

    #[rstest]
    #[case::whole("", None, None)]
    #[case::without_selinux(
        "proc/filesystems",
        Some("nodev\ttracefs\n"),
        Some("no SELinux, or it is turned off (its security modules are lockdown,")
    )]
    #[case::without_policy("sys/fs/selinux/policy", None, Some("no SELinux policy is loaded"))]
    #[case::container("proc/self/uid_map", Some("0 100000 65536"), Some("a container"))]
    #[case::without_perf("proc/sys/kernel/perf_event_paranoid", None, Some("no perf events"))]
    #[case::without_tracing("proc/filesystems", Some("nodev selinuxfs"), Some("no tracefs"))]
    #[case::locked_down(
        "sys/kernel/security/lockdown",
        Some("none integrity [confidentiality]"),
        Some("hides tracefs")
    )]
    fn the_first_thing_that_is_missing_is_named_in_one_line(
        #[case] changed: &str,
        #[case] content: Option<&str>,
        #[case] words: Option<&str>,
    ) {
        let (_root, machine) = machine(changed, content);
        let found = machine.check().err().map(|error| error.to_string());
        match (found, words) {
            (Some(found), Some(words)) => {
                assert!(found.contains(words) && found.lines().count() == 1, "{found}");
            }
            (found, words) => assert_eq!(found.as_deref(), words),
        }
    }

    #[test]
    fn root_and_audit_are_needed() {
        let (_root, whole) = machine("", None);
        let user = Machine { is_root: false, root: whole.root.clone(), ..whole };
        assert!(user.check().unwrap_err().to_string().ends_with("that needs root"));
        let deaf = Machine { is_root: true, audit: Err(Errno::EPROTONOSUPPORT), ..user };
        assert!(deaf.check().unwrap_err().to_string().contains("no audit"));
    }
}
