//! One cell, from a clean state to what was observed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, execv, setgroups, setresgid, setresuid};
use perfsec_subject as layout;
use perfsec_wire::observation::{CellOutcome, Exit, KernelMessage, Observation, SubjectSeen};
use perfsec_wire::step::{Execve, ResultForm, Step};
use perfsec_wire::{Cell, Mode, Process, Subject};

use crate::actions::{PutBack, Scene};
use crate::attribute::{Collected, Performed, attribute};
use crate::children::{Change, Child};
use crate::error::{Doing, Error, Result, returned};
use crate::knob;
use crate::machine::Machine;
use crate::subject::{Names, Origin, Program, Progress, Region};
use crate::sys;

/// How long a subject may take to reach its stop: it only has to be executed.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Runs one cell. Whatever goes wrong is the cell's, and the next starts from a clean state.
pub(crate) fn run(machine: &mut Machine, cell: &Cell) -> CellOutcome {
    let mut stage = Stage::default();
    let outcome = observe(machine, &mut stage, cell);
    let clean = machine.clean(&mut stage);
    match outcome.and_then(|observation| clean.map(|()| observation)) {
        Ok(observation) => CellOutcome::Observed(observation),
        Err(error) => CellOutcome::Failed(error.failure()),
    }
}

/// What exists only for one cell.
#[derive(Default)]
struct Stage {
    processes: HashMap<String, Child>,
    /// What the other processes were told, kept until they are gone.
    regions: Vec<Region>,
    /// Ends of sockets that the subject inherits, by the process at the other end.
    sockets: Vec<(String, OwnedFd)>,
    /// Descriptors that the given steps made.
    given: Vec<(String, i32)>,
    /// Where the given steps mounted something.
    mounts: Vec<String>,
    put_back: PutBack,
}

fn observe(machine: &mut Machine, stage: &mut Stage, cell: &Cell) -> Result<Observation> {
    machine.prepare(cell)?;
    let began = Instant::now();
    let mut names = machine.names(cell)?;
    let mut processes = Vec::new();
    for process in &cell.processes {
        let seen = start_process(machine, stage, process, &names)?;
        names.processes.push((process.name.clone(), seen.pid as i32));
        processes.push((process.name.clone(), seen.pid, seen.context));
    }
    give(machine, stage, cell, &names)?;

    names.fds.clone_from(&stage.given);
    names.fds.extend(stage.sockets.iter().map(|(name, fd)| (name.clone(), fd.as_raw_fd())));
    names.files = machine.files(&cell.subject, &cell.steps)?;
    names.region = machine.region.fd().as_raw_fd();
    let program = Program::new(&cell.steps, &names, &cell.subject)
        .map_err(|error| Error::new("lay out the steps", error))?;
    machine.region.put(&program)?;
    let path = machine.executables.get(&cell.subject.file(), &cell.subject.comm)?;
    let mut child = start(&machine.region, &cell.subject, &path)?;
    machine.children.wait_for_stop(&mut child, START_LIMIT)?;
    let seen = machine.region.seen()?;
    let mode = machine.arm(cell)?;
    machine.kmsg.drain()?;
    let begin = machine.mark(format_args!("{} begin", cell.id))?;
    machine.trace.start()?;

    let mut stops = Stops::default();
    let limit = Duration::from_millis(cell.limit_ms.into());
    let change = loop {
        child.resume()?;
        match machine.children.wait(&mut child, limit)? {
            Change::Stopped => stops.stopped(machine, stage, cell, &program)?,
            change => break change,
        }
    };
    child.end();

    machine.trace.stop()?;
    let end = machine.mark(format_args!("{} end", cell.id))?;
    let records = machine.records(begin, end)?;
    let events = machine.trace.take(child.pid.as_raw())?;
    let mut messages = stops.messages;
    messages.extend(machine.kmsg.drain()?);
    let micros = began.elapsed().as_micros().try_into().unwrap_or(u32::MAX);
    let exit = match change {
        Change::Exited(0) => Exit::Finished,
        Change::Exited(code) => {
            return Err(Error::new("run the subject", format_args!("it exited with {code}")));
        }
        Change::Killed(signal) => Exit::Signal(signal as i32),
        Change::Stopped | Change::Overdue => Exit::Overdue,
    };
    let lost = machine.rise_of_lost()?;
    let caps_unseen = machine.trace.caps.as_ref().err().cloned();
    let collected = Collected {
        pid: seen.pid,
        performed: performed(&machine.region, &program, &stops.actions, &stops.became),
        events,
        records,
        messages,
        caps: caps_unseen.is_none(),
    };
    let mut attributed =
        attribute(collected).map_err(|error| Error::new("attribute what was observed", error))?;
    for call in &mut attributed.calls {
        // recvmsg(2) succeeds without the descriptor when receive_fd() refuses it.
        if let Some(ResultForm::Received(name)) =
            cell.steps.get(call.step as usize).map(Step::result_form)
            && program.slot_of(name).is_none_or(|slot| machine.region.slot(slot).is_none())
        {
            call.result = call.result.min(0);
        }
    }
    Ok(Observation {
        subject: seen,
        mode,
        processes,
        calls: attributed.calls,
        outside: attributed.outside,
        exit,
        lost,
        caps_unseen,
        micros,
    })
}

