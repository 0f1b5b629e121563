//! A running virtual machine, as its owner sees it.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::WINDOW_DEVICE;
use crate::supervisor::{self, Wires};
use crate::{Error, Machine};

/// What happens to a virtual machine.
#[derive(Debug)]
pub enum VmEvent {
    /// Bytes from the guest's console, as they came: cut anywhere, with `\r\n`.
    Console(Vec<u8>),
    /// It is over; nothing comes after this.
    Ended(End),
}

/// How a virtual machine ended.
#[derive(Debug)]
pub enum End {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest reset its machine: it rebooted, panicked with `panic=-1`, or suffered a triple
    /// fault. The console tells which.
    Reset,
    /// QEMU died, gave up on the guest, or was ended by someone else.
    Crashed {
        /// How the process ended.
        status: ExitStatus,
        /// What it said on standard error, and what it told about its state.
        said: String,
    },
    /// [`Vm::kill`], a drop, or the person at the terminal ended it.
    Killed,
}

/// A running virtual machine. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Vm {
    process: Arc<Process>,
    supervisor: Option<JoinHandle<()>>,
    channel: Option<UnixStream>,
    window: Option<File>,
}

impl Vm {
    /// Starts `machine` and returns when QEMU has accepted it, about 0.1 s later.
    ///
    /// `sink` is called from threads of this library, in order, and must not block for long: a
    /// console that is not read makes QEMU drop what the guest writes. If starting fails it is
    /// called with no [`VmEvent::Ended`]; otherwise with exactly one. It must not drop the `Vm`.
    pub fn start(
        machine: &Machine,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        let window = wires("make shared memory", machine.window_in_memory())?;
        match Self::start_with(machine, window, sink.clone()) {
            // Only its own words tell whether this QEMU has the device, and asking it in advance
            // would cost every start as much as this costs the rare one.
            Err(Error::EndedAtOnce { said, .. }) if said.contains(WINDOW_DEVICE) => {
                Self::start_with(machine, None, sink)
            }
            started => started,
        }
    }

    fn start_with(
        machine: &Machine,
        window: Option<File>,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        let (channel, guest_channel) = wires("create a socket pair", UnixStream::pair())?;
        let (monitor, guest_monitor) = wires("create a socket pair", UnixStream::pair())?;
        let initramfs = wires("keep the initramfs in memory", machine.initramfs_in_memory())?;
        let guest_window = window
            .as_ref()
            .zip(machine.window)
            .map(|(file, length)| Ok((wires("share memory", file.try_clone())?.into(), length)));
        let wires_of_guest = Wires {
            agent: guest_channel.into(),
            monitor: guest_monitor.into(),
            initramfs,
            window: guest_window.transpose()?,
        };

        let process = Arc::new(Process::default());
        let (told, started) = std::sync::mpsc::channel();
        let supervise = {
            let (machine, process) = (machine.clone(), Arc::clone(&process));
            move || supervisor::run(&machine, wires_of_guest, &monitor, &process, &told, sink)
        };
        let thread = thread::Builder::new().name("qemu".into()).spawn(supervise);
        let supervisor = wires("start a thread", thread)?;
        match started.recv() {
            Ok(Ok(())) => {
                Ok(Self { process, supervisor: Some(supervisor), channel: Some(channel), window })
            }
            Ok(Err(error)) => {
                // It has nothing left to do but to end; its panic would be a defect here.
                let _ = supervisor.join();
                Err(error)
            }
            Err(_) => Err(Error::Setup {
                what: "supervise QEMU",
                source: io::Error::other("the supervising thread ended"),
            }),
        }
    }

    /// The byte stream to the program in the guest, which has it as `/dev/ttyS1`: taken once.
    ///
    /// End of file means that QEMU is gone. Bytes written before the guest has opened its end
    /// wait for it; the guest's line discipline is its own business (make it raw first).
    pub fn channel(&mut self) -> Option<UnixStream> {
        self.channel.take()
    }

    /// The memory of [`Machine::window`]: taken once. `None` also when this QEMU cannot have one.
    ///
    /// The guest may change any of it at any time.
    pub fn window(&mut self) -> Option<File> {
        self.window.take()
    }

    /// QEMU's process id, while there is such a process.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().pid.and_then(|pid| u32::try_from(pid.as_raw()).ok())
    }

    /// Ends the guest at once. Does nothing when it has ended already.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.process.kill();
        if let Some(supervisor) = self.supervisor.take() {
            // A panic of the caller's sink has been reported by its thread already.
            let _ = supervisor.join();
        }
    }
}

fn wires<T>(what: &'static str, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Setup { what, source })
}

/// The process, shared between the one who may kill it and the one who reaps it.
#[derive(Debug, Default)]
pub(crate) struct Process(Mutex<State>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Set while the process id is ours: from the spawn until just before it is reaped.
    pub(crate) pid: Option<Pid>,
    pub(crate) killed: bool,
}

impl Process {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A thread that panicked cannot have left these two fields half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is held over the signal, so that the id cannot be reaped and given to another
    /// process between the look and the kill.
    pub(crate) fn kill(&self) {
        let mut state = self.lock();
        if let Some(pid) = state.pid {
            state.killed = true;
            // The process is not reaped, so the signal finds it, if only as a zombie.
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}
