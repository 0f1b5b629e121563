//! Checks if cells can run on a machine that runs already, without changing it.

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use nix::unistd::Uid;

use crate::foreign::{self, Files};
use crate::policy;

/// The reason why no cell can run on a machine.
#[derive(Debug, thiserror::Error)]
#[error("run cells on {machine}: {missing}")]
pub struct CannotRun {
    /// The machine: `this machine`.
    machine: String,
    /// A clause.
    missing: String,
}

impl CannotRun {
    /// `machine` fits after "on"; `missing` is a clause.
    pub(in crate::machines) fn new(machine: &str, missing: &str) -> Self {
        Self { machine: machine.to_owned(), missing: missing.to_owned() }
    }
}

/// The rights of perfsec on a machine.
#[derive(Clone, Copy, Debug)]
pub(in crate::machines) struct Rights {
    /// perfsec is root there.
    pub(in crate::machines) is_root: bool,
    /// The kernel's answer to a socket for audit.
    pub(in crate::machines) audit: Result<(), Errno>,
}

impl Rights {
    /// Those on this machine.
    pub(in crate::machines) fn local() -> Self {
        let audit = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkAudit,
        );
        Self { is_root: Uid::effective().is_root(), audit: audit.map(drop) }
    }
}

/// Checks a machine; `name` fits after "on".
///
/// # Errors
///
/// The first thing that is missing.
pub(in crate::machines) fn check(
    name: &str,
    files: &dyn Files,
    rights: Rights,
) -> Result<(), CannotRun> {
    match missing(files, rights) {
        Some(missing) => Err(CannotRun::new(name, &missing)),
        None => Ok(()),
    }
}

/// The first thing that is missing, as a clause.
fn missing(files: &dyn Files, rights: Rights) -> Option<String> {
    let read = |path: &str| files.text(path, &foreign::SYSTEM_FILE);
    let lsm = read("/sys/kernel/security/lsm").unwrap_or_default();
    let filesystems = read("/proc/filesystems").unwrap_or_default();
    let knows = |name: &str| filesystems.split_whitespace().any(|word| word == name);
    let modules = match lsm.trim() {
        "" => String::new(),
        lsm => format!(" (its security modules are {lsm})"),
    };
    // Root may read it; others learn below what they lack.
    let has_policy = files.exists(policy::LOADED);
    Some(if !cfg!(target_arch = "x86_64") {
        "perfsec knows the syscalls of x86-64 only".to_owned()
    } else if !knows("selinuxfs") {
        format!("its kernel has no SELinux, or it is turned off{modules}")
    } else if !has_policy {
        format!("no SELinux policy is loaded: {} is missing", policy::LOADED)
    } else if !rights.is_root {
        "that needs root".to_owned()
    } else if !is_whole_machine(&read("/proc/self/uid_map").unwrap_or_default()) {
        "this is a container, whose root cannot change the kernel".to_owned()
    } else if let Err(errno) = rights.audit {
        format!("its kernel has no audit, or it is turned off ({})", errno.desc())
    } else if !files.exists("/proc/sys/kernel/perf_event_paranoid") {
        "its kernel has no perf events".to_owned()
    } else if !knows("tracefs") {
        "its kernel has no tracefs, which shows the syscalls of a subject".to_owned()
    } else if read("/sys/kernel/security/lockdown")
        .is_ok_and(|text| text.contains("[confidentiality]"))
    {
        "lockdown=confidentiality hides tracefs".to_owned()
    } else {
        return None;
    })
}

/// True outside user namespaces: this root is that of the kernel.
fn is_whole_machine(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::io;

    use rstest::rstest;

    use super::*;
    use crate::foreign::Limit;

    const FILES: [(&str, &str); 6] = [
        ("/proc/filesystems", "nodev\tselinuxfs\nnodev\ttracefs\n"),
        ("/proc/self/uid_map", "         0          0 4294967295\n"),
        ("/proc/sys/kernel/perf_event_paranoid", "2\n"),
        ("/sys/fs/selinux/policy", "policy"),
        ("/sys/kernel/security/lsm", "lockdown,capability,selinux"),
        ("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n"),
    ];

    const ROOT: Rights = Rights { is_root: true, audit: Ok(()) };

    /// A machine on which cells can run, but for one file.
    struct Changed<'a>(&'a str, Option<&'a str>);

    impl Files for Changed<'_> {
        fn read(&self, path: &str, _limit: &'static Limit) -> io::Result<Vec<u8>> {
            let whole = FILES.iter().find(|(name, _)| *name == path).map(|(_, text)| *text);
            let text = if path == self.0 { self.1 } else { whole };
            text.map(|text| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
        }
    }

    #[rstest]
    #[case::whole("", None, None)]
    #[case::without_selinux(
        "/proc/filesystems",
        Some("nodev\ttracefs\n"),
        Some("no SELinux, or it is turned off (its security modules are lockdown,")
    )]
    #[case::without_policy("/sys/fs/selinux/policy", None, Some("no SELinux policy is loaded"))]
    #[case::container("/proc/self/uid_map", Some("0 100000 65536"), Some("a container"))]
    #[case::without_perf("/proc/sys/kernel/perf_event_paranoid", None, Some("no perf events"))]
    #[case::without_tracing("/proc/filesystems", Some("nodev selinuxfs"), Some("no tracefs"))]
    #[case::locked_down(
        "/sys/kernel/security/lockdown",
        Some("none integrity [confidentiality]"),
        Some("hides tracefs")
    )]
    fn the_first_thing_that_is_missing_is_named_in_one_line(
        #[case] changed: &str,
        #[case] content: Option<&str>,
        #[case] words: Option<&str>,
    ) {
        let found = check("this machine", &Changed(changed, content), ROOT);
        match (found.err().map(|error| error.to_string()), words) {
            (Some(found), Some(words)) => {
                assert!(found.contains(words) && found.lines().count() == 1, "{found}");
            }
            (found, words) => assert_eq!(found.as_deref(), words),
        }
    }

    #[test]
    fn root_and_audit_are_needed() {
        let whole = Changed("", None);
        let refusal = |rights| check("this machine", &whole, rights).unwrap_err().to_string();
        assert!(refusal(Rights { is_root: false, ..ROOT }).ends_with("that needs root"));
        let deaf = Rights { audit: Err(Errno::EPROTONOSUPPORT), ..ROOT };
        assert!(refusal(deaf).contains("no audit"));
    }
}
