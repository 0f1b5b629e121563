//! A pool whose machines go wrong: their guests are fake agents that speak real frames to the same
//! reader as QEMU's do, and a plan says what goes wrong in which boot.
//!
//! A fake agent does what it should. Only its faults stand between that and the engine, so a result
//! that does not show the agent's own work is the engine's mistake:
//!
//! - a cell that passed was performed, in a boot that ended where the engine says;
//! - a cell does not fail, unless the machine rebooted or its kernel reported something;
//! - every cell has one result, and the run ends;
//! - no machine is left behind ([`FaultyPool::running`]).

mod agent;
mod fault;
mod line;

use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use perfsec_wire::frame::FrameError;
use perfsec_wire::{BootMode, Cell, CellOutcome, Facts, Order, window};

use super::channel::Channel;
use super::{Blame, Guest, Incident, Load, MachineError, Machinery, Pool, Sink};
use crate::kernel::Kernel;
use agent::Agent;
pub use fault::{Fault, FaultKind, FaultyBoot, LOCKUP};

/// Performs a cell.
type Perform = dyn Fn(&Cell) -> CellOutcome + Send + Sync;
/// Plans boots by their number.
type Plan = dyn Fn(usize) -> FaultyBoot + Send + Sync;

/// A pool of machines that go wrong as planned.
pub struct FaultyPool {
    facts: Facts,
    perform: Arc<Perform>,
    plan: Box<Plan>,
    started: AtomicUsize,
    running: Arc<AtomicUsize>,
}

/// A machine that runs.
struct Running {
    channel: Channel,
    switch: Arc<Switch>,
    thread: Option<JoinHandle<()>>,
    snapshot: Option<String>,
}

/// The machine's switch, which only turns it off.
struct Switch {
    off: Mutex<bool>,
    turned: Condvar,
    port: UnixStream,
}

impl FaultyPool {
    /// A pool of guests with these facts that do in each cell what `perform` says. Boots go wrong
    /// as `plan` says of their numbers.
    pub fn new(
        facts: Facts,
        perform: impl Fn(&Cell) -> CellOutcome + Send + Sync + 'static,
        plan: impl Fn(usize) -> FaultyBoot + Send + Sync + 'static,
    ) -> Self {
        Self {
            facts,
            perform: Arc::new(perform),
            plan: Box::new(plan),
            started: AtomicUsize::new(0),
            running: Arc::default(),
        }
    }

    /// Number of machines that run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    fn start(&self, boot: FaultyBoot, cold: bool, sink: Sink) -> io::Result<Running> {
        let (port, guest) = UnixStream::pair()?;
        let memory = boot.window.then(shared_memory).transpose()?;
        let window = memory.as_ref().map(File::try_clone).transpose()?;
        let switch = Arc::new(Switch::new(guest.try_clone()?));
        let channel = {
            let sink = sink.clone();
            Channel::open(port, window, move |incident| sink.report(incident))?
        };
        let snapshot = (boot.restored && !cold).then(|| "snapshot of a faulty guest".to_owned());
        let agent = Agent {
            facts: self.facts.clone(),
            perform: Arc::clone(&self.perform),
            faults: boot.faults,
            memory,
            restored: snapshot.is_some(),
            switch: Arc::clone(&switch),
            sink: sink.clone(),
        };
        self.running.fetch_add(1, Ordering::SeqCst);
        let running = Arc::clone(&self.running);
        let live = move || {
            let end = agent.live(guest);
            running.fetch_sub(1, Ordering::SeqCst);
            sink.report(Incident::Ended(end));
        };
        let thread = Some(thread::Builder::new().name("faulty".to_owned()).spawn(live)?);
        Ok(Running { channel, switch, thread, snapshot })
    }
}

impl std::fmt::Debug for FaultyPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultyPool").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Pool for FaultyPool {
    fn boot(
        &self,
        _kernel: &Kernel,
        _mode: BootMode,
        _load: &Load,
        cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        let boot = (self.plan)(self.started.fetch_add(1, Ordering::SeqCst));
        let running = self.start(boot, cold, sink);
        Ok(Box::new(running.map_err(|error| MachineError::new(Blame::Host, error))?))
    }

    fn describe(&self, _mode: BootMode) -> Machinery {
        Machinery {
            machine: "faulty".to_owned(),
            accel: "none".to_owned(),
            parameters: String::new(),
            system: None,
            host: None,
        }
    }
}

impl Guest for Running {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        self.channel.send(order)
    }

    fn snapshot(&self) -> Option<String> {
        self.snapshot.clone()
    }

    fn kill(&mut self) {
        self.switch.turn_off();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.switch.turn_off();
        if let Some(thread) = self.thread.take() {
            // If the caller's function panicked, its thread has reported that already.
            let _ = thread.join();
        }
    }
}

impl Switch {
    fn new(port: UnixStream) -> Self {
        Self { off: Mutex::new(false), turned: Condvar::new(), port }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn_off(&self) {
        *self.lock() = true;
        self.turned.notify_all();
        self.close();
    }

    fn is_off(&self) -> bool {
        *self.lock()
    }

    /// Closes the agent's channel: reads and writes of both ends return.
    fn close(&self) {
        // It may be closed already.
        let _ = self.port.shutdown(std::net::Shutdown::Both);
    }

    /// Waits until it is turned off.
    fn wait(&self) {
        let off = self.turned.wait_while(self.lock(), |off| !*off);
        drop(off);
    }
}

fn shared_memory() -> io::Result<File> {
    let file = tempfile::tempfile()?;
    file.set_len(window::SIZE as u64)?;
    Ok(file)
}
