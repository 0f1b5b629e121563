//! Runs one cell, from a clean state to the observation.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, execve, setgroups, setresgid, setresuid};
use perfsec_subject as layout;
use perfsec_wire::observation::{
    Call, CellOutcome, Effect, Exit, KernelMessage, Observation, SubjectSeen,
};
use perfsec_wire::step::{Execve, ResultForm, STDIN, Step};
use perfsec_wire::{Cell, Mode, Process, REACHED, Subject};

use crate::actions::{ActionContext, ActionResult, UndoList};
use crate::attribute::{Evidence, PerformedStep, attribute};
use crate::children::{Change, Child, end, resume};
use crate::error::{Error, ErrorContext, Result, check_result};
use crate::follow::{Heir, follow};
use crate::here::journal;
use crate::limits::Room;
use crate::machine::Machine;
use crate::orphans;
use crate::program::{self, Programs, Ran};
use crate::subject::{Names, Origin, Program, Progress, Region, assemble};
use crate::{answers, sys};

/// Time limit of a subject to reach its first stop: it only has to be executed.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(20);

/// Runs one cell. Every error belongs to the cell, and the next starts from a clean state.
///
/// The `last` cell of an order also fails if the kernel lost audit records without a message in its
/// log, in this cell or an earlier one: those are reported already, and the run must not be clean.
pub(crate) fn run(machine: &mut Machine, cell: &Cell, last: bool) -> CellOutcome {
    let mut state = CellState::default();
    let outcome = match cell.questions.as_slice() {
        [] => match Programs::missing(&cell.steps) {
            Some(program) => Ok(CellOutcome::NoProgram(program)),
            None => observe(machine, &mut state, cell).map(CellOutcome::Observed),
        },
        questions => {
            machine.prepare(cell).and_then(|()| answers::ask(questions)).map(CellOutcome::Answered)
        }
    };
    let clean = machine.clean(&mut state);
    let counted = if last { machine.check_lost_records() } else { Ok(()) };
    counted
        .and(outcome)
        .and_then(|outcome| clean.map(|()| outcome))
        .unwrap_or_else(|error| CellOutcome::Failed(error.failure()))
}

/// State that exists for one cell.
#[derive(Default)]
struct CellState {
    processes: HashMap<String, Child>,
    /// Regions of the processes, kept until these have ended.
    regions: Vec<Region>,
    /// Sockets that the subject inherits, by the name of the process at the other end.
    sockets: Vec<(String, OwnedFd)>,
    /// Descriptors that the given steps made.
    given: Vec<(String, i32)>,
    /// Descriptors that they made without a name, and the room for these.
    unnamed: Vec<i32>,
    room: Option<Room>,
    /// Mount points of the given steps.
    mounts: Vec<String>,
    /// Directories that steps make.
    directories: Vec<String>,
    undo: UndoList,
}

