//! The agent as an ordinary process of a system, which has an init and an audit daemon of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::prctl::set_child_subreaper;
use nix::unistd::Pid;
use perfsec_wire::Refusal;

use crate::error::{Error, ErrorContext, Result};
use crate::machine::{Files, Prepared, Surroundings};
use crate::{channel, lane, serve, sys, sysctl};

/// Lines of a failed unit's journal that the refusal quotes.
const QUOTED: &str = "4";

/// Serves a lane.
pub(crate) fn run() -> ! {
    let (open, end) = (channel::port, serve::power_off);
    serve::Service { open, prepare, window: true, end }.run()
}

/// Prepares the system for any lane.
fn prepare(started_ms: u32) -> std::result::Result<Prepared, Refusal> {
    check_units()?;
    let sysctls = sysctl::watched();
    isolate().map_err(|error| error.refusal())?;
    let files = Files::read().map_err(|error| error.refusal())?;
    let preparation = lane::preparation(&files.preparation)?;
    let coverage = preparation.coverage.as_deref();
    Prepared::new(Surroundings::System, coverage, files, sysctls, started_ms)
}

/// Makes this process and its children what process 1 of an empty guest and its children are, as
/// far as a cell can tell, and keeps what they do to mounts from the system.
pub(crate) fn isolate() -> Result<()> {
    leave_namespace()?;
    // Heirs of a subject that has ended are reaped here, as by process 1.
    set_child_subreaper(true).doing("inherit the children of subjects")?;
    // systemd raises some for itself and its services; the kernel's own threads have the defaults.
    sys::take_limits_of_kthreadd().doing("take the resource limits of a kernel thread")
}

/// Keeps what this process and its children do to mounts from the system.
pub(crate) fn leave_namespace() -> Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).doing("leave the system's mount namespace")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .doing("keep mounts from the system")
}

/// Keeps this process and its children on one CPU: events are attributed by their order, and the
/// cases name CPU 0.
pub(crate) fn stay_on_one_cpu() -> Result<()> {
    let doing = "stay on one CPU";
    let allowed = sched_getaffinity(Pid::from_raw(0)).doing(doing)?;
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu).unwrap_or_default());
    let first = first.ok_or_else(|| Error::new(doing, "none is allowed"))?;
    let mut one = CpuSet::new();
    one.set(first).doing(doing)?;
    sched_setaffinity(Pid::from_raw(0), &one).doing(doing)
}

/// Checks that the system came up whole.
///
/// # Errors
///
/// The units that failed, with the last lines of their journals.
fn check_units() -> std::result::Result<(), Refusal> {
    // The system may have another init.
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    let list = ["list-units", "--failed", "--plain", "--no-legend", "--no-pager"];
    let listed = output("systemctl", &list).map_err(|error| error.refusal())?;
    let failed: Vec<_> = failed_units(&listed).map(describe).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let doing = format!("start the guest system: {}", failed.join("; "));
    Err(Refusal::Setup { doing, errno: 0 })
}

/// The names in the output of `systemctl list-units --failed --plain --no-legend`.
fn failed_units(listed: &str) -> impl Iterator<Item = &str> {
    listed.lines().filter_map(|line| line.split_whitespace().next())
}

/// A failed unit, as a clause, with the last lines of its journal.
fn describe(unit: &str) -> String {
    let arguments = ["--unit", unit, "--lines", QUOTED, "--output", "cat", "--no-pager", "--quiet"];
    let journal = output("journalctl", &arguments).unwrap_or_default();
    let lines: Vec<_> = journal.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.as_slice() {
        [] => format!("{unit} failed"),
        lines => format!("{unit} failed ({})", lines.join(" / ")),
    }
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.doing(format_args!("run {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_units_are_the_first_words_of_lines() {
        let listed = "auditd.service loaded failed failed Security Audit Logging Service\n\n\
                      a@b.mount   loaded failed failed /b\n";
        let units: Vec<_> = failed_units(listed).collect();
        assert_eq!(units, ["auditd.service", "a@b.mount"]);
    }
}
