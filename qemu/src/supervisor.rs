//! The thread that owns the QEMU process: it spawns it, waits for it, and reports how it ended.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::machine::{ConsoleTo, Descriptors};
use crate::migration::{self, Commander, Failure};
use crate::process::Process;
use crate::qmp::{self, EndReport, Reply};
use crate::{Accel, End, Error, Machine, VmEvent, sys};

/// QEMU answers within 0.1 s, and within a few seconds on an overloaded host.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// A process that QEMU's program started and left behind keeps the pipes open. Their last bytes are
/// waited for this long.
const PIPE_LIMIT: Duration = Duration::from_secs(2);

/// In bytes: enough for any message of QEMU and for KVM's register dump.
const STDERR_LIMIT: usize = 64 * 1024;

/// QEMU's ends of everything that connects it to this process.
pub(crate) struct Wires {
    pub(crate) agent: OwnedFd,
    pub(crate) monitor: OwnedFd,
    pub(crate) initramfs: OwnedFd,
    pub(crate) window: Option<(OwnedFd, u64)>,
}

/// This process's ends.
pub(crate) struct Ends {
    pub(crate) monitor: UnixStream,
    /// Gets the result of the start.
    pub(crate) report: Sender<Result<(), Error>>,
    /// Gets the answers to numbered commands once the machine has started.
    pub(crate) replies: Sender<Reply>,
}

/// Runs a machine from its spawn to its end: boots it, or continues `state`.
pub(crate) fn run(
    machine: &Machine,
    state: Option<&File>,
    wires: Wires,
    ends: &Ends,
    process: &Process,
    sink: impl Fn(VmEvent) + Send + Clone + 'static,
) {
    let terminal = Terminal::remember(machine.console);
    let Ends { monitor, report, replies } = ends;
    let mut from_monitor = BufReader::new(monitor);
    let started = Running::start(machine, state, wires, &mut from_monitor, process, sink.clone());
    let ended = match started {
        Ok(running) => {
            // This fails only if the starting thread is gone, and then the process is exiting.
            let _ = report.send(Ok(()));
            let dump = machine.dump.as_deref();
            let mut seen = qmp::watch(&mut from_monitor, &mut &*monitor, dump, replies);
            if let Some(written) = seen.dump.take() {
                sink(VmEvent::Dumped(written));
            }
            if seen.broken.is_some() {
                // Without the channel nobody would notice that the guest is stuck.
                process.kill();
            }
            let (status, said) = running.reap(process);
            let killed = process.lock().killed;
            Ok(end(status, said, &seen, killed))
        }
        Err(error) => Err(error),
    };
    terminal.restore();
    match ended {
        Ok(end) => sink(VmEvent::Ended(end)),
        Err(error) => drop(report.send(Err(error))),
    }
}

struct Running {
    child: Child,
    pid: Pid,
    /// Says when the console has ended.
    console: Option<Receiver<()>>,
    /// Gets standard error when it has ended.
    stderr: Option<Receiver<String>>,
}

impl Running {
    fn start(
        machine: &Machine,
        state: Option<&File>,
        wires: Wires,
        from_monitor: &mut BufReader<&UnixStream>,
        process: &Process,
        sink: impl Fn(VmEvent) + Send + 'static,
    ) -> Result<Self, Error> {
        let mut child = spawn(machine, wires, state.is_some())?;
        let pid = Pid::from_raw(child.id().cast_signed());
        process.own(pid, machine.console);
        let console = child.stdout.take().map(|pipe| {
            in_thread(move || read_all(pipe, |bytes| sink(VmEvent::Console(bytes.to_vec()))))
        });
        let stderr = child.stderr.take().map(|pipe| in_thread(move || read_text(pipe)));
        let running = Self { child, pid, console, stderr };

        let monitor = *from_monitor.get_ref();
        let answer = monitor
            .set_read_timeout(Some(ANSWER_LIMIT))
            .and_then(|()| qmp::negotiate(from_monitor, &mut &*monitor));
        if matches!(answer, Ok(true)) {
            let restored = state.map_or(Ok(()), |state| restore(monitor, from_monitor, state));
            if let Err(failure) = restored {
                process.kill();
                let (status, said) = running.reap(process);
                return Err(not_restored(failure, status, &said));
            }
            if monitor.set_read_timeout(None).is_ok() {
                return Ok(running);
            }
        }
        // A connection that breaks during a write counts as an exit like any other.
        let silent = answer.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        process.kill();
        let (status, said) = running.reap(process);
        let path = machine.qemu.clone();
        Err(if silent {
            Error::NoAnswer { path, waited: ANSWER_LIMIT }
        } else {
            refusal(machine, status, said)
        })
    }

