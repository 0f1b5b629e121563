//! Being the subject: what the agent's executable does when a cell executes it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{getpid, getuid};
use perfsec_wire::CapSet;
use perfsec_wire::observation::SubjectSeen;

use crate::error::{Doing, Error, Result};
use crate::perform::Steps;
use crate::report::{Plan, Progress, Report, Start};
use crate::sys;

/// First argument of an executable that is to be the subject; the second is the number of the
/// descriptor of the [`Report`].
pub(crate) const WORD: &str = "subject";

/// Stops before the first step, performs the steps when continued, and ends.
pub(crate) fn run(fd: &str) -> ! {
    let Some(report) = fd.parse().ok().and_then(|fd| Report::open(sys::inherited(fd)).ok()) else {
        sys::exit_now(2)
    };
    let start = |start: &Start| report.put_start(start).is_ok();
    match prepare(&report) {
        Err(error) => {
            start(&Start::Failed(error.failure()));
            sys::exit_now(1)
        }
        Ok((mut steps, seen)) => {
            if !start(&Start::Ready(seen)) {
                sys::exit_now(2);
            }
            perform(&report, &mut steps);
            sys::exit_now(0)
        }
    }
}

fn prepare(report: &Report) -> Result<(Steps, SubjectSeen)> {
    let doing = "prepare the subject";
    let Plan { steps, names } = report.plan().ok_or_else(|| Error::new(doing, "no plan"))?;
    let steps = Steps::new(&steps, &names).map_err(|name| Error::new(doing, name))?;
    let context = std::fs::read("/proc/self/attr/current").doing("read the subject's context")?;
    let context = String::from_utf8_lossy(&context);
    let seen = SubjectSeen {
        pid: getpid().as_raw() as u32,
        uid: getuid().as_raw(),
        permitted: capabilities(caps::CapSet::Permitted)?,
        effective: capabilities(caps::CapSet::Effective)?,
        context: context.trim_end_matches(['\0', '\n']).to_owned(),
    };
    Ok((steps, seen))
}

fn capabilities(which: caps::CapSet) -> Result<CapSet> {
    let set = caps::read(None, which)
        .map_err(|error| Error::new("read the subject's capabilities", error))?;
    Ok(set.iter().fold(CapSet::EMPTY, |all, cap| all.with(CapSet(cap.bitmask()))))
}

/// From the stop to the end of the steps there are no syscalls but theirs: another could ask for
/// memory, and `selinux_vm_enough_memory()` would fill the AVC with a silent grant of sys_admin.
fn perform(report: &Report, steps: &mut Steps) {
    if kill(getpid(), Signal::SIGSTOP).is_err() {
        sys::exit_now(2);
    }
    for index in 0..steps.len() {
        if steps.possible(index) {
            report.note(index, Progress::Begun);
            let result = steps.perform(index);
            report.note(index, Progress::Done(result));
        }
    }
}