fn observe(machine: &mut Machine, state: &mut CellState, cell: &Cell) -> Result<Observation> {
    machine.prepare(cell)?;
    let began = Instant::now();
    let mut names = machine.names(cell)?;
    let mut processes = Vec::new();
    for process in &cell.processes {
        let seen = start_process(machine, state, process, &names)?;
        names.processes.push((process.name.clone(), seen.pid as i32));
        processes.push((process.name.clone(), seen.pid, seen.context));
    }
    perform_given(machine, state, cell, &names)?;
    // The given steps may define them.
    names.tracepoints.extend(machine.tracepoints(cell.steps.iter())?);
    state.directories.extend(cell.steps.iter().filter_map(|step| match step {
        Step::Mkdir(made) => Some(made.path.clone()),
        _ => None,
    }));

    names.fds.clone_from(&state.given);
    names.fds.extend(state.sockets.iter().map(|(name, fd)| (name.clone(), fd.as_raw_fd())));
    names.fds.push((STDIN.to_owned(), 0));
    names.files = machine.files(&cell.subject, &cell.steps)?;
    names.region = machine.region.fd().as_raw_fd();
    let program = assemble(&cell.steps, &names, &cell.subject)
        .map_err(|error| Error::new("lay out the steps", error))?
        .of_cell(cell.id);
    machine.region.put(&program)?;
    let path = machine.executables.get(&cell.subject.file(), &cell.subject.comm)?;
    let mut child = start(machine, &machine.region, &cell.subject, &path)?;
    machine.children.wait_for_stop(&mut child, START_LIMIT)?;
    let seen = machine.region.seen()?;
    let mode = machine.arm(cell)?;
    // The steps of the agent and of processes run code of mutants, too.
    let early = machine.kmsg.drain()?.into_iter().map(|printed| printed.message);
    let early: Vec<_> = early.filter(|message| message.text.starts_with(REACHED)).collect();
    let begin = machine.mark(format_args!("{} begin", cell.id))?;
    machine.trace.start()?;

    let mut stops = Stops::default();
    let limit = cell_limit(cell);
    let change = loop {
        for heir in heirs(&machine.region, &program) {
            resume(heir.tid)?;
        }
        child.resume()?;
        match machine.children.wait(&mut child, limit)? {
            Change::Stopped => stops.handle(machine, state, cell, &program, &names)?,
            change => break change,
        }
    };
    child.end();
    // A change of credentials cancels the signal that the end of the parent sends.
    if matches!(change, Change::Overdue) {
        heirs(&machine.region, &program).iter().for_each(|heir| end(heir.tid));
    }

    machine.trace.stop()?;
    let end = machine.mark(format_args!("{} end", cell.id))?;
    let records = machine.records(begin, end)?;
    let heirs = heirs(&machine.region, &program);
    let first = child.pid.as_raw();
    let tids: Vec<_> = heirs.iter().map(|heir| heir.tid).chain([first]).collect();
    let events = follow(first, &heirs, machine.trace.take(&tids)?);
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
    let lost = machine.lost_records();
    let caps_unseen = machine.trace.caps.as_ref().err().cloned();
    let processes_followed = heirs.iter().filter(|heir| !heir.thread);
    let followed: Vec<_> =
        processes_followed.map(|heir| (heir.name.clone(), heir.tid as u32)).collect();
    let mut programs = HashMap::new();
    for (step, ran) in stops.programs.drain() {
        programs.insert(step, machine.programs.report(ran, &records)?);
    }
    let evidence = Evidence {
        pids: followed.iter().map(|(_, pid)| *pid).chain([seen.pid]).collect(),
        performed: performed(&machine.region, &program, &stops.actions, &stops.became),
        events,
        records,
        messages,
        caps: caps_unseen.is_none(),
    };
    let mut attributed =
        attribute(evidence).map_err(|error| Error::new("attribute effects to syscalls", error))?;
    add_texts(&mut attributed.calls, &machine.region, &program, &mut stops.actions);
    for call in &mut attributed.calls {
        call.program = programs.remove(&(call.step as usize)).map(Box::new);
    }
    report_missing_descriptors(&mut attributed.calls, &cell.steps, |name| {
        program.slot_of(name).is_some_and(|slot| machine.region.slot(slot).is_some())
    });
    attributed.outside.extend(early.into_iter().map(Effect::Message));
    Ok(Observation {
        subject: seen,
        mode,
        processes,
        heirs: followed,
        calls: attributed.calls,
        outside: attributed.outside,
        exit,
        lost,
        caps_unseen,
        micros,
    })
}

fn cell_limit(cell: &Cell) -> Duration {
    Duration::from_millis(cell.limit_ms.into())
}

/// The tasks to which steps handed over.
fn heirs(region: &Region, program: &Program) -> Vec<Heir> {
    let made = program.heirs().iter().filter_map(|planned| {
        let Progress::Done(tid) = region.progress(planned.entry) else { return None };
        let tid = i32::try_from(tid).ok().filter(|tid| *tid > 0)?;
        Some(Heir { name: planned.name.clone(), tid, thread: planned.thread })
    });
    made.collect()
}

