//! A running virtual machine.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::machine::WINDOW_DEVICE;
use crate::migration::{self, Commander, Failure};
use crate::process::Process;
use crate::qmp::Reply;
use crate::supervisor::{self, Ends, Wires};
use crate::{Error, Machine, SaveError, VmEvent};

/// A running virtual machine. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Vm {
    process: Arc<Process>,
    supervisor: Option<JoinHandle<()>>,
    channel: Option<UnixStream>,
    window: Option<File>,
    commander: Mutex<Commander<Receiver<Reply>>>,
}

impl Vm {
    /// Starts `machine` and returns when QEMU has accepted it, about 0.1 s later.
    ///
    /// Threads of this library call `sink`, in order. It must not block for long on the console:
    /// when nobody reads it, QEMU drops the guest's output. It gets exactly one
    /// [`VmEvent::Ended`], or none if starting fails. It must not drop the `Vm`.
    pub fn start(
        machine: &Machine,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        Self::begin(machine, None, sink)
    }

    /// Continues a guest that [`Vm::save`] wrote from an equal machine (see
    /// [`Machine::identity`]), instead of booting one. Returns when the guest runs, so that bytes
    /// written to the channel from then on arrive. The sink is the same as for [`Vm::start`].
    ///
    /// Reads `state` from its start, by the file's offset: guests that start at once need a file
    /// opened for each. QEMU notices a missing part but not a changed byte, so check the content
    /// first. The window holds what it held when the state was saved.
    ///
    /// # Errors
    ///
    /// [`Error::NotRestored`] if only the state is to blame, or else the errors of a start.
    pub fn restore(
        machine: &Machine,
        mut state: File,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        wires("read a saved state", state.rewind())?;
        Self::begin(machine, Some(Arc::new(state)), sink)
    }

    fn begin(
        machine: &Machine,
        state: Option<Arc<File>>,
        sink: impl Fn(VmEvent) + Send + Clone + 'static,
    ) -> Result<Self, Error> {
        let window = wires("make shared memory", machine.window_in_memory())?;
        match Self::begin_with(machine, state.clone(), window, sink.clone()) {
            // Only its error message shows that this QEMU lacks the device. Asking it in advance
            // would cost every start as much as this costs the rare one.
            Err(Error::EndedAtOnce { said, .. }) if said.contains(WINDOW_DEVICE) => {
                Self::begin_with(machine, state, None, sink)
            }
            started => started,
        }
    }

    fn begin_with(
        machine: &Machine,
        state: Option<Arc<File>>,
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
        let (replies, answers) = std::sync::mpsc::channel();
        let orders = wires("share a socket", monitor.try_clone())?;
        let supervise = {
            let (machine, process) = (machine.clone(), Arc::clone(&process));
            let ends = Ends { monitor, report, replies };
            move || {
                supervisor::run(&machine, state.as_deref(), wires_of_guest, &ends, &process, sink)
            }
        };
        let thread = thread::Builder::new().name("qemu".into()).spawn(supervise);
        let supervisor = wires("start a thread", thread)?;
        match started.recv() {
            Ok(Ok(())) => Ok(Self {
                process,
                supervisor: Some(supervisor),
                channel: Some(channel),
                window,
                commander: Mutex::new(Commander::new(orders, answers, migration::LIMIT)),
            }),
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

    /// Stops the guest, writes its state to `to`, and lets it continue where it was. Returns when
    /// all of that is done. Any number of guests can continue from the state with [`Vm::restore`].
    ///
    /// The guest stands still while `to` is written, so a slow writer is a long stop. The time
    /// limit does not interrupt the writer.
    ///
    /// # Errors
    ///
    /// After an error the guest continues as well, and what was written is useless. But after
    /// [`SaveError::Stuck`] or [`SaveError::Ended`] the machine is gone, and the sink gets its end.
    pub fn save(&self, to: &mut impl Write) -> Result<(), SaveError> {
        // A caller's writer that panicked leaves a stopped guest, which this save will continue.
        let mut commander = self.commander.lock().unwrap_or_else(PoisonError::into_inner);
        commander.forget();
        let saved = commander.save(to);
        if let Err(SaveError::Stuck { .. }) = saved {
            self.process.kill();
        }
        saved
    }

    /// Stops the guest for good and writes its memory to `file`, an ELF core. Returns when it
    /// is written: seconds, or minutes on a slow disk.
    ///
    /// # Errors
    ///
    /// The reason, in QEMU's own words if it refused. A part of the file may be there.
    pub fn dump(&self, file: &Path) -> Result<(), String> {
        let mut commander = self.commander.lock().unwrap_or_else(PoisonError::into_inner);
        commander.forget();
        commander.dump(file).map_err(|failure| match failure {
            Failure::Refused(why) => why,
            Failure::TimedOut => "QEMU did not write it in time".to_owned(),
            Failure::Ended => "the machine has ended".to_owned(),
        })
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
