//! The positive control of a machine: it starts a known good kernel, and returns from it.
//! So a kernel under test is blamed only on a machine that can start one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use perfsec_wire::{BootMode, Lane, Message, Order, PROTOCOL, Preparation};

use super::error::{Phase, SiteError};
use super::machine::{Leaving, SiteMachine};
use super::own_system::OwnSystem;
use super::payload::KernelFile;
use super::pool::SitePool;
use super::way::BootKind;
use crate::machines::{Aftermath, Guest as _, Incident, Load, Pool as _, incidents};

/// The time in which the agent of a known good kernel must be ready.
const LIMIT: Duration = Duration::from_secs(300);

/// A machine that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The release of its own kernel, which it started.
    pub release: String,
    /// The way in which it did.
    pub boot: BootKind,
    /// Vendor and version of its firmware; empty if unknown.
    pub firmware: String,
    /// True if its power was switched, too.
    pub has_power: bool,
}

impl SitePool {
    /// Checks the machine, whatever was found before: its power, if the site switches it, and that
    /// it starts a known good kernel. From then on it is healthy.
    ///
    /// # Errors
    ///
    /// The phase that failed. The machine is broken then, unless nobody touched it.
    pub fn check(&self, say: &dyn Fn(&str)) -> Result<Checked, SiteError> {
        let machine = self.machine()?;
        let leased = &machine.leased;
        let (boot, has_power) = (self.site.boot.kind(), self.site.power.is_some());
        machine.clear_stale_from_here()?;
        if has_power {
            say(&format!("{}: switching it off and on", self.site.name));
            let before = machine.look().map(|own| own.boot).unwrap_or_default();
            machine.cycle_power().inspect_err(|error| leased.note_broken(error))?;
            machine.bring_back(&before, Leaving::Going)?;
        } else {
            machine.await_stale(say)?;
        }
        let own = machine.look()?;
        machine.clear_stale()?;
        self.show_control(&machine, &own, say)?;
        let noted = leased.note_healthy();
        noted.map_err(|error| leased.error(Phase::System, format!("note its state: {error}")))?;
        Ok(Checked { release: own.release, boot, firmware: own.firmware, has_power })
    }

    /// Starts the kernel that the machine's own system runs, with perfsec's initramfs, and
    /// remembers that it did. Returns the system afterwards.
    pub(super) fn show_control(
        &self,
        machine: &Arc<SiteMachine>,
        own: &OwnSystem,
        say: &dyn Fn(&str),
    ) -> Result<OwnSystem, SiteError> {
        let leased = &machine.leased;
        if let Some(obstacle) = &own.obstacle {
            return Err(leased.error(Phase::Load, obstacle.clone()));
        }
        let (name, release, boot) = (&self.site.name, &own.release, self.site.boot.kind());
        say(&format!("{name}: starting its own kernel {release} {boot}"));
        // The guest is gone afterwards, so the machine's system is back, or the machine is broken.
        match self.start_own(machine, own) {
            Ok(()) if self.aftermath() == Aftermath::Restored => {}
            Ok(()) => return Err(leased.error(Phase::System, "it did not come back")),
            Err(error) => {
                if error.phase.is_fault() {
                    leased.note_broken(&error);
                }
                return Err(error);
            }
        }
        leased.note_control(&own.firmware, &own.release);
        machine.look()
    }

    /// Starts it and waits until its agent was ready and has ended.
    fn start_own(&self, machine: &Arc<SiteMachine>, own: &OwnSystem) -> Result<(), SiteError> {
        let failed = |reason: String| machine.leased.error(Phase::Control, reason);
        let load = Load {
            preparation: Preparation { protocol: PROTOCOL, coverage: None },
            lane: Lane { boot: BootMode::Selinux, policy: None },
            policies: Vec::new(),
        };
        let parameters = self.parameters(BootMode::Selinux);
        let (sink, events) = incidents();
        self.options.interrupt.on_raise(events.waker());
        let started = self.start(machine, own, &load, KernelFile::Own, parameters, sink);
        let mut guest = started.map_err(|error| match error.phase {
            Phase::Kexec | Phase::Boot => failed(error.reason),
            _ => error,
        })?;
        // Dropped before the guest, whose threads may wait for somebody to listen.
        let events = events;
        let deadline = Instant::now() + LIMIT;
        loop {
            self.stop_if_interrupted(&machine.leased)?;
            match events.next(deadline.saturating_duration_since(Instant::now())) {
                Some(Incident::Message(Message::Parked)) => {
                    // If it does not arrive, the end says so.
                    let _ = guest.order(&Order::End);
                }
                Some(Incident::Message(Message::Done)) => return Ok(()),
                Some(Incident::Message(_) | Incident::Interrupted) => {}
                Some(incident) => {
                    return Err(failed(format!("it did not get to its end: {incident:?}")));
                }
                None => {
                    let seconds = LIMIT.as_secs();
                    return Err(failed(format!("its agent was not ready within {seconds} s")));
                }
            }
        }
    }
}
