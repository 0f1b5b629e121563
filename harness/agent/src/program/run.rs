//! Starts a program like a subject, waits for its end, and reports what was seen of it.

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use perfsec_wire::observation::Record;
use perfsec_wire::program::{MAX_OUTPUT, Program, ProgramEnd};
use perfsec_wire::step::{Execve, Run};
use perfsec_wire::{CapSet, Cell, Step};

use super::attribute::attribute;
use super::event::ProgramEvent;
use super::file::{self, ProgramFile};
use super::names::EventNames;
use super::trace::ProgramTrace;
use crate::actions::ActionResult;
use crate::audit::Mark;
use crate::cell::{START_LIMIT, start};
use crate::children::{Change, Child};
use crate::error::{Error, ErrorContext, Result};
use crate::machine::Machine;
use crate::subject::{Launch, Names, Progress, Region};

/// Directory of the directories in which programs run.
const WORK: &str = "/tmp/work";
/// Directory of copies of programs, on a file system that holds capabilities.
const COPIES: &str = "/tmp/programs";
/// Time between two looks at a running program.
const LOOK: Duration = Duration::from_millis(20);
/// Time that children may outlive the program.
const CHILDREN_LIMIT: Duration = Duration::from_secs(2);
/// The most output of a program, in bytes: more is no answer to a question about perf.
const MOST_OUTPUT: u64 = 4 << 20;

/// The state that programs of all cells share.
#[derive(Default)]
pub(crate) struct Programs {
    trace: Option<ProgramTrace>,
    names: EventNames,
    /// The number of programs that were started.
    started: u32,
}

/// A program that has ended.
pub(crate) struct Ran {
    path: String,
    pid: i32,
    end: ProgramEnd,
    output: String,
    events: Vec<ProgramEvent>,
    /// The place of its start in the stream of audit records. The launch before it enters the
    /// domain, and a distribution's policy may audit that.
    begin: Option<Mark>,
}

impl Programs {
    /// The first program of the steps that this guest lacks.
    pub(crate) fn missing(steps: &[Step]) -> Option<String> {
        let programs = steps.iter().filter_map(|step| match step {
            Step::Run(run) => Some(run.program()),
            _ => None,
        });
        programs.into_iter().find(|name| file::find(name).is_none()).map(str::to_owned)
    }

    /// The observation of a program; `records` are those of the cell.
    pub(crate) fn report(&mut self, ran: Ran, records: &[Record]) -> Result<Program> {
        let Ran { path, pid, end, output, events, begin } = ran;
        let launch = begin.and_then(|mark| records.iter().position(|record| mark.is(record)));
        let seen = attribute(pid, events, &records[launch.map_or(0, |at| at + 1)..])
            .map_err(|error| Error::new("attribute effects to a program's syscalls", error))?;
        let (tracepoints, pmus) = self.names.of(&seen.calls);
        Ok(Program {
            path,
            pid: pid as u32,
            others: seen.others,
            end,
            calls: seen.calls,
            outside: seen.outside,
            output,
            tracepoints,
            pmus,
        })
    }
}

impl Ran {
    /// The result of the step: `-errno` if the kernel refused to execute the program.
    pub(crate) fn result(&self) -> ActionResult {
        let text = match self.end {
            ProgramEnd::NotStarted(errno) => return (-i64::from(errno)).into(),
            ProgramEnd::Exited(code) => format!("exit {code}"),
            ProgramEnd::Killed(signal) => {
                let name = Signal::try_from(signal);
                let name = name.map_or_else(|_| format!("signal {signal}"), |it| it.to_string());
                format!("killed by {name}")
            }
        };
        ActionResult { value: 0, text: Some(text) }
    }
}

