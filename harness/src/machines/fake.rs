//! A pool without machines: guests whose agents a test wrote.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use perfsec_wire::frame::FrameError;
use perfsec_wire::{BootMode, Cell, CellOutcome, Facts, Message, Order, PROTOCOL, Typed};

use super::{Blame, CannotBoot, End, Guest, Incident, Load, MachineError, Machinery, Pool, Sink};
use crate::kernel::Kernel;

/// Something that a guest does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Its kernel prints this on the console.
    Print(Vec<u8>),
    /// Its machine reports this.
    Report(Incident),
    /// Nothing happens for this long.
    Pause(Duration),
}

/// A guest's acts after an order, or after its boot (`None`).
pub type Script = Box<dyn FnMut(Option<&Order>) -> Vec<Act> + Send>;

/// A guest that the pool starts.
pub struct FakeGuest {
    /// Its agent.
    pub script: Script,
    /// The snapshot that it is restored from, if it need not be booted.
    pub snapshot: Option<String>,
}

/// Starts guests by their number; `None` for one that does not start.
type Start = dyn FnMut(usize) -> Option<FakeGuest> + Send;

/// A pool of guests that a function makes.
pub struct FakePool {
    start: Mutex<Box<Start>>,
    started: AtomicUsize,
    unable: Option<CannotBoot>,
}

struct Scripted {
    script: Script,
    snapshot: Option<String>,
    stage: Sender<Act>,
}

impl From<Message> for Act {
    fn from(message: Message) -> Self {
        Self::Report(Incident::Message(message))
    }
}

impl FakeGuest {
    /// A booted guest with these facts that does in each cell what `perform` says.
    #[must_use]
    pub fn obedient(
        facts: Facts,
        mut perform: impl FnMut(&Cell) -> CellOutcome + Send + 'static,
    ) -> Self {
        let script = move |order: Option<&Order>| {
            let messages = match order {
                None => {
                    let release = facts.release.clone();
                    vec![Message::Hello { protocol: PROTOCOL, release }, Message::Parked]
                }
                Some(Order::Begin { nonce, .. }) => {
                    vec![Message::Ready { nonce: *nonce, facts: Box::new(facts.clone()) }]
                }
                Some(Order::Cells(cells)) => {
                    let perform = |cell: &Cell| {
                        [Message::Started(cell.id), Message::Finished(cell.id, perform(cell))]
                    };
                    let done = cells.iter().flat_map(perform);
                    done.chain([Message::Idle]).collect()
                }
                Some(Order::Type(_)) => vec![Message::Typed(Typed::default())],
                Some(Order::Shell | Order::End) => vec![Message::Done],
            };
            messages.into_iter().map(Act::from).collect()
        };
        Self { script: Box::new(script), snapshot: None }
    }
}

impl FakePool {
    /// A pool whose guests `start` makes.
    #[must_use]
    pub fn new(start: impl FnMut(usize) -> Option<FakeGuest> + Send + 'static) -> Self {
        Self { start: Mutex::new(Box::new(start)), started: AtomicUsize::new(0), unable: None }
    }

    /// A pool that cannot boot in any mode, for this reason.
    #[must_use]
    pub fn unable(reason: &str) -> Self {
        Self { unable: Some(CannotBoot(reason.to_owned())), ..Self::new(|_| None) }
    }
}

impl std::fmt::Debug for FakePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakePool").field("unable", &self.unable).finish_non_exhaustive()
    }
}

impl Pool for FakePool {
    fn can(&self, _mode: BootMode) -> Result<(), CannotBoot> {
        self.unable.clone().map_or(Ok(()), Err)
    }

    fn boot(
        &self,
        _kernel: &Kernel,
        _mode: BootMode,
        _load: &Load,
        cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        let none = || MachineError::new(Blame::Host, "start another guest: there is none");
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let guest = self.start.lock().ok().and_then(|mut start| start(number)).ok_or_else(none)?;
        let snapshot = guest.snapshot.filter(|_| !cold);
        let mut guest = Scripted { script: guest.script, snapshot, stage: perform(sink) };
        if guest.snapshot.is_none() {
            guest.play(None);
        }
        Ok(Box::new(guest))
    }

    fn describe(&self, _mode: BootMode) -> Machinery {
        Machinery {
            machine: "fake".to_owned(),
            accel: "none".to_owned(),
            parameters: String::new(),
            system: None,
            host: None,
        }
    }
}

/// Starts a thread that performs acts: the engine, which gives orders, must not wait until it has
/// itself listened to what a guest does after one.
fn perform(sink: Sink) -> Sender<Act> {
    let (stage, acts) = mpsc::channel();
    thread::spawn(move || {
        for act in acts {
            match act {
                Act::Print(bytes) => sink.print(&bytes),
                Act::Pause(time) => thread::sleep(time),
                Act::Report(incident) => {
                    // Whoever has heard enough hangs up.
                    if !sink.report(incident) {
                        break;
                    }
                }
            }
        }
    });
    stage
}

impl Scripted {
    fn play(&mut self, order: Option<&Order>) {
        for act in (self.script)(order) {
            let _ = self.stage.send(act);
        }
    }
}

impl Guest for Scripted {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        self.play(Some(order));
        Ok(())
    }

    fn snapshot(&self) -> Option<String> {
        self.snapshot.clone()
    }

    fn kill(&mut self) {
        for end in [Incident::Silence(None), Incident::Ended(End::Killed)] {
            let _ = self.stage.send(Act::Report(end));
        }
    }
}
