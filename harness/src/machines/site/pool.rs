//! The pool of one machine of the site.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use perfsec_wire::BootMode;
use perfsec_wire::console::ConsoleParameter;

use super::arming::Armed;
use super::error::{Phase, SiteError};
use super::file::Site;
use super::image;
use super::lease::LeasedMachine;
use super::machine::SiteMachine;
use super::own_system::OwnSystem;
use super::payload::{KernelFile, Payload};
use super::pstore::Pstore;
use super::running::Running;
use super::state::States;
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::machines::{
    Aftermath, Blame, Guest, GuestProgram, Load, MachineError, Machinery, Pool, Sink, initramfs,
    parameters,
};

/// The user's options for kernels on a machine of the site.
#[derive(Clone, Debug, Default)]
pub struct SiteOptions {
    /// More kernel parameters.
    pub append: Vec<String>,
    /// Programs to put beside the agent.
    pub programs: Vec<GuestProgram>,
    /// Raised once the user wants to stop.
    pub interrupt: Interrupt,
}

/// A machine of the site, which starts kernels.
pub struct SitePool {
    pub(super) site: Site,
    states: States,
    cache: Cache,
    pub(super) options: SiteOptions,
    held: Mutex<Held>,
    /// Images by the hash of what they came from.
    images: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    /// False once the machine could not be brought back.
    restored: Arc<AtomicBool>,
}

