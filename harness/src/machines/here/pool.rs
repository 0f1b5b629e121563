//! The pool of one: this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use perfsec_wire::step::Action;
use perfsec_wire::{BootMode, Lockdown, Step};

use super::running::Running;
use crate::foreign;
use crate::kernel::{Kernel, Origin};
use crate::machines::{Blame, CannotBoot, Guest, Load, MachineError, Machinery, Pool, Sink};
use crate::plan::PlannedCell;

/// This machine, with the kernel that it runs.
#[derive(Debug)]
pub struct HerePool {
    kernel: Kernel,
    /// The kernel's command line.
    parameters: String,
    lockdown: Lockdown,
    /// The sysctls of [`ONE_WAY`] that have the value that cannot be changed.
    locked: Vec<&'static str>,
    /// False once something could not be put back.
    restored: Arc<AtomicBool>,
}

impl HerePool {
    /// This machine, which runs the kernel.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        let read = |path: &str| foreign::read_text(Path::new(path), &foreign::SYSTEM_FILE);
        let lockdown = read("/sys/kernel/security/lockdown").unwrap_or_default();
        let parameters = read("/proc/cmdline").unwrap_or_default().trim().to_owned();
        let restored = Arc::new(AtomicBool::new(true));
        let is_locked = |(name, value): &(&str, &str)| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            read(&path).is_ok_and(|now| now.trim() == *value)
        };
        let locked = ONE_WAY.into_iter().filter(is_locked).map(|(name, _)| name).collect();
        Self { kernel, parameters, lockdown: level(&lockdown), locked, restored }
    }

    /// A sysctl that a cell needs to have another value than the one that it keeps, or that would
    /// keep the one that the cell needs.
    fn locked_sysctl(&self, cell: &PlannedCell) -> Option<(&'static str, &'static str)> {
        ONE_WAY.into_iter().find(|(name, value)| {
            let wanted = cell.case.sysctls.get(*name);
            wanted.is_some_and(|wanted| (wanted == value) != self.locked.contains(name))
        })
    }
}

/// Sysctls with the value that cannot be changed (`bpf_unpriv_handler()`, `yama_dointvec_minmax()`).
const ONE_WAY: [(&str, &str); 2] =
    [("kernel.unprivileged_bpf_disabled", "1"), ("kernel.yama.ptrace_scope", "3")];

/// The word in brackets: `[none] integrity confidentiality`.
fn level(text: &str) -> Lockdown {
    let levels = [Lockdown::Integrity, Lockdown::Confidentiality];
    let is_now = |level: &Lockdown| text.contains(&format!("[{level}]"));
    levels.into_iter().find(is_now).unwrap_or_default()
}

impl Pool for HerePool {
    fn describe(&self, _mode: BootMode) -> Machinery {
        let host = match &self.kernel.origin {
            Origin::Running { host } => Some(host.clone()),
            _ => None,
        };
        Machinery {
            machine: "here".to_owned(),
            accel: "none".to_owned(),
            parameters: self.parameters.clone(),
            system: None,
            host,
        }
    }

    fn has_system(&self) -> bool {
        true
    }

    fn kernel(&self) -> Option<&Kernel> {
        Some(&self.kernel)
    }

    fn can(&self, mode: BootMode) -> Result<(), CannotBoot> {
        match mode {
            BootMode::Selinux => Ok(()),
            _ => Err(CannotBoot("is not booted anew".to_owned())),
        }
    }

    fn can_run(&self, cell: &PlannedCell) -> Result<(), CannotBoot> {
        // It only asks the policy.
        if !cell.asks.is_empty() {
            return Ok(());
        }
        // Transcripts of others are computed.
        let why = if cell.case.is_of_system() && !cell.case.expects.is_empty() {
            "may have another system than the one that the case is written for".to_owned()
        } else if cell.case.lockdown > self.lockdown {
            let wanted = cell.case.lockdown;
            format!("keeps its lockdown: only a reboot would end {wanted} again")
        } else if cell.case.lockdown < self.lockdown {
            format!("is under lockdown {}, which only a reboot ends", self.lockdown)
        } else if cell.case.policies().next().is_some() {
            "keeps its policy".to_owned()
        } else if let Some((name, value)) = self.locked_sysctl(cell) {
            format!("cannot go back: only a reboot changes {name} once it is {value}")
        } else if cell.ends_guest() {
            "would have to be booted anew after it".to_owned()
        } else if writes(cell).any(|path| path.ends_with("/lockdown")) {
            "keeps its lockdown, which only a reboot lowers".to_owned()
        } else {
            return Ok(());
        };
        Err(CannotBoot(why))
    }

    fn is_restored(&self) -> bool {
        self.restored.load(Ordering::SeqCst)
    }

    fn boot(
        &self,
        _kernel: &Kernel,
        _mode: BootMode,
        load: &Load,
        _cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        if !self.is_restored() {
            let why = "use this machine again: something of it could not be put back";
            return Err(MachineError::new(Blame::Host, why));
        }
        let running = Running::start(load, &sink, Arc::clone(&self.restored));
        let running = running.map_err(|error| MachineError::new(Blame::Host, error))?;
        Ok(Box::new(running))
    }
}

/// The files of the kernel that the agent writes in a cell.
fn writes(cell: &PlannedCell) -> impl Iterator<Item = &str> {
    cell.case.given.iter().chain(&cell.case.steps).filter_map(|step| match step {
        Step::Agent(Action::Write(write)) => Some(write.path.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("[none] integrity confidentiality\n", Lockdown::None)]
    #[case("none [integrity] confidentiality\n", Lockdown::Integrity)]
    #[case("", Lockdown::None)]
    fn lockdown_is_the_word_in_brackets(#[case] text: &str, #[case] lockdown: Lockdown) {
        assert_eq!(level(text), lockdown);
    }
}