/// What happened while the subject stood still between its steps.
#[derive(Default)]
struct Stops {
    /// Results of the agent's steps, and what the kernel printed meanwhile.
    actions: HashMap<usize, (i64, Vec<KernelMessage>)>,
    /// What the subject was after an exec, by the step that executed it.
    became: HashMap<usize, SubjectSeen>,
    /// What was printed before an action, and so by no action.
    messages: Vec<crate::kmsg::Printed>,
}

impl Stops {
    fn stopped(
        &mut self,
        machine: &mut Machine,
        stage: &mut Stage,
        cell: &Cell,
        program: &Program,
    ) -> Result<()> {
        let last = machine.region.next().checked_sub(1);
        let origin = last.and_then(|index| program.origins().get(index)).copied();
        match origin {
            Some(Origin::Stop(step)) => {
                let Some(Step::Agent(action)) = cell.steps.get(step) else {
                    return Err(Error::new("continue the subject", "it stopped at another's step"));
                };
                self.messages.extend(machine.kmsg.drain()?);
                let result = machine.scene(stage.scene()).perform(action)?;
                let printed = machine.kmsg.drain()?.into_iter().map(|printed| printed.message);
                self.actions.insert(step, (result, printed.collect()));
            }
            Some(Origin::Step(step)) if matches!(cell.steps.get(step), Some(Step::Execve(_))) => {
                self.became.insert(step, machine.region.seen()?);
                // What the program did to start left silent grants in the cache.
                machine.arm(cell)?;
            }
            _ => return Err(Error::new("run the subject", "it stopped by itself")),
        }
        Ok(())
    }
}

/// What the subject did, in order, as it noted it itself.
fn performed(
    region: &Region,
    program: &Program,
    actions: &HashMap<usize, (i64, Vec<KernelMessage>)>,
    became: &HashMap<usize, SubjectSeen>,
) -> Vec<Performed> {
    let reached = region.next();
    let entry = |(index, origin): (usize, &Origin)| match *origin {
        Origin::Preparation => None,
        Origin::Stop(step) if index < reached => {
            let (result, messages) = actions.get(&step)?;
            Some(Performed::Stop { step: step as u32, result: *result, messages: messages.clone() })
        }
        Origin::Stop(_) => None,
        Origin::Step(step) => {
            let progress = region.progress(index);
            (progress != Progress::Untouched).then(|| Performed::Call {
                step: step as u32,
                number: program.syscall(index),
                progress,
                became: became.get(&step).cloned(),
            })
        }
    };
    program.origins().iter().enumerate().filter_map(entry).collect()
}