/// The parts of a machine that a pool holds.
#[derive(Default)]
struct Held {
    leased: Option<Arc<LeasedMachine>>,
    /// The same with its console, from the first kernel on.
    machine: Option<Arc<SiteMachine>>,
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
    /// The machine. Nothing is done to it before it is leased.
    #[must_use]
    pub fn new(site: Site, states: States, cache: &Cache, options: SiteOptions) -> Self {
        Self {
            site,
            states,
            cache: cache.clone(),
            options,
            held: Mutex::default(),
            images: Mutex::default(),
            restored: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Leases the machine until the pool is dropped, and checks that it was not found to be broken.
    ///
    /// # Errors
    ///
    /// If another has it, or it is broken.
    pub fn lease(&self) -> Result<(), SiteError> {
        self.leased(&mut self.held())?.check_health()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leased(&self, held: &mut Held) -> Result<Arc<LeasedMachine>, SiteError> {
        if let Some(leased) = &held.leased {
            return Ok(Arc::clone(leased));
        }
        let leased = Arc::new(LeasedMachine::lease(self.site.clone(), self.states.clone())?);
        held.leased = Some(Arc::clone(&leased));
        Ok(leased)
    }

    /// The leased machine with its console, which is opened again if it has ended.
    pub(super) fn machine(&self) -> Result<Arc<SiteMachine>, SiteError> {
        let mut held = self.held();
        if let Some(machine) = held.machine.as_ref().filter(|it| !it.session.is_ended()) {
            return Ok(Arc::clone(machine));
        }
        let leased = self.leased(&mut held)?;
        let opened = Arc::new(SiteMachine::open(leased)?);
        held.machine = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// The machine and its own system, which can start kernels.
    fn ready(&self, say: &dyn Fn(&str)) -> Result<(Arc<SiteMachine>, OwnSystem), SiteError> {
        let machine = self.machine()?;
        machine.leased.check_health()?;
        machine.clear_stale_from_here()?;
        machine.await_stale(say)?;
        let own = machine.look()?;
        machine.clear_stale()?;
        if !machine.leased.has_control(&own.firmware) {
            let own = self.show_control(&machine, &own, say)?;
            return Ok((machine, own));
        }
        if let Some(obstacle) = &own.obstacle {
            return Err(machine.leased.error(Phase::Load, obstacle.clone()));
        }
        Ok((machine, own))
    }

    /// Starts a kernel and waits for the first sign of it.
    pub(super) fn start(
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
        let programs = self.options.programs.iter().map(|it| (it.path(), it.content()));
        let initramfs = initramfs::pack(load, programs);
        let initramfs = initramfs.map_err(|error| fail("write the initramfs", error))?;
        let device = self.site.serial.device.clone();
        let parameter = ConsoleParameter { device, session: fastrand::u32(..) };
        parameters.push(parameter.to_string());
        let payload =
            Payload { kernel, initramfs: initramfs.as_bytes(), parameters: parameters.join(" ") };
        let before = own.boot.clone();
        let (restored, interrupt) = (Arc::clone(&self.restored), self.options.interrupt.clone());
        // First the console: what the kernel says is not said twice.
        let running =
            Running::listen(Arc::clone(machine), &parameter, before, restored, interrupt, sink);
        let running = running.map_err(|error| fail("listen to the console", error))?;
        let placed = machine.place(&payload)?;
        self.stop_if_interrupted(leased)?;
        let pstore = Pstore::empty(machine);
        let pstore = pstore.map_err(|it| leased.error(Phase::Network, it.to_string()))?;
        let directory = placed.on_machine().unwrap_or_default().to_owned();
        let armed = Armed::arm(machine, placed, &payload.parameters)?;
        let is_armed = armed.is_some();
        running.leave_home(pstore, armed);
        let limit = match is_armed {
            false => {
                machine.start(&directory)?;
                self.site.limits.kexec
            }
            true => {
                machine.reboot()?;
                self.site.limits.boot
            }
        };
        let interrupt = &self.options.interrupt;
        if machine.session.wait_for(&parameter.to_string(), limit, interrupt) {
            running.note_arrived();
            return Ok(running);
        }
        self.stop_if_interrupted(leased)?;
        let (phase, mut reason) = if machine.session.is_ended() {
            (Phase::Console, "the console ended while a kernel started".to_owned())
        } else {
            let seconds = limit.as_secs();
            let phase = if is_armed { Phase::Boot } else { Phase::Kexec };
            (phase, format!("nothing of it was on the console for {seconds} s"))
        };
        if !is_armed && let Some(said) = machine.said(&directory) {
            reason = format!("{reason}: {said}");
        }
        let left = running.after_death().unwrap_or_default();
        if let Some(report) = crate::console::reports(&left).first() {
            reason = format!("{reason}; then pstore had `{}`", report.title);
        }
        Err(leased.error(phase, reason))
    }

    /// Ends what the user no longer wants.
    pub(super) fn stop_if_interrupted(&self, leased: &LeasedMachine) -> Result<(), SiteError> {
        match self.options.interrupt.is_raised() {
            true => Err(leased.error(Phase::Interrupt, "by the user")),
            false => Ok(()),
        }
    }

    /// A kernel that was not loaded, or gave no sign, on a machine that started others before. It is
    /// to blame only if the machine still does that.
    fn blame(&self, kernel: &Kernel, error: SiteError) -> MachineError {
        if !matches!(error.phase, Phase::Load | Phase::Kexec | Phase::Boot) {
            return error.into();
        }
        let shown = self.machine().and_then(|machine| {
            let own = machine.look()?;
            self.show_control(&machine, &own, &|_| {})
        });
        shown.map_or_else(Into::into, |_| {
            let (release, machine, reason) = (&kernel.release, &self.site.name, &error.reason);
            let boot = self.site.boot.kind();
            let doing = format!("start {release} on {machine} {boot}, which starts its own kernel");
            MachineError::new(Blame::Kernel, format!("{doing}: {reason}"))
        })
    }

    pub(super) fn parameters(&self, mode: BootMode) -> Vec<String> {
        let mut parameters = vec![
            format!("console={}", self.site.serial),
            // A kernel that dies comes back by itself, and has time to say why.
            "panic=10".to_owned(),
            "oops=panic".to_owned(),
            "softlockup_panic=1".to_owned(),
            "hung_task_panic=1".to_owned(),
            // Asked when it goes silent.
            "sysrq_always_enabled".to_owned(),
        ];
        parameters.extend(parameters::of_lane(mode));
        parameters.extend(self.site.parameters.iter().chain(&self.options.append).cloned());
        parameters
    }

    /// The bzImage of a kernel.
    fn image(&self, kernel: &Kernel) -> Result<Arc<Vec<u8>>, String> {
        let key = kernel.identity().to_owned();
        let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.get(&key) {
            return Ok(Arc::clone(image));
        }
        let image = Arc::new(image::of(kernel, &self.cache, self.site.boot.kind())?);
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

    fn is_metal(&self) -> bool {
        true
    }

    fn aftermath(&self) -> Aftermath {
        match self.restored.load(Ordering::SeqCst) {
            true => Aftermath::Restored,
            false => Aftermath::Changed,
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
        let running = started.map_err(|error| self.blame(kernel, error))?;
        Ok(Box::new(running))
    }
}

fn no_image(kernel: &Kernel, reason: &str) -> MachineError {
    MachineError::new(Blame::Host, format!("find the bzImage of {}: {reason}", kernel.release))
}
