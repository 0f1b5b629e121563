//! A running virtual machine.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::machine::WINDOW_DEVICE;
use crate::process::Process;
use crate::supervisor::{self, Wires};
use crate::{Error, Machine, VmEvent};

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
    /// Threads of this library call `sink`, in order. It must not block for long: when nobody reads
    /// the console, QEMU drops the guest's output. It gets exactly one [`VmEvent::Ended`], or none
    /// if starting fails. It must not drop the `Vm`.
    pub fn start(
        machine: &Machine,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        let window = wires("make shared memory", machine.window_in_memory())?;
        match Self::start_with(machine, window, sink.clone()) {
            // Only its error message shows that this QEMU lacks the device. Asking it in advance
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
        let (report, started) = std::sync::mpsc::channel();
        let supervise = {
            let (machine, process) = (machine.clone(), Arc::clone(&process));
            move || supervisor::run(&machine, wires_of_guest, &monitor, &process, &report, sink)
        };
        let thread = thread::Builder::new().name("qemu".into()).spawn(supervise);
        let supervisor = wires("start a thread", thread)?;
        match started.recv() {
            Ok(Ok(())) => {
                Ok(Self { process, supervisor: Some(supervisor), channel: Some(channel), window })
            }
            Ok(Err(error)) => {
                // It only returns now; a panic would be a bug in this crate.
                let _ = supervisor.join();
                Err(error)
            }
            Err(_) => Err(Error::Setup {
                what: "supervise QEMU",
                source: io::Error::other("the supervising thread ended"),
            }),
        }
    }

    /// The byte stream to the program in the guest, where it is `/dev/ttyS1`. Returns `None` from
    /// the second call on.
    ///
    /// End of file means that QEMU has exited. Bytes written before the guest opens its end are
    /// kept for it. The guest sets its own line discipline (it should make it raw first).
    pub fn channel(&mut self) -> Option<UnixStream> {
        self.channel.take()
    }

    /// The memory of [`Machine::window`]. Returns `None` from the second call on, and if this QEMU
    /// lacks the device.
    ///
    /// The guest may change it at any time.
    pub fn window(&mut self) -> Option<File> {
        self.window.take()
    }

    /// QEMU's process id, while the process exists.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().pid.and_then(|pid| u32::try_from(pid.as_raw()).ok())
    }

    /// Ends the guest at once. Does nothing if it has ended already.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.process.kill();
        if let Some(supervisor) = self.supervisor.take() {
            // If the caller's sink panicked, its thread has reported that already.
            let _ = supervisor.join();
        }
    }
}

fn wires<T>(what: &'static str, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::Setup { what, source })
}
