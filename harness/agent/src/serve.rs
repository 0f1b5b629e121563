//! Serves a lane: opens the channel, talks to the host, and always ends the guest at the end.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::reboot::{RebootMode, reboot};
use perfsec_wire::frame::{FrameError, Writer};
use perfsec_wire::{Message, Order, Refusal, window};

use crate::channel::{self, Conversation, Port, Window};
use crate::error::Result;
use crate::machine::Prepared;
use crate::{lane, machine};

/// The channel's port, for a last message when the agent panics.
static LAST_WORD: OnceLock<File> = OnceLock::new();
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
            if let Some(mut channel) = LAST_WORD.get() {
                if MOVED.load(Ordering::Relaxed) {
                    let _ = channel.write_all(&[window::PLAIN]);
                }
                let doing = format!("continue: the agent has a bug: {panic}");
                let refusal = Message::Refused(Refusal::Setup { doing, errno: 0 });
                let _ = Writer::new(channel).write(&refusal);
            }
            end()
        }));
        match open() {
            Ok(port) => {
                if let Ok(clone) = port.output.try_clone() {
                    let _ = LAST_WORD.set(clone);
                }
                if let Err(error) = talk(&port, window, || prepare(started_ms)) {
                    // The channel cannot carry this; the host keeps the console of a dead guest.
                    eprintln!("perfsec: the channel failed: {error}");
                }
                channel::drain(&port.output);
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
    let window = match window {
        true => Window::open().map_err(|error| format!("serial port, {error}")),
        false => Err("a socket or a pipe".to_owned()),
    };
    host.send(&Message::Parked)?;
    // A snapshot is taken while this waits.
    let (lane, nonce, kernel_config) = match host.order()? {
        Order::Begin { lane, nonce, kernel_config } => (lane, nonce, kernel_config),
        Order::Type(typing) => {
            guest.release();
            return lane::type_commands(typing, &mut host);
        }
        _ => return Err(FrameError::Garbled("the first order does not begin".to_owned())),
    };
    let means = match &window {
        Ok(window) => {
            host.move_to(window)?;
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

/// At once, without asking a system that may run beside the agent: nothing of the guest is kept.
pub(crate) fn power_off() -> ! {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Only a kernel that cannot power off gets here.
    let _ = reboot(RebootMode::RB_HALT_SYSTEM);
    loop {
        nix::unistd::pause();
    }
}