/// Adds the results that are texts to the calls that succeeded.
fn add_texts(
    calls: &mut [Call],
    region: &Region,
    program: &Program,
    actions: &mut HashMap<usize, (ActionResult, Vec<KernelMessage>)>,
) {
    for call in calls.iter_mut().filter(|call| call.result >= 0) {
        let step = call.step as usize;
        let of_action = actions.get_mut(&step).and_then(|(result, _)| result.text.take());
        let of_syscall = || Some(region.output(program.output(step)?, call.result));
        call.text = of_action.or_else(of_syscall);
    }
}

/// Makes 0 the result of a call that succeeded without the descriptor that it is there to receive:
/// recvmsg(2) returns the length of the message even if receive_fd() refused the descriptor.
fn report_missing_descriptors(calls: &mut [Call], steps: &[Step], is_bound: impl Fn(&str) -> bool) {
    for call in calls {
        if let Some(ResultForm::Received(name)) =
            steps.get(call.step as usize).map(Step::result_form)
            && !is_bound(name)
        {
            call.result = call.result.min(0);
        }
    }
}

/// The stops of a subject between its steps.
#[derive(Default)]
struct Stops {
    /// Results of the agent's actions, with the kernel messages during each.
    actions: HashMap<usize, (ActionResult, Vec<KernelMessage>)>,
    /// The subject after an exec, by the index of the execve step.
    became: HashMap<usize, SubjectSeen>,
    /// Messages that were printed before an action.
    messages: Vec<crate::kmsg::LogMessage>,
    /// The programs that ran, by the index of the step.
    programs: HashMap<usize, Ran>,
    /// Time that they took: all programs of a cell share its limit.
    spent: Duration,
}

impl Stops {
    fn handle(
        &mut self,
        machine: &mut Machine,
        state: &mut CellState,
        cell: &Cell,
        program: &Program,
        names: &Names,
    ) -> Result<()> {
        let last = machine.region.next().checked_sub(1);
        let origin = last.and_then(|index| program.origins().get(index)).copied();
        match origin {
            Some(Origin::Stop(step)) => {
                self.messages.extend(machine.kmsg.drain()?);
                let result = match cell.steps.get(step) {
                    Some(Step::Agent(action)) => machine.context(state).perform(action)?,
                    Some(Step::Run(run)) => {
                        machine.trace.pause()?;
                        let (limit, started) = (cell_limit(cell), Instant::now());
                        let left = limit.saturating_sub(self.spent);
                        let ran = program::run(machine, cell, run, names, left);
                        self.spent += started.elapsed();
                        machine.trace.start()?;
                        let ran = ran?;
                        let result = ran.result();
                        self.programs.insert(step, ran);
                        result
                    }
                    _ => {
                        let doing = "continue the subject";
                        return Err(Error::new(doing, "it stopped at the wrong step"));
                    }
                };
                let messages = machine.kmsg.drain()?.into_iter().map(|printed| printed.message);
                self.actions.insert(step, (result, messages.collect()));
            }
            Some(Origin::Step(step)) if matches!(cell.steps.get(step), Some(Step::Execve(_))) => {
                self.became.insert(step, machine.region.seen()?);
                // The start of the program left silent grants in the cache.
                machine.arm(cell)?;
            }
            _ => return Err(Error::new("run the subject", "it stopped by itself")),
        }
        Ok(())
    }
}

/// The steps that the subject began, in order, as it stored them in its region.
fn performed(
    region: &Region,
    program: &Program,
    actions: &HashMap<usize, (ActionResult, Vec<KernelMessage>)>,
    became: &HashMap<usize, SubjectSeen>,
) -> Vec<PerformedStep> {
    let reached = region.next();
    let entry = |(index, origin): (usize, &Origin)| match *origin {
        Origin::Preparation => None,
        Origin::Stop(step) if index < reached => {
            let (result, messages) = actions.get(&step)?;
            let (step, result, messages) = (step as u32, result.value, messages.clone());
            Some(PerformedStep::Stop { step, result, messages })
        }
        Origin::Stop(_) => None,
        Origin::Step(step) => {
            let progress = region.progress(index);
            (progress != Progress::Untouched).then(|| PerformedStep::Call {
                step: step as u32,
                number: program.syscall(index),
                arguments: region.arguments(index),
                compat: program.is_compat(index),
                progress,
                became: became.get(&step).cloned(),
            })
        }
    };
    program.origins().iter().enumerate().filter_map(entry).collect()
}