/// Runs a program as a subject of the cell, at most for `limit`; `names` has the pids of the cell's
/// processes.
pub(crate) fn run(
    machine: &mut Machine,
    cell: &Cell,
    step: &Run,
    names: &Names,
    limit: Duration,
) -> Result<Ran> {
    machine.programs.started += 1;
    let directory = format!("{WORK}/{}", machine.programs.started);
    work_directory()?;
    let found = file::find(step.program());
    let found = found.ok_or_else(|| Error::new(format!("run {}", step.program()), "it is gone"))?;
    let grant = cell.subject.grant;
    let file = ProgramFile::with_capabilities(&found, grant, Path::new(COPIES))?;
    let path = file.path.display().to_string();
    let fill = |word: &String| {
        names.processes.iter().fold(word.clone(), |word, (name, pid)| {
            word.replace(&format!("{{{name}}}"), &pid.to_string())
        })
    };
    let argv: Vec<_> = step.argv.iter().map(fill).collect();
    let environment = environment(&directory);
    let launch =
        Launch { path: &path, argv: &argv, environment: &environment, directory: &directory };

    let mut region = Region::new(false)?;
    let names = Names { region: region.fd().as_raw_fd(), ..Names::default() };
    let doing = format!("start {}", step.program());
    let program =
        launch.assemble(&names, &cell.subject).map_err(|error| Error::new(&doing, error))?;
    region.put(&program)?;
    // Like a shell it has no capabilities. A program that gains them by its file is not dumpable.
    let launcher = Execve::granted(CapSet::EMPTY);
    let launcher = machine.executables.get(&launcher, &cell.subject.comm)?;
    // The step comes after `arm()`.
    if let Some(selinux) = &machine.selinux {
        selinux.relax()?;
    }
    let mut child = start(machine, &region, &cell.subject, &launcher)?;
    machine.children.wait_for_stop(&mut child, START_LIMIT)?;
    let mut trace = match machine.programs.trace.take() {
        Some(trace) => trace,
        None => ProgramTrace::new(machine.trace.caps.is_ok())?,
    };
    // The start of the process left silent grants in the cache.
    machine.arm(cell)?;
    let number = machine.programs.started;
    let begin = machine.mark(format_args!("program {number}"))?;
    trace.start(child.pid.as_raw())?;
    let output = PathBuf::from(&directory).join(Launch::OUTPUT);
    let waited = wait(machine, &mut trace, (step, limit), &mut child, &output);
    let events = trace.finish();
    trace.end();
    machine.programs.trace = Some(trace);
    drop(file);
    let (change, events) = (waited?, events?);

    let exec = program.entries().len() - 1;
    let failed = (0..exec).find_map(|index| match region.progress(index) {
        Progress::Done(result) if result < 0 => Some(result),
        _ => None,
    });
    if let Some(result) = failed {
        return Err(crate::error::check_result(result)
            .doing(doing)
            .err()
            .unwrap_or_else(|| Error::new("start a program", "it failed and did not fail")));
    }
    let end = match (region.progress(exec), change) {
        (Progress::Done(result), _) => ProgramEnd::NotStarted(result.unsigned_abs() as i32),
        (_, Change::Killed(signal)) => ProgramEnd::Killed(signal as i32),
        (_, Change::Exited(code)) => ProgramEnd::Exited(code),
        (_, Change::Stopped | Change::Overdue) => {
            return Err(Error::new(doing, "it stopped by itself"));
        }
    };
    let output = read_output(&output)?;
    // The directory may hold a large perf.data; the guest's memory is small.
    let _ = std::fs::remove_dir_all(&directory);
    Ok(Ran { path, pid: child.pid.as_raw(), end, output, events, begin })
}

/// Waits until the program has ended, and its children soon after.
fn wait(
    machine: &Machine,
    trace: &mut ProgramTrace,
    (step, limit): (&Run, Duration),
    child: &mut Child,
    output: &Path,
) -> Result<Change> {
    let doing = || format!("run {}", step.program());
    let began = Instant::now();
    let mut interrupt = step.interrupt_after.map(|after| Duration::from_secs(after.into()));
    child.resume()?;
    let change = loop {
        match machine.children.wait(child, LOOK)? {
            Change::Overdue => {}
            change => break change,
        }
        trace.drain()?;
        if interrupt.is_some_and(|after| began.elapsed() >= after) {
            interrupt = None;
            nix::sys::signal::kill(child.pid, Signal::SIGINT).doing(doing())?;
        }
        if began.elapsed() >= limit {
            let detail =
                format!("it did not end within {:.0} s and was killed", limit.as_secs_f32());
            return Err(Error::new(doing(), detail));
        }
        if std::fs::metadata(output).is_ok_and(|it| it.len() > MOST_OUTPUT) {
            let detail = format!("it wrote more than {MOST_OUTPUT} bytes and was killed");
            return Err(Error::new(doing(), detail));
        }
    };
    let ended = Instant::now();
    while ended.elapsed() < CHILDREN_LIMIT && !trace.tasks()?.is_empty() {
        machine.children.reap();
        std::thread::sleep(LOOK);
        trace.drain()?;
    }
    Ok(change)
}

/// Makes the directory in which programs make theirs, for everyone. Its label is that of a system's
/// directory for such files: the agent's own file system is mounted over `/tmp`.
fn work_directory() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let work = Path::new(WORK);
    if work.is_dir() {
        return Ok(());
    }
    let doing = format!("make {WORK}");
    std::fs::create_dir(work).doing(&doing)?;
    std::fs::set_permissions(work, std::fs::Permissions::from_mode(0o1777)).doing(&doing)?;
    let label = c"security.selinux";
    match crate::sys::attribute(Path::new("/var/tmp"), label) {
        Ok(Some(context)) => crate::sys::set_attribute(work, label, &context).doing(doing),
        // A guest with nothing but the agent has no such directory.
        _ => Ok(()),
    }
}

/// A login's environment, without a terminal.
fn environment(home: &str) -> Vec<String> {
    let path = Run::PATH.join(":");
    vec![
        format!("PATH={path}"),
        format!("HOME={home}"),
        "LC_ALL=C".to_owned(),
        "TERM=dumb".to_owned(),
    ]
}

/// The beginning of a program's output.
fn read_output(path: &Path) -> Result<String> {
    use std::io::Read;
    let doing = "read the output of a program";
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        // The kernel refused to execute the program.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        file => {
            let limit = MAX_OUTPUT as u64;
            file.doing(doing)?.take(limit).read_to_end(&mut bytes).doing(doing)?;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
