//! One cell, from a clean state to what was observed.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, execv, setgroups, setresgid, setresuid};
use perfsec_wire::Cell;
use perfsec_wire::observation::{Exit, Observation, Outcome};
use perfsec_wire::step::Step;

use crate::attribute::{Collected, Performed, attribute};
use crate::children::{Change, Child};
use crate::error::{Doing, Error, Result};
use crate::knob;
use crate::machine::Machine;
use crate::perform::{Names, Steps, syscall_number, tracepoint};
use crate::report::{Plan, Progress, Report, Start};
use crate::{subject, sys, trace};

/// How long a subject may take to reach its stop: it only has to be executed.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Runs one cell. Whatever goes wrong is the cell's, and the next starts from a clean state.
pub(crate) fn run(machine: &mut Machine, cell: &Cell) -> Outcome {
    let outcome = observe(machine, cell);
    let clean = machine.clean();
    match outcome.and_then(|observation| clean.map(|()| observation)) {
        Ok(observation) => Outcome::Observed(observation),
        Err(error) => Outcome::Failed(error.failure()),
    }
}

fn observe(machine: &mut Machine, cell: &Cell) -> Result<Observation> {
    machine.sysctls.apply(&cell.sysctls)?;
    let names = Names { tracepoints: machine.tracepoints(cell)?, fds: Vec::new() };
    let path = machine.executables.get(cell.subject.grant, &cell.subject.comm)?;
    machine.report.clear(cell.steps.len())?;

    let began = Instant::now();
    let mut child = start(machine, cell, &path, names)?;
    let seen = match machine.report.start() {
        Some(Start::Ready(seen)) => seen,
        _ => return Err(Error::new("start the subject", "it stopped without a word")),
    };
    let mode = machine.selinux.arm(cell.mode)?;
    if mode != cell.mode {
        return Err(Error::new(
            format_args!("make the kernel {}", cell.mode),
            "it stays as it was",
        ));
    }
    machine.kmsg.drain()?;
    let begin = machine.audit.mark(format_args!("{} begin", cell.id))?;
    machine.trace.start()?;

    child.resume()?;
    let change = machine.children.wait(&mut child, Duration::from_millis(cell.limit_ms.into()))?;
    child.end();

    machine.trace.stop()?;
    let end = machine.audit.mark(format_args!("{} end", cell.id))?;
    let records = machine.audit.between(&begin, &end)?;
    let events = machine.trace.take(child.pid.as_raw())?;
    let messages = machine.kmsg.drain()?;
    let micros = began.elapsed().as_micros().try_into().unwrap_or(u32::MAX);
    let exit = match change {
        Change::Exited(0) => Exit::Finished,
        Change::Exited(code) => {
            return Err(Error::new("run the subject", format_args!("it exited with {code}")));
        }
        Change::Killed(signal) => Exit::Signal(signal as i32),
        Change::Stopped => return Err(Error::new("run the subject", "it stopped a second time")),
        Change::Overdue => Exit::Overdue,
    };
    let lost = machine.audit.lost()?;

    let caps_unseen = machine.trace.caps.as_ref().err().cloned();
    let collected = Collected {
        pid: seen.pid,
        performed: performed(&machine.report, &cell.steps),
        events,
        records,
        messages,
        caps: caps_unseen.is_none(),
    };
    let attributed =
        attribute(collected).map_err(|error| Error::new("attribute what was observed", error))?;
    Ok(Observation {
        subject: seen,
        mode,
        calls: attributed.calls,
        outside: attributed.outside,
        exit,
        lost,
        caps_unseen,
        micros,
    })
}

fn performed(report: &Report, steps: &[Step]) -> Vec<Performed> {
    let all = steps.iter().enumerate().map(|(index, step)| Performed {
        step: index as u32,
        number: syscall_number(step),
        progress: report.progress(index),
    });
    all.filter(|step| step.progress != Progress::Untouched).collect()
}