    /// Waits for the exit, then for the last bytes of the pipes.
    fn reap(mut self, process: &Process) -> (ExitStatus, String) {
        // WNOWAIT leaves a zombie: the id stays ours until nobody can signal it any more.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(self.pid), flags) == Err(Errno::EINTR) {}
        process.lock().pid = None;
        let status = self.child.wait();
        if let Some(console) = self.console {
            let _ = console.recv_timeout(PIPE_LIMIT);
        }
        let said = self.stderr.and_then(|text| text.recv_timeout(PIPE_LIMIT).ok());
        let said = said.unwrap_or_default();
        // wait() fails only if the child was reaped elsewhere (SIGCHLD ignored).
        match status {
            Ok(status) => (status, said),
            Err(error) => {
                (ExitStatus::default(), format!("{said}\nits exit status was lost: {error}"))
            }
        }
    }
}

fn restore(
    to: &UnixStream,
    from: &mut BufReader<&UnixStream>,
    state: &File,
) -> Result<(), Failure> {
    let to = to.try_clone().map_err(|error| Failure::Refused(format!("a descriptor: {error}")))?;
    Commander::new(to, from, migration::LIMIT).restore(state)
}

fn not_restored(failure: Failure, status: ExitStatus, said: &str) -> Error {
    let why = match failure {
        Failure::Refused(why) => why,
        Failure::TimedOut => format!("no success within {} s", migration::LIMIT.as_secs()),
        // Its last words say why.
        Failure::Ended if !said.trim().is_empty() => String::new(),
        Failure::Ended => format!("QEMU ended ({status})"),
    };
    Error::NotRestored { said: [said.trim(), &why].join("\n").trim().to_owned() }
}

fn spawn(machine: &Machine, wires: Wires, waits_for_state: bool) -> Result<Child, Error> {
    let descriptors = Descriptors {
        agent: wires.agent.as_raw_fd(),
        monitor: wires.monitor.as_raw_fd(),
        initramfs: wires.initramfs.as_raw_fd(),
        window: wires.window.as_ref().map(|(file, length)| (file.as_raw_fd(), *length)),
    };
    let mut command = Command::new(&machine.qemu);
    command.args(machine.arguments(descriptors)).stderr(Stdio::piped());
    if waits_for_state {
        // Not the state itself: only a command on the control channel reports how loading it went.
        command.args(["-incoming", "defer"]);
    }
    match machine.console {
        ConsoleTo::Events | ConsoleTo::Channel => {
            // In another process group the terminal's Ctrl-C does not reach QEMU: this process
            // decides when to end it, and what to write before.
            command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        }
        // QEMU must stay in the foreground group to be allowed to read from the terminal.
        ConsoleTo::Terminal => {}
    }
    let mut inherited = vec![wires.agent, wires.monitor, wires.initramfs];
    inherited.extend(wires.window.map(|(file, _)| file));
    sys::tie_to_this_thread(&mut command, inherited);
    command.spawn().map_err(|source| {
        let path = machine.qemu.clone();
        match source.kind() {
            io::ErrorKind::NotFound => Error::NoProgram { path },
            io::ErrorKind::PermissionDenied => Error::NotExecutable { path },
            _ => Error::Spawn { path, source },
        }
    })
}

/// Starts a thread for this work, and returns the receiver of its result.
fn in_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (result, receiver) = mpsc::channel();
    thread::spawn(move || drop(result.send(work())));
    receiver
}

fn read_all(mut pipe: impl Read, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => take(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Pipes have no other errors; after any error, no more bytes come.
            Err(_) => return,
        }
    }
}

fn read_text(pipe: impl Read) -> String {
    let mut text = Vec::new();
    read_all(pipe, |bytes| {
        let room = STDERR_LIMIT - text.len();
        text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    });
    String::from_utf8_lossy(&text).into_owned()
}

/// Classifies QEMU's refusals by their text, as they have no numbers. The texts are those of 7.2
/// and of hw/i386/x86.c, accel/kvm/kvm-all.c and softmmu/vl.c.
fn refusal(machine: &Machine, status: ExitStatus, said: String) -> Error {
    const ABOUT_THE_KERNEL: [&str; 5] = [
        "could not load kernel",
        "could not open kernel file",
        "Error loading uncompressed kernel without PVH ELF Note",
        "kernel too old to load a ram disk",
        "invalid kernel header",
    ];
    const ABOUT_THE_ACCELERATOR: [&str; 3] = ["KVM", "kvm", "invalid accelerator"];
    let has = |words: &[&str]| words.iter().any(|w| said.contains(w));
    if has(&ABOUT_THE_KERNEL) {
        Error::KernelRejected { kernel: machine.kernel.clone(), said }
    } else if machine.accel == Accel::Kvm && has(&ABOUT_THE_ACCELERATOR) {
        Error::NoAccelerator { accel: machine.accel, status, said }
    } else {
        Error::EndedAtOnce { path: machine.qemu.clone(), status, said }
    }
}

