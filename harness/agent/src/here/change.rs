//! A change of the machine, with the state before it.

use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::policy;
use crate::audit::{self, Limits};
use crate::error::{Error, ErrorContext, Result};
use crate::trace::GROUP;
use crate::{knob, selinux, trace};

/// A change that is about to be made, with the state before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Change {
    /// A file of the kernel gets another value.
    File { path: String, before: String },
    /// A boolean of the policy gets another value.
    Boolean { name: String, before: bool },
    /// Another policy is loaded.
    Policy(policy::Before),
    /// Audit gets other limits, or is enabled or disabled.
    Audit(Limits),
    /// The agent becomes the audit daemon: there is no other.
    Daemon,
    /// An audit rule is added: `struct audit_rule_data`.
    Rule(Vec<u8>),
    /// Kprobe events of the agent's group are defined.
    Probes,
    /// A trace of the agent's own is made.
    Trace(String),
    /// A directory is made.
    Directory(String),
}

impl Change {
    /// Puts the state before the change back, if it is not there.
    ///
    /// # Errors
    ///
    /// If the kernel refuses, or has another state afterwards.
    pub(crate) fn restore(&self) -> Result<()> {
        match self {
            Self::File { path, before } => {
                let knob = knob::Knob::open(path)?;
                if knob.holds(before)? { Ok(()) } else { knob.set(before) }
            }
            Self::Boolean { name, before } => {
                if selinux::boolean(name)? == *before {
                    return Ok(());
                }
                selinux::set_boolean(name, *before)
            }
            Self::Policy(before) => before.restore(),
            Self::Audit(limits) => audit::set_limits(limits),
            Self::Daemon => audit::dismiss_daemon(),
            Self::Rule(rule) => audit::delete_rule(rule),
            Self::Probes => trace::undefine_probes(),
            Self::Trace(path) => remove(std::fs::remove_dir(path), path),
            Self::Directory(path) => remove(std::fs::remove_dir(path), path),
        }
    }

    /// The same for a person: a command for a shell.
    pub(crate) fn command(&self) -> String {
        match self {
            Self::File { path, before } => match path.strip_prefix("/proc/sys/") {
                Some(name) => format!("sysctl -w {}='{before}'", name.replace('/', ".")),
                None => format!("echo '{before}' >{path}"),
            },
            Self::Boolean { name, before } => {
                format!("setsebool {name} {}", if *before { "on" } else { "off" })
            }
            Self::Policy(_) => "load_policy".to_owned(),
            Self::Audit(Limits { enabled, failure, rate_limit, backlog_limit }) => {
                format!("auditctl -e {enabled} -f {failure} -r {rate_limit} -b {backlog_limit}")
            }
            Self::Daemon => "systemctl restart auditd".to_owned(),
            Self::Rule(_) => "augenrules --load".to_owned(),
            Self::Probes => {
                let events = trace::probe_names().map(|name| format!("-:{GROUP}/{name}"));
                let events: Vec<_> = events.collect();
                format!(
                    "printf '{}\\n' >>{}/kprobe_events",
                    events.join("\\n"),
                    trace::tracefs().display()
                )
            }
            Self::Trace(path) | Self::Directory(path) => format!("rmdir {path}"),
        }
    }
}

/// The outcome of a removal: what is gone already was not there before the change.
fn remove(removed: io::Result<()>, path: &str) -> Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing(format_args!("remove {path}")),
    }
}

/// Names a change that is left: a phrase that fits behind "left changed:".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, before } => write!(f, "{path}, which was `{before}`"),
            Self::Boolean { name, before } => {
                write!(f, "the boolean {name}, which was {}", if *before { "on" } else { "off" })
            }
            Self::Policy(_) => f.write_str("the loaded policy"),
            Self::Audit(_) => f.write_str("the limits of audit"),
            Self::Daemon => f.write_str("the registered audit daemon"),
            Self::Rule(_) => f.write_str("an audit rule of perfsec's"),
            Self::Probes => write!(f, "the kprobe events of the group {GROUP}"),
            Self::Trace(path) | Self::Directory(path) => write!(f, "the directory {path}"),
        }
    }
}

/// The change that a write to a file of the kernel is; `None` if the file is not of the system, or
/// only triggers what another change is about.
///
/// # Errors
///
/// If what the write does cannot be put back.
pub(super) fn of_write(path: &Path) -> Result<Option<Change>> {
    let text = path.display().to_string();
    let lost = |why: &str| Err(Error::new(format_args!("write {text}"), why));
    let in_selinux = path.strip_prefix(selinux::MOUNT).ok();
    let is_own = path.starts_with("/proc/self") || path.starts_with(trace::own_folder());
    if is_own || in_selinux == Some(Path::new("commit_pending_bools")) {
        return Ok(None);
    }
    if path.ends_with("security/lockdown") {
        return lost("only a reboot lowers lockdown again");
    }
    if let Some(name) = in_selinux.and_then(|path| path.strip_prefix("booleans").ok()) {
        let name = name.display().to_string();
        let before = selinux::boolean(&name)?;
        return Ok(Some(Change::Boolean { name, before }));
    }
    match knob::read(path) {
        Ok(before) => Ok(Some(Change::File { path: text, before })),
        Err(error) if error.errno == nix::libc::ENOENT => Ok(None),
        Err(_) => lost("its value cannot be read, so nobody could put it back"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn file(path: &str) -> Change {
        Change::File { path: path.to_owned(), before: "2".to_owned() }
    }

    #[rstest]
    #[case(file("/proc/sys/kernel/kptr_restrict"), "sysctl -w kernel.kptr_restrict='2'")]
    #[case(file("/sys/fs/selinux/enforce"), "echo '2' >/sys/fs/selinux/enforce")]
    #[case(Change::Boolean { name: "a".to_owned(), before: true }, "setsebool a on")]
    #[case(
        Change::Audit(Limits { enabled: 1, failure: 1, rate_limit: 0, backlog_limit: 64 }),
        "auditctl -e 1 -f 1 -r 0 -b 64"
    )]
    #[case(Change::Trace("/t/perfsec".to_owned()), "rmdir /t/perfsec")]
    fn a_change_is_undone_by_a_command(#[case] change: Change, #[case] command: &str) {
        assert_eq!(change.command(), command);
    }

    #[test]
    fn a_write_that_cannot_be_undone_is_refused() {
        assert!(of_write(Path::new("/sys/kernel/security/lockdown")).is_err());
    }

    #[test]
    fn a_file_comes_back_and_what_is_gone_already_is_no_error() {
        let folder = std::env::temp_dir().join(format!("perfsec-change-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("value");
        std::fs::write(&path, "1\n").unwrap();
        let change = of_write(&path).unwrap().unwrap();
        std::fs::write(&path, "3").unwrap();
        change.restore().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
        std::fs::remove_file(&path).unwrap();
        assert!(change.restore().is_err());
        let made = Change::Directory(folder.display().to_string());
        made.restore().unwrap();
        assert!(!folder.exists());
        made.restore().unwrap();
    }
}