/// Starts the subject and waits until it has stopped before its first step.
fn start(machine: &Machine, cell: &Cell, path: &CStr, names: Names) -> Result<Child> {
    let pid = sys::spawn(|| become_subject(&machine.report, cell, path, names))
        .doing("start the subject")?;
    let mut child = Child::new(pid);
    match machine.children.wait(&mut child, START_LIMIT)? {
        Change::Stopped => Ok(child),
        change => match machine.report.start() {
            Some(Start::Failed(failure)) => {
                let (doing, errno, detail) = (failure.doing, failure.errno, failure.detail);
                Err(Error { doing, errno, detail })
            }
            _ => Err(Error::new("start the subject", format_args!("{change:?}"))),
        },
    }
}

/// What the new process does until it is another program; returns only when that fails.
fn become_subject(report: &Report, cell: &Cell, path: &CStr, names: Names) {
    let Err(error) = try_become_subject(report, cell, path, names);
    // If even this fails, the agent sees an exit without a word.
    let _ = report.put_start(&Start::Failed(error.failure()));
}

fn try_become_subject(
    report: &Report,
    cell: &Cell,
    path: &CStr,
    mut names: Names,
) -> Result<Infallible> {
    names.fds = give(&cell.given, &names)?;
    report.put_plan(&Plan { steps: cell.steps.clone(), names })?;
    sys::keep_across_exec(report.fd()).doing("keep the shared memory across exec")?;
    let subject = &cell.subject;
    knob::write("/proc/self/attr/exec", &subject.context)
        .map_err(|error| Error { doing: format!("enter {}", subject.context), ..error })?;
    let (uid, gid) = (Uid::from_raw(subject.uid), Gid::from_raw(subject.uid));
    let doing = format_args!("become user {uid}").to_string();
    setgroups(&[]).doing(&doing)?;
    setresgid(gid, gid, gid).doing(&doing)?;
    setresuid(uid, uid, uid).doing(&doing)?;
    let doing = format!("execute {} in {}", path.to_string_lossy(), subject.context);
    let fd = CString::new(report.fd().as_raw_fd().to_string())
        .map_err(|error| Error::new(&doing, error))?;
    let word = CString::new(subject::WORD).map_err(|error| Error::new(&doing, error))?;
    execv(path, &[path, &word, &fd]).doing(doing)
}

/// Performs the steps that prepare descriptors for the subject.
fn give(steps: &[Step], names: &Names) -> Result<Vec<(String, i32)>> {
    let mut given =
        Steps::new(steps, names).map_err(|name| Error::new("prepare the given steps", name))?;
    for (index, step) in steps.iter().enumerate() {
        let doing = format_args!("perform the given step {step}").to_string();
        if !given.possible(index) {
            return Err(Error::new(doing, "its file descriptor was never made"));
        }
        let result = given.perform(index);
        if result < 0 {
            return Err(std::io::Error::from_raw_os_error((-result) as i32)).doing(doing);
        }
    }
    Ok(given.made())
}

impl Machine {
    /// Numbers of the tracepoints that a cell names: the subject cannot read them in tracefs.
    fn tracepoints(&mut self, cell: &Cell) -> Result<Vec<(String, u64)>> {
        let wanted = cell.given.iter().chain(&cell.steps).filter_map(tracepoint);
        let mut found = Vec::new();
        for (category, name) in wanted {
            let full = format!("{category}:{name}");
            let number = match self.tracepoint_numbers.get(&full) {
                Some(number) => *number,
                None => {
                    let file = trace::tracefs().join("events").join(category).join(name).join("id");
                    let doing = format!("look up the tracepoint {full}");
                    let text = knob::read(file)
                        .map_err(|error| Error { doing: doing.clone(), ..error })?;
                    let number = text.parse().map_err(|_| Error::new(doing, &text))?;
                    self.tracepoint_numbers.insert(full.clone(), number);
                    number
                }
            };
            found.push((full, number));
        }
        Ok(found)
    }

    /// Makes the state between two cells, also after one that failed halfway.
    fn clean(&mut self) -> Result<()> {
        self.trace.stop()?;
        self.selinux.relax()
    }
}
