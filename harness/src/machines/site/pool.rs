//! The pool of one machine of the site.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use perfsec_wire::console::ConsoleParameter;
use perfsec_wire::{BootMode, Lane, Message, Order, PROTOCOL, Preparation};

use super::error::{Phase, SiteError};
use super::file::Site;
use super::image;
use super::lease::LeasedMachine;
use super::machine::{KernelFile, Payload, SiteMachine};
use super::own_system::OwnSystem;
use super::running::Running;
use super::state::States;
use crate::cache::Cache;
use crate::kernel::Kernel;
use crate::machines::{
    Blame, Guest, Incident, Load, MachineError, Machinery, Pool, Sink, incidents, initramfs,
    parameters,
};

/// The time in which the agent of a known good kernel must be ready.
const CONTROL: Duration = Duration::from_secs(300);

/// A machine of the site, which starts kernels by kexec.
pub struct SitePool {
    site: Site,
    states: States,
    cache: Cache,
    /// The machine, from the first kernel on.
    machine: Mutex<Option<Arc<SiteMachine>>>,
    /// Images by the hash of what they came from.
    images: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    /// False once the machine could not be brought back.
    restored: Arc<AtomicBool>,
}

impl std::fmt::Debug for SitePool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SitePool").field("site", &self.site).finish_non_exhaustive()
    }
}

impl From<SiteError> for MachineError {
    fn from(error: SiteError) -> Self {
        Self::new(Blame::Machine, error)
    }
}