/// Starts a program that performs what is in `region`, as `subject`.
fn start(region: &Region, subject: &Subject, path: &str) -> Result<Child> {
    let mut failure = None;
    let pid = sys::spawn(|| {
        let Err(error) = become_subject(region, subject, path);
        failure = Some(error);
    })
    .doing("start the subject")?;
    let child = Child::new(pid);
    // The child shares this memory until it has executed another program.
    match failure {
        Some(error) => Err(error),
        None => Ok(child),
    }
}

/// What the new process does until it is another program; returns only when that fails.
fn become_subject(region: &Region, subject: &Subject, path: &str) -> Result<Infallible> {
    if !subject.context.is_empty() {
        knob::write("/proc/self/attr/exec", &subject.context)
            .map_err(|error| Error { doing: format!("enter {}", subject.context), ..error })?;
    }
    let (uid, gid) = (Uid::from_raw(subject.uid), Gid::from_raw(subject.uid));
    let doing = format_args!("become user {uid}").to_string();
    setgroups(&[]).doing(&doing)?;
    setresgid(gid, gid, gid).doing(&doing)?;
    setresuid(uid, uid, uid).doing(&doing)?;
    let doing = format!("execute {path} in {}", subject.context);
    let word = |text: String| CString::new(text).map_err(|error| Error::new(&doing, error));
    let path = word(path.to_owned())?;
    let fd = word(region.fd().as_raw_fd().to_string())?;
    execv(&path, &[&path, &fd]).doing(doing)
}

/// Starts another process of the cell and lets it perform its steps.
fn start_process(
    machine: &mut Machine,
    stage: &mut Stage,
    process: &Process,
    names: &Names,
) -> Result<SubjectSeen> {
    let doing = format_args!("start the process {}", process.name).to_string();
    let mut names = names.clone();
    let mut region = Region::new(false)?;
    let (own, other) = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty())
        .doing(&doing)?;
    names.fds.push(("subject".to_owned(), other.as_raw_fd()));
    names.files = machine.files(&process.subject, &process.steps)?;
    names.region = region.fd().as_raw_fd();
    let program = Program::new(&process.steps, &names, &process.subject)
        .map_err(|error| Error::new(&doing, error))?
        .and_stay();
    region.put(&program)?;
    let path = machine.executables.get(&process.subject.file(), &process.subject.comm)?;
    let mut child = start(&region, &process.subject, &path)?;
    machine.children.wait_for_stop(&mut child, START_LIMIT)?;
    let mut seen = region.seen()?;
    let stay = program.entries().len();
    while region.next() < stay {
        let starts = region.starts();
        child.resume()?;
        machine.children.wait_for_stop(&mut child, START_LIMIT)?;
        if region.starts() != starts {
            seen = region.seen()?;
        }
    }
    for (index, origin) in program.origins().iter().enumerate() {
        let Origin::Step(step) = *origin else { continue };
        let Some(step) = process.steps.get(step) else { continue };
        let doing = format!("let the process {} perform {step}", process.name);
        match region.progress(index) {
            Progress::Done(result) => drop(returned(result).doing(doing)?),
            _ => return Err(Error::new(doing, "it could not be performed")),
        }
    }
    stage.sockets.push((process.name.clone(), own));
    stage.regions.push(region);
    stage.processes.insert(process.name.clone(), child);
    Ok(seen)
}

/// Performs the steps of the agent that come before there is a subject.
fn give(machine: &mut Machine, stage: &mut Stage, cell: &Cell, names: &Names) -> Result<()> {
    for step in &cell.given {
        let doing = format_args!("perform the given step {step}").to_string();
        if let Step::Agent(action) = step {
            returned(machine.scene(stage.scene()).perform(action)?).doing(doing)?;
            continue;
        }
        if let Step::Mount(mount) = step {
            std::fs::create_dir_all(&mount.target).doing(&doing)?;
            stage.mounts.push(mount.target.clone());
        }
        let names = Names { fds: stage.given.clone(), ..names.clone() };
        let one = std::slice::from_ref(step);
        let program =
            Program::new(one, &names, &cell.subject).map_err(|error| Error::new(&doing, error))?;
        machine.region.put(&program)?;
        let result = perform_here(&machine.region, &program)
            .ok_or_else(|| Error::new(&doing, "its file descriptor was never made"))?;
        let result = returned(result).doing(doing)?;
        if let (Some(name), Ok(fd)) = (step.binds(), i32::try_from(result)) {
            stage.given.push((name.to_owned(), fd));
        }
    }
    Ok(())
}