/// Starts a subject that performs the program in `region`.
pub(crate) fn start(
    machine: &Machine,
    region: &Region,
    subject: &Subject,
    path: &str,
) -> Result<Child> {
    if let Some(selinux) = &machine.selinux {
        selinux.enter_at_exec(&subject.context)?;
    }
    let mut failure = None;
    let pid = sys::spawn(|| {
        let Err(error) = become_subject(region, subject, path);
        failure = Some(error);
    })
    .doing("start the subject")?;
    let child = Child::new(pid);
    // The child shares this memory until it executes another program.
    match failure {
        Some(error) => Err(error),
        None => Ok(child),
    }
}

/// Takes the subject's credentials and executes its program; returns only on failure.
fn become_subject(region: &Region, subject: &Subject, path: &str) -> Result<Infallible> {
    let (uid, gid) = (Uid::from_raw(subject.uid), Gid::from_raw(subject.uid));
    let doing = format_args!("become user {uid}").to_string();
    sys::reset_signals().doing(&doing)?;
    setgroups(&[]).doing(&doing)?;
    setresgid(gid, gid, gid).doing(&doing)?;
    setresuid(uid, uid, uid).doing(&doing)?;
    let doing = format!("execute {path} in {}", subject.context);
    let word = |text: String| CString::new(text).map_err(|error| Error::new(&doing, error));
    let path = word(path.to_owned())?;
    let fd = word(region.fd().as_raw_fd().to_string())?;
    // In the environment: arguments are part of audit records.
    execve(&path, &[&path], &[&fd]).doing(doing)
}

/// Starts another process of the cell, and waits until it has performed its steps.
fn start_process(
    machine: &mut Machine,
    state: &mut CellState,
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
    let program = assemble(&process.steps, &names, &process.subject)
        .map_err(|error| Error::new(&doing, error))?
        .and_stay();
    region.put(&program)?;
    let path = machine.executables.get(&process.subject.file(), &process.subject.comm)?;
    let mut child = start(machine, &region, &process.subject, &path)?;
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
        let doing = format!("perform {step} in the process {}", process.name);
        match region.progress(index) {
            Progress::Done(result) => drop(check_result(result).doing(doing)?),
            _ => return Err(Error::new(doing, "a file descriptor that it needs was never made")),
        }
    }
    state.sockets.push((process.name.clone(), own));
    state.regions.push(region);
    state.processes.insert(process.name.clone(), child);
    Ok(seen)
}

/// Performs the given steps, before the subject starts.
fn perform_given(
    machine: &mut Machine,
    state: &mut CellState,
    cell: &Cell,
    names: &Names,
) -> Result<()> {
    for step in &cell.given {
        let doing = format_args!("perform the given step {step}").to_string();
        if let Step::Agent(action) = step {
            check_result(machine.context(state).perform(action)?.value).doing(doing)?;
            continue;
        }
        if let Step::Mount(mount) = step {
            journal::make_directories(Path::new(&mount.target))?;
            state.mounts.push(mount.target.clone());
        }
        let names = Names { fds: state.given.clone(), ..names.clone() };
        let one = std::slice::from_ref(step);
        let program =
            assemble(one, &names, &cell.subject).map_err(|error| Error::new(&doing, error))?;
        machine.region.put(&program)?;
        let perform = || {
            let result = perform_here(&machine.region, &program);
            let why = "a file descriptor that it needs was never made";
            check_result(result.ok_or_else(|| Error::new(&doing, why))?).doing(&doing)
        };
        let times = match step {
            Step::PerfEventOpen(open) => open.times,
            _ => 1,
        };
        if times > 1 && state.room.is_none() {
            state.room = Some(Room::take(times)?);
        }
        for _ in 1..times {
            state.unnamed.extend(i32::try_from(perform()?));
        }
        let result = perform()?;
        if let (Some(name), Ok(fd)) = (step.binds(), i32::try_from(result)) {
            state.given.push((name.to_owned(), fd));
        }
    }
    Ok(())
}

