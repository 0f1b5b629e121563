//! The pool of one machine that runs already.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use perfsec_wire::step::{Action, OpenAccess};
use perfsec_wire::{BootMode, Lockdown, Step};

use crate::foreign::{self, Files};
use crate::kernel::{Kernel, Origin};
use crate::machines::pool::Aftermath;
use crate::machines::{Blame, CannotBoot, Guest, Load, MachineError, Machinery, Pool, Sink};
use crate::plan::PlannedCell;

/// The way to a machine that runs already.
pub(in crate::machines) trait Reach: fmt::Debug + Send + Sync {
    /// The machine, as the user named it.
    fn name(&self) -> String;

    /// Starts the agent there.
    ///
    /// # Errors
    ///
    /// If it cannot be started; the error says whose fault that is.
    fn start(&self, launch: &Launch<'_>) -> Result<Box<dyn Guest>, MachineError>;
}

/// A start of the agent.
pub(in crate::machines) struct Launch<'a> {
    /// The preparation, the lane and its policies.
    pub(in crate::machines) load: &'a Load,
    /// Where its incidents go.
    pub(in crate::machines) sink: &'a Sink,
    /// Gets to know if it leaves something changed.
    pub(in crate::machines) traces: &'a Arc<Traces>,
}

/// The traces that runs of the agent have left on a machine.
#[derive(Debug, Default)]
pub(in crate::machines) struct Traces(Mutex<Aftermath>);

impl Traces {
    /// Notes how a run of the agent ended. The worst counts.
    pub(in crate::machines) fn note(&self, aftermath: Aftermath) {
        let mut worst = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *worst = aftermath.max(*worst);
    }

    pub(in crate::machines) fn worst(&self) -> Aftermath {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A machine that runs already, with its kernel.
#[derive(Debug)]
pub(in crate::machines) struct LivePool {
    reach: Box<dyn Reach>,
    kernel: Kernel,
    /// The kernel's command line.
    parameters: String,
    lockdown: Lockdown,
    /// The sysctls of [`ONE_WAY`] that have the value that cannot be changed.
    locked: Vec<&'static str>,
    traces: Arc<Traces>,
}

impl LivePool {
    /// The machine with these files, which runs the kernel.
    pub(in crate::machines) fn new(
        reach: Box<dyn Reach>,
        kernel: Kernel,
        files: &dyn Files,
    ) -> Self {
        let read = |path: &str| files.text(path, &foreign::SYSTEM_FILE);
        let lockdown = read("/sys/kernel/security/lockdown").unwrap_or_default();
        let parameters = read("/proc/cmdline").unwrap_or_default().trim().to_owned();
        let is_locked = |(name, value): &(&str, &str)| {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            read(&path).is_ok_and(|now| now.trim() == *value)
        };
        let locked = ONE_WAY.into_iter().filter(is_locked).map(|(name, _)| name).collect();
        let (lockdown, traces) = (level(&lockdown), Arc::default());
        Self { reach, kernel, parameters, lockdown, locked, traces }
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

impl Pool for LivePool {
    fn describe(&self, _mode: BootMode) -> Machinery {
        let host = match &self.kernel.origin {
            Origin::Running { host } => Some(host.clone()),
            _ => None,
        };
        Machinery {
            machine: self.reach.name(),
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
        } else if let Some(path) = written_by_subjects(cell) {
            format!("would keep what a subject writes to {path}")
        } else if let Some(fstype) = mounted(cell) {
            format!("has a file system of the type {fstype} already, whose options a mount changes")
        } else {
            return Ok(());
        };
        Err(CannotBoot(why))
    }

    fn aftermath(&self) -> Aftermath {
        self.traces.worst()
    }

    fn boot(
        &self,
        _kernel: &Kernel,
        _mode: BootMode,
        load: &Load,
        _cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        if self.traces.worst() == Aftermath::Changed {
            let why = "use the machine again: something of it could not be put back";
            return Err(MachineError::new(Blame::Host, why));
        }
        self.reach.start(&Launch { load, sink: &sink, traces: &self.traces })
    }
}

/// The files of the kernel that the agent writes in a cell.
fn writes(cell: &PlannedCell) -> impl Iterator<Item = &str> {
    cell.case.given.iter().chain(&cell.case.steps).filter_map(|step| match step {
        Step::Agent(Action::Write(write)) => Some(write.path.as_str()),
        _ => None,
    })
}

/// A file of the kernel that a subject opens for writing: the agent puts back only what it writes
/// itself.
fn written_by_subjects(cell: &PlannedCell) -> Option<&str> {
    let of_kernel = |path: &str| path.starts_with("/proc/sys/") || path.starts_with("/sys/");
    let processes = cell.case.processes.iter().flat_map(|process| &process.steps);
    cell.case.steps.iter().chain(processes).find_map(|step| match step {
        Step::Open(open) if open.write != OpenAccess::Read && of_kernel(&open.path) => {
            Some(open.path.as_str())
        }
        _ => None,
    })
}

/// The type of a file system that a step mounts. A machine has only one of each type but tmpfs: a
/// second mount changes its options (`cgroup_reconfigure()`) or fails.
fn mounted(cell: &PlannedCell) -> Option<&str> {
    cell.case
        .every_step()
        .filter_map(|step| match step {
            Step::Mount(mount) => Some(mount.fstype.as_str()),
            _ => None,
        })
        .find(|fstype| *fstype != "tmpfs")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::case::Library;
    use crate::plan::Filter;

    #[rstest]
    #[case("[none] integrity confidentiality\n", Lockdown::None)]
    #[case("none [integrity] confidentiality\n", Lockdown::Integrity)]
    #[case("", Lockdown::None)]
    fn lockdown_is_the_word_in_brackets(#[case] text: &str, #[case] lockdown: Lockdown) {
        assert_eq!(level(text), lockdown);
    }

    /// The cells of a case of the suite.
    fn cells(name: &str) -> Vec<PlannedCell> {
        let library = Library::built_in().unwrap();
        let filter = Filter { names: vec![name.to_owned()], ..Filter::default() };
        filter.select(&library).unwrap()
    }

    #[rstest]
    #[case("sysctl/root-writes", Some("/proc/sys/kernel/perf_event_paranoid"), None)]
    #[case("exec/transition-into-granted", None, None)]
    #[case("boot/debugfs", None, Some("debugfs"))]
    #[case("open/cpu-kernel", None, None)]
    fn a_cell_that_changes_the_machine_unseen_is_found(
        #[case] name: &str,
        #[case] written: Option<&str>,
        #[case] fstype: Option<&str>,
    ) {
        for cell in cells(name) {
            assert_eq!((written_by_subjects(&cell), mounted(&cell)), (written, fstype));
        }
    }
}
