//! What the agent does for a cell while its subject stands still, and how it is put back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use perfsec_wire::step::Action;

use crate::audit::Audit;
use crate::children::Child;
use crate::error::{Error, Result};
use crate::knob;
use crate::selinux::{self, MOUNT, Policies};

/// Below these a case may write: they are the kernel's own switches, and what they held can be read.
const WRITABLE: [&str; 3] = ["/proc/sys/", "/sys/fs/selinux/", "/sys/kernel/security/"];

/// Everything that is to be put back, newest last.
#[derive(Default)]
pub(crate) struct PutBack(Vec<Undone>);

enum Undone {
    File(PathBuf, String),
    Boolean(String, bool),
}

/// What actions act upon.
pub(crate) struct Scene<'a> {
    pub(crate) processes: &'a mut HashMap<String, Child>,
    pub(crate) policies: &'a mut Policies,
    pub(crate) audit: Option<&'a mut Audit>,
    pub(crate) put_back: &'a mut PutBack,
}

impl Scene<'_> {
    /// Performs one; the result is as a syscall's: `-errno` when the kernel refuses.
    ///
    /// # Errors
    ///
    /// When it is not the kernel that refuses.
    pub(crate) fn perform(&mut self, action: &Action) -> Result<i64> {
        match action {
            Action::Write(write) => self.write(&write.path, &write.text),
            Action::LoadPolicy(name) => self.policies.load(name),
            Action::Boolean(boolean) => {
                let path = Path::new(MOUNT).join("booleans").join(&boolean.name);
                let old = knob::read(path)?.starts_with('1');
                selinux::set_boolean(&boolean.name, boolean.value)?;
                self.put_back.0.push(Undone::Boolean(boolean.name.clone(), old));
                Ok(0)
            }
            Action::Kill(name) => match self.processes.get_mut(name) {
                Some(child) => {
                    child.end();
                    Ok(0)
                }
                None => Err(Error::new(format_args!("kill {name}"), "there is no such process")),
            },
            Action::AuditRule => self.audit()?.add_rule().map(|()| 0),
            Action::AuditEnable => self.audit()?.enable(true).map(|()| 0),
            Action::AuditBacklog(limit) => self.audit()?.set_backlog(*limit).map(|()| 0),
        }
    }

    fn audit(&mut self) -> Result<&mut Audit> {
        let missing = || Error::new("change how audit works", "it is off");
        self.audit.as_deref_mut().ok_or_else(missing)
    }

    fn write(&mut self, path: &str, text: &str) -> Result<i64> {
        let allowed = WRITABLE.iter().any(|root| path.starts_with(root)) && !path.contains("..");
        if !allowed {
            let doing = format_args!("write {path}");
            return Err(Error::new(doing, "only the kernel's own switches are written"));
        }
        // What cannot be read, such as a trigger, has no value to put back.
        let old = knob::read(path).ok();
        match knob::write(path, text) {
            Ok(()) => {
                if let Some(old) = old {
                    self.put_back.0.push(Undone::File(path.into(), old));
                }
                Ok(text.len() as i64)
            }
            Err(error) if error.errno != 0 => Ok(-i64::from(error.errno)),
            Err(error) => Err(error),
        }
    }
}

impl PutBack {
    /// Puts everything back.
    pub(crate) fn all(&mut self) -> Result<()> {
        let mut result = Ok(());
        for undone in self.0.drain(..).rev() {
            let done = match undone {
                Undone::File(path, old) => knob::write(path, &old),
                Undone::Boolean(name, old) => selinux::set_boolean(&name, old),
            };
            // What follows must still be put back.
            result = result.and(done);
        }
        result
    }
}