/// Performs the one syscall of a program in the agent itself; `None` if a slot that it needs is empty.
fn perform_here(region: &Region, program: &Program) -> Option<i64> {
    let mut result = 0;
    for entry in program.entries() {
        let mut arguments = [0; 6];
        for (at, argument) in arguments.iter_mut().enumerate() {
            *argument = entry[layout::ARGUMENTS + at];
            if entry[layout::FROM_SLOT] >> at & 1 == 1 {
                *argument = region.slot(*argument as usize)? as u64;
            }
        }
        match entry[layout::KIND] {
            layout::STORE => region.store(arguments[1] as usize, arguments[0] as u32),
            _ => result = sys::perform(entry[layout::NUMBER] as i64, arguments),
        }
    }
    Some(result)
}

impl Stage {
    fn scene(&mut self) -> (&mut HashMap<String, Child>, &mut PutBack) {
        (&mut self.processes, &mut self.put_back)
    }
}

impl Machine {
    /// The state that a cell asks for, before anything of it runs.
    fn prepare(&mut self, cell: &Cell) -> Result<()> {
        self.sysctls.apply(&cell.sysctls)?;
        if let Some(policy) = &cell.policy {
            self.policies.want(policy)?;
        }
        self.lockdown.raise(cell.lockdown)
    }

    /// Sets what must hold while the steps run; the subject waits.
    fn arm(&mut self, cell: &Cell) -> Result<Mode> {
        let mode = match &self.selinux {
            Some(selinux) => selinux.arm(cell.mode)?,
            None => Mode::Disabled,
        };
        if mode != cell.mode {
            let doing = format_args!("make the kernel {}", cell.mode);
            return Err(Error::new(doing, "it stays as it was"));
        }
        if let Some(audit) = &mut self.audit {
            audit.enable(cell.audit)?;
        }
        Ok(mode)
    }

    fn scene<'a>(
        &'a mut self,
        (processes, put_back): (&'a mut HashMap<String, Child>, &'a mut PutBack),
    ) -> Scene<'a> {
        Scene { processes, put_back, policies: &mut self.policies, audit: self.audit.as_mut() }
    }

    /// Paths of the executables that steps execute.
    fn files(&mut self, subject: &Subject, steps: &[Step]) -> Result<Vec<(Execve, String)>> {
        let files = steps.iter().filter_map(|step| match step {
            Step::Execve(file) => Some(file),
            _ => None,
        });
        files.map(|file| Ok((file.clone(), self.executables.get(file, &subject.comm)?))).collect()
    }

    /// Makes the state between two cells, also after one that failed halfway.
    fn clean(&mut self, stage: &mut Stage) -> Result<()> {
        self.trace.stop()?;
        // First what a step wrote, which may have been the mode; then the mode, since a process whose context
        // is no longer valid cannot even be killed while the kernel is enforcing.
        let put_back = stage.put_back.all();
        if let Some(selinux) = &self.selinux {
            selinux.relax()?;
        }
        if let Some(audit) = &mut self.audit {
            audit.put_back()?;
        }
        stage.processes.clear();
        stage.sockets.clear();
        for (_, fd) in stage.given.drain(..) {
            sys::close(fd);
        }
        for target in stage.mounts.drain(..).rev() {
            // It is there only if the step succeeded.
            let _ = nix::mount::umount2(target.as_str(), nix::mount::MntFlags::MNT_DETACH);
        }
        put_back?;
        self.children.reap();
        Ok(())
    }
}