/// Performs the one syscall of a program in the agent; `None` if a slot that it needs is empty.
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
            layout::COPY => {
                let [from, to, count] = [0, 1, 2].map(|at| arguments[at] as usize);
                region.copy(from, to, count);
            }
            _ => result = sys::perform(entry[layout::NUMBER] as i64, arguments),
        }
    }
    Some(result)
}

impl Machine {
    /// Sets the state for a cell before any process of it starts.
    fn prepare(&mut self, cell: &Cell) -> Result<()> {
        self.sysctls.apply(&cell.sysctls)?;
        if let Some(policy) = &cell.policy {
            self.policies.ensure(policy)?;
        }
        // The policy's answers do not depend on it.
        if cell.questions.is_empty() { self.lockdown.raise(cell.lockdown) } else { Ok(()) }
    }

    /// Sets the state for the steps, while the subject is stopped. Returns the mode read back.
    pub(crate) fn arm(&mut self, cell: &Cell) -> Result<Mode> {
        let mode = match &self.selinux {
            Some(selinux) => selinux.arm(cell.mode)?,
            None => Mode::Disabled,
        };
        if mode != cell.mode {
            let doing = format_args!("make the kernel {}", cell.mode);
            return Err(Error::new(doing, format_args!("it is {mode}")));
        }
        if let Some(audit) = &mut self.audit {
            audit.enable(cell.audit)?;
        }
        Ok(mode)
    }

    fn context<'a>(&'a mut self, state: &'a mut CellState) -> ActionContext<'a> {
        ActionContext {
            processes: &mut state.processes,
            policies: &mut self.policies,
            audit: self.audit.as_mut(),
            undo: &mut state.undo,
        }
    }

    /// Paths of the programs that steps execute.
    fn files(&mut self, subject: &Subject, steps: &[Step]) -> Result<Vec<(Execve, String)>> {
        let files = steps.iter().filter_map(|step| match step {
            Step::Execve(file) => Some(file),
            _ => None,
        });
        files.map(|file| Ok((file.clone(), self.executables.get(file, &subject.comm)?))).collect()
    }

    /// Restores the state between cells, also after one that failed halfway.
    fn clean(&mut self, state: &mut CellState) -> Result<()> {
        self.trace.stop()?;
        // First the files that steps wrote, which may include the mode; then the mode, because an
        // enforcing kernel does not even let a process be killed whose context is no longer valid.
        let undone = state.undo.undo_all();
        if let Some(selinux) = &self.selinux {
            selinux.relax()?;
        }
        if let Some(audit) = &mut self.audit {
            audit.restore()?;
        }
        state.processes.clear();
        state.sockets.clear();
        let given = state.given.drain(..).map(|(_, fd)| fd);
        for fd in given.chain(state.unnamed.drain(..)) {
            sys::close(fd);
        }
        state.room = None;
        for path in state.directories.drain(..) {
            // The step may not have succeeded.
            let _ = fs::remove_dir(path);
        }
        for target in state.mounts.drain(..).rev() {
            // Mounted only if the step succeeded.
            let _ = nix::mount::umount2(target.as_str(), nix::mount::MntFlags::MNT_DETACH);
        }
        orphans::end_all();
        undone
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::step::{Close, Recvmsg};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::received(0, 1, true, 1)]
    #[case::refused_by_receive_fd(0, 1, false, 0)]
    #[case::failed(0, -13, false, -13)]
    #[case::of_another_step(1, 7, false, 7)]
    fn a_recvmsg_without_its_descriptor_returns_zero(
        #[case] step: u32,
        #[case] result: i64,
        #[case] bound: bool,
        #[case] expected: i64,
    ) {
        let fd = || "fd".to_owned();
        let steps = [
            Step::Recvmsg(Recvmsg { fd: "peer".to_owned(), bind: fd() }),
            Step::Close(Close { fd: fd() }),
        ];
        let mut calls =
            [Call { step, result, text: None, raw: None, effects: Vec::new(), program: None }];
        report_missing_descriptors(&mut calls, &steps, |name| bound && name == "fd");
        assert_eq!(calls[0].result, expected);
    }
}