impl SitePool {
    /// The machine. Nothing is done to it before the first kernel.
    #[must_use]
    pub fn new(site: Site, states: States, cache: &Cache) -> Self {
        Self {
            site,
            states,
            cache: cache.clone(),
            machine: Mutex::default(),
            images: Mutex::default(),
            restored: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Checks the machine, whatever was found before: its power, if the site switches it, and that
    /// it starts a known good kernel. Returns the firmware and the release of that kernel.
    ///
    /// # Errors
    ///
    /// The phase that failed. The machine is broken then, unless nobody touched it.
    pub fn check(&self, say: &dyn Fn(&str)) -> Result<(String, String), SiteError> {
        let machine = self.machine()?;
        let leased = &machine.leased;
        if self.site.power.is_some() {
            say("switching it off and on");
            let before = machine.look().map(|own| own.boot).unwrap_or_default();
            let cycled = machine.cycle_power();
            cycled.inspect_err(|error| leased.note_broken(error))?;
            machine.bring_back(&before, true)?;
        }
        let own = machine.look()?;
        self.show_control(&machine, &own, say)?;
        let noted = leased.note_healthy();
        noted.map_err(|error| leased.error(Phase::System, format!("note its state: {error}")))?;
        Ok((own.firmware, own.release))
    }

    /// True unless a machine could not be brought back to its own system.
    #[must_use]
    pub fn has_returned(&self) -> bool {
        self.restored.load(Ordering::SeqCst)
    }

    /// The leased machine with its console.
    fn machine(&self) -> Result<Arc<SiteMachine>, SiteError> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = machine.as_ref().filter(|machine| !machine.session.is_ended()) {
            return Ok(Arc::clone(machine));
        }
        let leased = match machine.take() {
            // Only its console has ended.
            Some(machine) => Arc::clone(&machine.leased),
            None => Arc::new(LeasedMachine::lease(self.site.clone(), self.states.clone())?),
        };
        let opened = Arc::new(SiteMachine::open(leased)?);
        *machine = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The machine with its own system, from which a kernel can be started.
    fn ready(&self, say: &dyn Fn(&str)) -> Result<(Arc<SiteMachine>, OwnSystem), SiteError> {
        let machine = self.machine()?;
        machine.leased.check_health()?;
        let own = machine.look()?;
        if !machine.leased.has_control(&own.firmware) {
            let own = self.show_control(&machine, &own, say)?;
            return Ok((machine, own));
        }
        if let Some(obstacle) = &own.obstacle {
            return Err(machine.leased.error(Phase::Load, obstacle.clone()));
        }
        Ok((machine, own))
    }

    /// Starts the kernel that the machine's own system runs, with perfsec's initramfs. So a kernel
    /// under test is blamed only on a machine that can start one. Returns the system afterwards.
    fn show_control(
        &self,
        machine: &Arc<SiteMachine>,
        own: &OwnSystem,
        say: &dyn Fn(&str),
    ) -> Result<OwnSystem, SiteError> {
        let leased = &machine.leased;
        if let Some(obstacle) = &own.obstacle {
            return Err(leased.error(Phase::Load, obstacle.clone()));
        }
        say(&format!("{}: starting its own kernel {} by kexec", self.site.name, own.release));
        let load = Load {
            preparation: Preparation { protocol: PROTOCOL, coverage: None },
            lane: Lane { boot: BootMode::Selinux, policy: None },
            policies: Vec::new(),
        };
        let parameters = self.parameters(BootMode::Selinux);
        let (sink, events) = incidents();
        let started = self.start(machine, own, &load, KernelFile::Own, parameters, sink);
        let shown = started.and_then(|mut guest| {
            let deadline = Instant::now() + CONTROL;
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                match events.next(left) {
                    Some(Incident::Message(Message::Parked)) => {
                        let _ = guest.order(&Order::End);
                    }
                    Some(Incident::Message(Message::Done)) => {
                        drop(events);
                        return Ok(());
                    }
                    Some(Incident::Message(_)) => {}
                    Some(incident) => {
                        drop(events);
                        let reason = format!("its own kernel did not get to the end: {incident:?}");
                        return Err(leased.error(Phase::Control, reason));
                    }
                    None => {
                        let seconds = CONTROL.as_secs();
                        drop(events);
                        let reason =
                            format!("the agent on its own kernel was not ready within {seconds} s");
                        return Err(leased.error(Phase::Control, reason));
                    }
                }
            }
        });
        // The guest is gone, so the machine's system is back, or the machine is broken by that.
        match shown {
            Ok(()) if self.has_returned() => {}
            Ok(()) => return Err(leased.error(Phase::System, "it did not come back")),
            Err(error) => {
                leased.note_broken(&error);
                return Err(error);
            }
        }
        leased.note_control(&own.firmware, &own.release);
        machine.look()
    }

    /// Starts a kernel and waits for the first sign of it.
    fn start(
        &self,
        machine: &Arc<SiteMachine>,
        own: &OwnSystem,
        load: &Load,
        kernel: KernelFile<'_>,
        mut parameters: Vec<String>,
        sink: Sink,
    ) -> Result<Running, SiteError> {
        let leased = &machine.leased;
        let fail = |doing: &str, error: std::io::Error| {
            leased.error(Phase::Load, format!("cannot {doing}: {error}"))
        };
        let initramfs = initramfs::pack(load, []);
        let initramfs = initramfs.map_err(|error| fail("write the initramfs", error))?;
        let device = self.site.serial.device.clone();
        let parameter = ConsoleParameter { device, session: fastrand::u32(..) };
        parameters.push(parameter.to_string());
        let payload =
            Payload { kernel, initramfs: initramfs.as_bytes(), parameters: parameters.join(" ") };
        let before = own.boot.clone();
        let restored = Arc::clone(&self.restored);
        // First the console: what the kernel says is not said twice.
        let running = Running::listen(Arc::clone(machine), &parameter, before, restored, sink);
        let mut running = running.map_err(|error| fail("listen to the console", error))?;
        if let Err(error) = machine.start(&payload) {
            // A kernel that was not loaded leaves the machine's own system as it was.
            running.leave_alone(error.phase == Phase::Load);
            return Err(error);
        }
        let limit = self.site.limits.kexec;
        if machine.session.wait_for(&parameter.to_string(), limit) {
            return Ok(running);
        }
        let reason = match machine.session.is_ended() {
            true => "the console ended while a kernel started".to_owned(),
            false => format!("nothing of it was on the console for {} s", limit.as_secs()),
        };
        let phase = if machine.session.is_ended() { Phase::Console } else { Phase::Control };
        Err(leased.error(phase, reason))
    }

    fn parameters(&self, mode: BootMode) -> Vec<String> {
        let mut parameters = vec![
            format!("console={}", self.site.serial),
            // A kernel that dies comes back by itself, and has time to say why.
            "panic=10".to_owned(),
            "oops=panic".to_owned(),
            "softlockup_panic=1".to_owned(),
            "hung_task_panic=1".to_owned(),
        ];
        parameters.extend(parameters::of_lane(mode));
        parameters.extend(self.site.parameters.iter().cloned());
        parameters
    }

    /// The bzImage of a kernel.
    fn image(&self, kernel: &Kernel) -> Result<Arc<Vec<u8>>, String> {
        let key = kernel.identity().to_owned();
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.get(&key) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(image::of(kernel, &self.cache)?);
        images.insert(key, Arc::clone(&image));
        Ok(image)
    }
}

impl Pool for SitePool {
    fn prepare(&self, kernel: &Kernel, say: &dyn Fn(&str)) -> Result<(), MachineError> {
        self.image(kernel).map_err(|reason| no_image(kernel, &reason))?;
        self.ready(say)?;
        Ok(())
    }

    fn describe(&self, mode: BootMode) -> Machinery {
        Machinery {
            machine: self.site.name.to_string(),
            accel: "none".to_owned(),
            parameters: self.parameters(mode).join(" "),
            system: None,
            host: None,
        }
    }

    fn boot(
        &self,
        kernel: &Kernel,
        mode: BootMode,
        load: &Load,
        _cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        let image = self.image(kernel).map_err(|reason| no_image(kernel, &reason))?;
        let (machine, own) = self.ready(&|_| {})?;
        let parameters = [self.parameters(mode), kernel.parameters.clone()].concat();
        let started = self.start(&machine, &own, load, KernelFile::Bytes(&image), parameters, sink);
        let running = started.map_err(|error| match error.phase {
            // The machine starts others.
            Phase::Load | Phase::Control => MachineError::new(
                Blame::Kernel,
                format!(
                    "start {} on {} by kexec, which starts its own kernel so: {}",
                    kernel.release, self.site.name, error.reason
                ),
            ),
            _ => error.into(),
        })?;
        Ok(Box::new(running))
    }
}

fn no_image(kernel: &Kernel, reason: &str) -> MachineError {
    MachineError::new(Blame::Host, format!("find the bzImage of {}: {reason}", kernel.release))
}
