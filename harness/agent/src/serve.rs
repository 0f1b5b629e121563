//! Serves a lane: opens the channel, talks to the host, and always ends the guest at the end.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::reboot::{RebootMode, reboot};
use perfsec_wire::frame::{FrameError, Writer};
use perfsec_wire::{Message, Order, Refusal, window};

use crate::channel::{Conversation, Port, Window};
use crate::console::Console;
use crate::error::Result;
use crate::machine::Prepared;
use crate::{lane, machine};

/// The channel's port, for a last message when the agent panics.
static LAST_WORD: OnceLock<LastWord> = OnceLock::new();
/// The port carries bells instead of frames.
static MOVED: AtomicBool = AtomicBool::new(false);

/// The service of a lane.
pub(crate) struct Service<O, P> {
    /// Opens the channel's port.
    pub(crate) open: O,
    /// Prepares the guest for any lane; gets the time since boot in milliseconds.
    pub(crate) prepare: P,
    /// True if the guest may have memory shared with the host.
    pub(crate) window: bool,
    /// Ends the guest.
    pub(crate) end: fn() -> !,
}

/// The channel of a last message.
enum LastWord {
    Port(File),
    Console(Arc<Console>),
}

impl LastWord {
    fn new(port: &Port) -> Option<Self> {
        match port {
            Port::Own(streams) => streams.output.try_clone().ok().map(Self::Port),
            Port::Console(console) => Some(Self::Console(Arc::clone(console))),
        }
    }

    fn say(&self, message: &Message) -> std::result::Result<(), FrameError> {
        match self {
            Self::Port(file) => {
                let mut file = file;
                if MOVED.load(Ordering::Relaxed) {
                    file.write_all(&[window::PLAIN])?;
                }
                Writer::new(file).write(message)
            }
            Self::Console(console) => match console.last_word() {
                Some(console) => Writer::new(console).write(message),
                None => Ok(()),
            },
        }
    }
}

impl<O, P> Service<O, P>
where
    O: FnOnce() -> Result<Port>,
    P: FnOnce(u32) -> std::result::Result<Prepared, Refusal>,
{
    /// Serves the lane.
    pub(crate) fn run(self) -> ! {
        let Self { open, prepare, window, end } = self;
        let started_ms = machine::uptime_ms();
        std::panic::set_hook(Box::new(move |panic| {
            let doing = format!("continue: the agent has a bug: {panic}");
            let refusal = Message::Refused(Refusal::Setup { doing, errno: 0 });
            // Nothing can be done if it does not arrive.
            let _ = LAST_WORD.get().map(|channel| channel.say(&refusal));
            end()
        }));
        match open() {
            Ok(port) => {
                if let Some(channel) = LastWord::new(&port) {
                    let _ = LAST_WORD.set(channel);
                }
                if let Err(error) = talk(&port, window, || prepare(started_ms)) {
                    // The channel cannot carry this; the host keeps the console of a dead guest.
                    eprintln!("perfsec: the channel failed: {error}");
                }
                port.drain();
            }
            Err(error) => eprintln!("perfsec: {error}"),
        }
        end()
    }
}

fn talk(
    port: &Port,
    window: bool,
    prepare: impl FnOnce() -> std::result::Result<Prepared, Refusal>,
) -> std::result::Result<(), FrameError> {
    let mut host = Conversation::on(port);
    lane::hello(&mut host)?;
    let guest = match prepare() {
        Ok(guest) => guest,
        Err(refusal) => return host.send(&Message::Refused(refusal)),
    };
    let window = match (port, window) {
        (Port::Own(streams), true) => match Window::open() {
            Ok(window) => Ok((window, streams)),
            Err(error) => Err(format!("serial port, {error}")),
        },
        (Port::Own(_), false) => Err("a socket or a pipe".to_owned()),
        (Port::Console(_), _) => Err("lines on the console".to_owned()),
    };
    host.send(&Message::Parked)?;
    // A snapshot is taken while this waits.
    let (lane, nonce, kernel_config) = match host.order()? {
        Order::Begin { lane, nonce, kernel_config } => (lane, nonce, kernel_config),
        // The host only wanted to know that the kernel comes up.
        Order::End => return host.send(&Message::Done),
        Order::Type(typing) => {
            guest.release();
            return lane::type_commands(typing, &mut host);
        }
        _ => return Err(FrameError::Garbled("the first order does not begin".to_owned())),
    };
    let means = match &window {
        Ok((window, streams)) => {
            host.move_to(window, streams)?;
            MOVED.store(true, Ordering::Relaxed);
            "shared memory".to_owned()
        }
        Err(other) => other.clone(),
    };
    let joined = guest.join(&lane).and_then(|mut machine| {
        let facts = machine.facts(&lane, means)?;
        Ok((machine, facts))
    });
    match joined {
        Ok((machine, facts)) => {
            lane::begin(&mut host, nonce, facts, kernel_config)?;
            lane::obey(machine, &mut host)
        }
        Err(refusal) => host.send(&Message::Refused(refusal)),
    }
}

/// Lets the machine's firmware start its own system again.
pub(crate) fn restart() -> ! {
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    power_off()
}

/// At once, without asking a system that may run beside the agent: nothing of the guest is kept.
pub(crate) fn power_off() -> ! {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Only a kernel that cannot power off gets here.
    let _ = reboot(RebootMode::RB_HALT_SYSTEM);
    loop {
        nix::unistd::pause();
    }
}
