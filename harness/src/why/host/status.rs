//! A process's credentials, from `/proc/PID/status` and its namespace.

use perfsec_wire::CapSet;

use super::Root;
use crate::why::facts::Known;

/// The inode of the initial user namespace (`PROC_USER_INIT_INO`, include/linux/proc_ns.h).
const INITIAL: &str = "user:[4026531837]";

/// The fields of a status file.
pub(super) struct Status {
    path: String,
    text: String,
}

impl Status {
    /// Reads the status of a process: a pid or `self`.
    pub(super) fn of(root: &Root, process: &str) -> Result<Self, String> {
        let path = format!("/proc/{process}/status");
        let text = root.text(&path).map_err(|error| {
            // With hidepid=, the processes of others are not there.
            format!("{error} (another user's process is hidden with hidepid=)")
        })?;
        Ok(Self { path, text })
    }

    fn field(&self, name: &str) -> Result<&str, String> {
        let lines = self.text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.into_iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.trim()).ok_or_else(|| format!("{}: no {name}", self.path))
    }

    fn known<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Known<T>, String> {
        let value = read(self.field(name)?);
        let value = value.ok_or_else(|| format!("{}: {name} is out of shape", self.path))?;
        Ok(Known::read(value, format!("{}, {name}", self.path)))
    }

    /// A set of capabilities, by the name of its field: `CapEff`.
    pub(super) fn caps(&self, name: &str) -> Result<Known<CapSet>, String> {
        let all = |bits: u64| CapSet(bits & CapSet::ALL.0);
        self.known(name, |text| u64::from_str_radix(text, 16).ok().map(all))
    }

    /// The effective user ID.
    pub(super) fn uid(&self) -> Result<Known<u32>, String> {
        self.known("Uid", |text| text.split_whitespace().nth(1)?.parse().ok())
    }

    /// `no_new_privs`
    pub(super) fn no_new_privs(&self) -> Result<Known<bool>, String> {
        self.known("NoNewPrivs", |text| Some(text != "0"))
    }

    /// True if a seccomp filter is installed (mode 2).
    pub(super) fn seccomp(&self) -> Result<Known<bool>, String> {
        self.known("Seccomp", |text| Some(text == "2"))
    }
}

/// True if a process is in a user namespace other than the initial one.
pub(super) fn user_namespace(root: &Root, process: &str) -> Result<Known<bool>, String> {
    let path = format!("/proc/{process}/ns/user");
    if let Ok(target) = root.link(&path) {
        return Ok(Known::read(target != INITIAL, path));
    }
    let path = format!("/proc/{process}/uid_map");
    let map = root.text(&path)?;
    let words: Vec<_> = map.split_whitespace().collect();
    Ok(Known::read(words != ["0", "0", "4294967295"], path))
}

#[cfg(test)]
mod tests {
    use super::super::root::fixture::tree;
    use super::*;

    const STATUS: &str = "Name:\tbash\nUid:\t1000\t1000\t1000\t1000\nCapPrm:\t0000000000000000\n\
                          CapEff:\t0000004000000000\nCapBnd:\t000001ffffffffff\n\
                          CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";

    #[test]
    fn a_status_has_credentials() {
        let (_place, root) = tree(&[("/proc/7/status", STATUS)]);
        let status = Status::of(&root, "7").unwrap();
        assert_eq!(status.caps("CapEff").unwrap().value.to_string(), "perfmon");
        assert_eq!(status.caps("CapBnd").unwrap().value, CapSet::ALL);
        assert_eq!(status.uid().unwrap(), Known::read(1000, "/proc/7/status, Uid"));
        assert!(status.no_new_privs().unwrap().value && status.seccomp().unwrap().value);
        assert!(status.caps("CapNew").is_err());
    }

    #[test]
    fn a_hidden_process_is_said_to_be_hidden() {
        let (_place, root) = tree(&[]);
        let error = Status::of(&root, "1").map(|_| ()).unwrap_err();
        assert!(error.contains("/proc/1/status") && error.contains("hidepid"), "{error}");
    }

    #[test]
    fn a_map_of_everything_is_the_initial_namespace() {
        let files = [
            ("/proc/1/uid_map", "         0          0 4294967295"),
            ("/proc/2/uid_map", "         0       1000          1"),
        ];
        let (_place, root) = tree(&files);
        assert!(!user_namespace(&root, "1").unwrap().value);
        assert!(user_namespace(&root, "2").unwrap().value);
        assert!(user_namespace(&root, "3").is_err());
    }
}
