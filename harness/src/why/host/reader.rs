//! Reads every fact, and keeps the reason for each that cannot be read.

use std::rc::Rc;

use perfsec_wire::{CapSet, Mode};

use super::policy::LoadedAnswers;
use super::status::Status;
use super::{
    Root, container, file, kernel, limits, lockdown, mount, pmu, selinux, status, sysctl, tracefs,
};
use crate::asks::SecurityServer;
use crate::why::facts::{Given, Known};

/// The facts of a machine.
#[derive(Default)]
pub struct Reading {
    /// The facts that were read.
    pub given: Given,
    /// The answers of the loaded policy.
    pub policy: Option<Rc<dyn SecurityServer>>,
    /// The reasons why others were not read.
    pub unread: Vec<String>,
    /// Properties of the file that the facts do not have.
    pub notes: Vec<String>,
}

impl Reading {
    /// The fact, or nothing and the reason.
    fn keep<T>(&mut self, read: Result<T, String>) -> Option<T> {
        read.map_err(|why| self.unread.push(why)).ok()
    }
}

/// Reads the facts about a process and the program that it would execute: this process, or the one
/// with this pid, which makes the calls itself. `path` has the directories in which programs are
/// searched.
#[must_use]
pub fn read(root: &Root, pid: Option<u32>, program: &str, path: &str) -> Reading {
    let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let process = process.as_str();
    let mut found = Reading::default();
    let mut given = Given { container: container::read(root, process), ..Given::default() };
    given.kernel = found.keep(kernel::version(root));
    let in_container = given.container.is_some();
    given.distribution = found.keep(kernel::distribution(root, in_container));
    given.level = found.keep(sysctl::read(root, "kernel.perf_event_paranoid"));
    given.kptr = found.keep(sysctl::read(root, "kernel.kptr_restrict"));
    given.unprivileged_bpf = found.keep(sysctl::read(root, "kernel.unprivileged_bpf_disabled"));
    given.mlock_kb = found.keep(sysctl::read(root, "kernel.perf_event_mlock_kb"));
    given.memlock = found.keep(limits::memlock(root, process));
    given.cpus = found.keep(limits::cpus(root));
    given.lockdown = found.keep(lockdown::read(root));
    given.tracefs = found.keep(tracefs::read(root));
    given.pmus = found.keep(pmu::read(root));
    given.userns = found.keep(status::user_namespace(root, process));
    given.apparmor = selinux::apparmor(root, process);
    if let Some(status) = found.keep(Status::of(root, process)) {
        given.uid = found.keep(status.uid());
        given.bounding = found.keep(status.caps("CapBnd"));
        given.ambient = found.keep(status.caps("CapAmb"));
        given.no_new_privs = found.keep(status.no_new_privs());
        given.seccomp = found.keep(status.seccomp());
        if pid.is_some() {
            given.effective = found.keep(status.caps("CapEff"));
        }
    }
    if pid.is_none() {
        executed(root, program, path, &mut given, &mut found);
    }
    given.selinux = found.keep(selinux::mode(root));
    if given.selinux.as_ref().is_some_and(|mode| mode.value != Mode::Disabled) {
        given.domain = found.keep(selinux::context(root, process));
        let policy = found.keep(LoadedAnswers::new(root));
        found.policy = policy.map(|policy| Rc::new(policy) as Rc<dyn SecurityServer>);
    }
    found.given = given;
    found
}

/// Reads the file that is executed.
fn executed(root: &Root, program: &str, path: &str, given: &mut Given, found: &mut Reading) {
    let Some(file) = found.keep(file::read(root, program, path)) else { return };
    given.nosuid = found.keep(mount::nosuid(root, "self", &file.path));
    given.setuid = file.setuid.then(|| Known::read(true, format!("the mode of {}", file.path)));
    given.not_effective = !file.effective && !file.caps.value.is_empty();
    given.caps = Some(match file.script {
        true => {
            found.notes.push(format!(
                "{} is a script: capabilities of a script do not count, and the program that it \
                 executes was not looked at",
                file.path
            ));
            Known::read(CapSet::EMPTY, format!("{}, a script", file.path))
        }
        false => file.caps,
    });
}

#[cfg(test)]
mod tests {
    use super::super::root::fixture::tree;
    use super::*;

    #[test]
    fn an_empty_machine_has_no_facts_and_says_why() {
        let (_place, root) = tree(&[]);
        let found = read(&root, None, "perf", "/usr/bin");
        assert_eq!(found.given, Given::default());
        for path in ["/proc/self/status", "perf_event_paranoid", "lockdown", "perf: no such"] {
            assert!(found.unread.iter().any(|why| why.contains(path)), "{:?}", found.unread);
        }
    }

    #[test]
    fn a_process_makes_the_calls_itself() {
        let status = "Uid:\t0\t0\t0\t0\nCapEff:\t0000000000200000\nCapBnd:\t0000000000200000\n";
        let (_place, root) = tree(&[("/proc/12/status", status)]);
        let given = read(&root, Some(12), "perf", "/usr/bin").given;
        assert_eq!(given.effective.unwrap().value.to_string(), "sys_admin");
        assert_eq!(given.uid.unwrap().value, 0);
        assert!(given.caps.is_none());
    }
}
