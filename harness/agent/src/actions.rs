//! Actions of the agent while a subject is stopped, and how they are undone.

use std::collections::HashMap;
use std::path::PathBuf;

use perfsec_wire::step::Action;

use crate::audit::Audit;
use crate::children::Child;
use crate::error::{Error, Result};
use crate::knob;
use crate::selinux::{self, Policies};

/// Directories below which a case may write: switches of the kernel whose value can be read.
const WRITABLE: [&str; 3] = ["/proc/sys/", "/sys/fs/selinux/", "/sys/kernel/security/"];

/// Changes to undo, newest last.
#[derive(Default)]
pub(crate) struct UndoList(Vec<UndoStep>);

/// The result of an action.
pub(crate) struct ActionResult {
    /// As of a syscall: `-errno` if the kernel refuses.
    pub(crate) value: i64,
    /// The result in words, if it is a text.
    pub(crate) text: Option<String>,
}

impl From<i64> for ActionResult {
    fn from(value: i64) -> Self {
        Self { value, text: None }
    }
}

/// A change, with the value before it.
enum UndoStep {
    File(PathBuf, String),
    Boolean(String, bool),
}

/// The objects that actions act on.
pub(crate) struct ActionContext<'a> {
    pub(crate) processes: &'a mut HashMap<String, Child>,
    pub(crate) policies: &'a mut Policies,
    pub(crate) audit: Option<&'a mut Audit>,
    pub(crate) undo: &'a mut UndoList,
}

impl ActionContext<'_> {
    /// Performs an action.
    ///
    /// # Errors
    ///
    /// If the action fails and the kernel did not refuse it.
    pub(crate) fn perform(&mut self, action: &Action) -> Result<ActionResult> {
        if *action == Action::AuditGet {
            let text = Some(self.audit()?.boot_parameters());
            return Ok(ActionResult { value: 0, text });
        }
        self.change(action).map(ActionResult::from)
    }

    /// Performs an action whose result is a number.
    fn change(&mut self, action: &Action) -> Result<i64> {
        match action {
            Action::AuditGet => Ok(0),
            Action::Write(write) => self.write(&write.path, &write.text),
            Action::LoadPolicy(name) => self.policies.load(name),
            Action::Boolean(boolean) => {
                let old = selinux::boolean(&boolean.name)?;
                selinux::set_boolean(&boolean.name, boolean.value)?;
                self.undo.0.push(UndoStep::Boolean(boolean.name.clone(), old));
                Ok(0)
            }
            Action::Kill(name) => match self.processes.get_mut(name) {
                Some(child) => {
                    child.end();
                    Ok(0)
                }
                None => Err(Error::new(format_args!("kill {name}"), "there is no such process")),
            },
            Action::AuditRule(rule) => self.audit()?.add_rule(rule).map(|()| 0),
            Action::AuditExclude(kind) => self.audit()?.exclude(*kind).map(|()| 0),
            Action::AuditEnable => self.audit()?.enable(true).map(|()| 0),
            Action::AuditBacklog(limit) => self.audit()?.set_backlog(*limit).map(|()| 0),
        }
    }

    fn audit(&mut self) -> Result<&mut Audit> {
        let missing = || Error::new("change audit settings", "audit is off");
        self.audit.as_deref_mut().ok_or_else(missing)
    }

    fn write(&mut self, path: &str, text: &str) -> Result<i64> {
        let allowed = WRITABLE.iter().any(|root| path.starts_with(root)) && !path.contains("..");
        if !allowed {
            let doing = format_args!("write {path}");
            return Err(Error::new(doing, "it is not a switch of the kernel"));
        }
        // A file that cannot be read, such as a trigger, has no value to restore.
        let old = knob::read(path).ok();
        match knob::write(path, text) {
            Ok(()) => {
                if let Some(old) = old {
                    self.undo.0.push(UndoStep::File(path.into(), old));
                }
                Ok(text.len() as i64)
            }
            Err(error) if error.errno != 0 => Ok(-i64::from(error.errno)),
            Err(error) => Err(error),
        }
    }
}

impl UndoList {
    /// Undoes everything, newest first. Returns the first error, after trying the rest.
    pub(crate) fn undo_all(&mut self) -> Result<()> {
        let mut result = Ok(());
        for step in self.0.drain(..).rev() {
            let undone = match step {
                UndoStep::File(path, old) => knob::write(path, &old),
                UndoStep::Boolean(name, old) => selinux::set_boolean(&name, old),
            };
            result = result.and(undone);
        }
        result
    }
}