/// Classifies the end of a machine. The reasons are ShutdownCause of QEMU's qapi/run-state.json.
fn end(status: ExitStatus, said: String, seen: &EndReport, killed: bool) -> End {
    let crashed = |why: String| End::Crashed {
        status,
        said: [said.trim_end(), &why].join("\n").trim().to_owned(),
    };
    if let Some(why) = &seen.broken {
        return crashed(why.clone());
    }
    match (seen.stuck.as_deref(), seen.shutdown.as_deref()) {
        (Some(state), _) => crashed(format!("QEMU stopped the guest: {state}")),
        // A kill that arrives while QEMU is exiting changes nothing.
        (None, Some("guest-shutdown")) if killed || status.success() => End::PoweredOff,
        (None, Some("guest-reset")) if killed || status.success() => End::Reset,
        (None, _) if killed => End::Killed,
        (None, _) if !status.success() => crashed(String::new()),
        // Ctrl-A x of ConsoleTo::Terminal.
        (None, Some("host-qmp-quit")) => End::Killed,
        (None, Some(reason)) => crashed(format!("QEMU ended the guest: {reason}")),
        (None, None) => crashed("QEMU exited without reporting the guest's end".into()),
    }
}

/// The terminal's settings: QEMU makes it raw and, when killed, leaves it raw.
struct Terminal(Option<Termios>);

impl Terminal {
    fn remember(console: ConsoleTo) -> Self {
        match console {
            ConsoleTo::Events | ConsoleTo::Channel => Self(None),
            // If it is not a terminal (a script drives the shell), there is nothing to restore.
            ConsoleTo::Terminal => Self(tcgetattr(io::stdin()).ok()),
        }
    }

    fn restore(self) {
        if let Some(settings) = self.0 {
            // The terminal may be gone by now.
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &settings);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::time::Instant;

    use nix::sys::signal::{Signal, kill};
    use rstest::rstest;

    use super::*;

    fn seen(shutdown: Option<&str>, stuck: Option<&str>) -> EndReport {
        let (shutdown, stuck) = (shutdown.map(Into::into), stuck.map(Into::into));
        EndReport { shutdown, stuck, ..EndReport::default() }
    }

    #[rstest]
    #[case::power_off(0, Some("guest-shutdown"), None, false, "PoweredOff")]
    #[case::reset(0, Some("guest-reset"), None, false, "Reset")]
    #[case::kill(9, None, None, true, "Killed")]
    #[case::kill_after_the_end(9, Some("guest-shutdown"), None, true, "PoweredOff")]
    #[case::ctrl_a_x(0, Some("host-qmp-quit"), None, false, "Killed")]
    #[case::killed_by_another(9, None, None, false, "Crashed: words")]
    #[case::terminated_by_another(
        0,
        Some("host-signal"),
        None,
        false,
        "Crashed: words\nQEMU ended the guest: host-signal"
    )]
    #[case::emulation_failure(
        0,
        Some("host-qmp-quit"),
        Some("internal-error"),
        false,
        "Crashed: words\nQEMU stopped the guest: internal-error"
    )]
    fn an_end_is_classified(
        #[case] status: i32,
        #[case] shutdown: Option<&str>,
        #[case] stuck: Option<&str>,
        #[case] killed: bool,
        #[case] expected: &str,
    ) {
        let status = ExitStatus::from_raw(status);
        let end = end(status, "words\n".into(), &seen(shutdown, stuck), killed);
        let shown = match end {
            End::Crashed { said, .. } => format!("Crashed: {said}"),
            other => format!("{other:?}"),
        };
        assert_eq!(shown, expected);
    }

    /// As QEMU's program does that is a script: the pipes stay open.
    #[test]
    fn a_process_left_behind_does_not_hold_up_the_end() {
        let started = Instant::now();
        let script = "sleep 60 & echo $!; exit 3";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let (print, printed) = mpsc::channel();
        let console = child.stdout.take().map(|pipe| {
            in_thread(move || read_all(pipe, |bytes| print.send(bytes.to_vec()).unwrap()))
        });
        let stderr = child.stderr.take().map(|pipe| in_thread(move || read_text(pipe)));
        let (status, said) = Running { child, pid, console, stderr }.reap(&Process::default());
        assert_eq!((status.code(), said.as_str()), (Some(3), ""));
        assert!(started.elapsed() < Duration::from_secs(30));
        let left = String::from_utf8(printed.recv().unwrap()).unwrap();
        kill(Pid::from_raw(left.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn standard_error_is_kept_up_to_a_limit() {
        assert_eq!(read_text(&b"abc"[..]), "abc");
        assert_eq!(read_text(io::repeat(b'x').take(1 << 20)).len(), STDERR_LIMIT);
    }
}
