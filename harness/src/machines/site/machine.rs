//! Acts on a leased machine: looks at its own system, starts a kernel there, and brings its own
//! system back.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use perfsec_wire::console::GIVE_UP_SECONDS;
use perfsec_wire::takeover;

use super::command::CommandError;
use super::error::{Phase, SiteError};
use super::lease::LeasedMachine;
use super::own_system::{OwnSystem, SCRIPT};
use super::power::{self, CommandUnit};
use super::session::Session;
use super::ssh::{LOOK, ssh};

/// Time between two looks at a machine that is coming up.
const AGAIN: Duration = Duration::from_secs(2);
/// Answers in a row of one boot that make its system stable.
const ANSWERS: usize = 2;

/// The file with what an agent said that could not start a kernel.
const SAID: &str = "said";

/// A leased machine with an open console.
pub(super) struct SiteMachine {
    pub(super) leased: Arc<LeasedMachine>,
    pub(super) session: Session,
}

/// The state of a machine that is to return to its own system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It reboots by itself.
    Going,
    /// A kernel that has no disk mounted runs on it.
    Running,
    /// Its own system may still run.
    Unknown,
}

impl SiteMachine {
    /// Opens the console.
    pub(super) fn open(leased: Arc<LeasedMachine>) -> Result<Self, SiteError> {
        let session = Session::open(&leased.site.console, leased.site.send_break.as_deref());
        let session = session.map_err(|reason| leased.error(Phase::Console, reason))?;
        Ok(Self { leased, session })
    }

    /// Looks at the machine's own system.
    pub(super) fn look(&self) -> Result<OwnSystem, SiteError> {
        let said = self.ssh(SCRIPT, None, LOOK);
        let said = said.map_err(|error| self.leased.error(Phase::Network, error.to_string()))?;
        let garbled = || self.leased.error(Phase::Network, "its system says nothing of itself");
        OwnSystem::parse(&said, self.leased.site.boot.kind()).ok_or_else(garbled)
    }

    /// Starts the kernel that was loaded from this directory by kexec.
    pub(super) fn start(&self, directory: &str) -> Result<(), SiteError> {
        let (agent, start) = (takeover::AGENT, takeover::START);
        let start = format!(
            "setsid {directory}/{agent} {start} {directory} </dev/null >{directory}/{SAID} 2>&1 & \
             echo going"
        );
        let started = self.ssh(&start, None, LOOK).map(drop);
        started.map_err(|error| self.leased.error(Phase::Network, error.to_string()))
    }

    /// Lets the machine's own system reboot in order.
    pub(super) fn reboot(&self) -> Result<(), SiteError> {
        let reboot = "setsid sh -c 'sleep 1; reboot' </dev/null >/dev/null 2>&1 & echo going";
        let rebooted = self.ssh(reboot, None, LOOK).map(drop);
        rebooted.map_err(|error| self.leased.error(Phase::Network, error.to_string()))
    }

    /// The reason why a kernel was not started, if the machine's own system still runs and has it.
    pub(super) fn said(&self, directory: &str) -> Option<String> {
        let said = self.ssh(&format!("cat {directory}/{SAID}"), None, LOOK).ok()?;
        Some(said.trim().to_owned()).filter(|said| !said.is_empty())
    }

    /// Waits until the machine's own system answers after a boot that is not this one.
    fn wait_for_system(
        &self,
        before: &str,
        limit: Duration,
    ) -> Result<Option<OwnSystem>, SiteError> {
        let deadline = Instant::now() + limit;
        let mut answered: Option<(String, usize)> = None;
        loop {
            self.leased.refresh()?;
            if let Ok(system) = self.look()
                && system.boot != before
            {
                let count = match &answered {
                    Some((boot, count)) if *boot == system.boot => count + 1,
                    _ => 1,
                };
                if count >= ANSWERS {
                    return Ok(Some(system));
                }
                answered = Some((system.boot, count));
            } else {
                answered = None;
            }
            if Instant::now() + AGAIN > deadline {
                return Ok(None);
            }
            thread::sleep(AGAIN);
        }
    }

    /// Brings the machine's own system back; `before` is the id of its last boot. A machine that is
    /// going down by itself is waited for first, and one without power commands is asked to.
    pub(super) fn bring_back(
        &self,
        before: &str,
        leaving: Leaving,
    ) -> Result<OwnSystem, SiteError> {
        let returned = self.return_home(before, leaving);
        // A machine that the lab took away is its business.
        if let Err(error) = &returned
            && error.phase.is_fault()
        {
            self.leased.note_broken(error);
        }
        returned
    }

    /// Waits for a machine that a perfsec has left which was killed. The kernel there notices that,
    /// and resets it.
    pub(super) fn await_stale(&self, say: &dyn Fn(&str)) -> Result<(), SiteError> {
        if !self.leased.is_away() {
            return Ok(());
        }
        let site = &self.leased.site;
        if self.look().is_err() {
            say(&format!("{}: waiting until it is back: a perfsec was killed", site.name));
        }
        let alone = Duration::from_secs(GIVE_UP_SECONDS.into());
        // It may still run, if that perfsec was about to leave it.
        if self.wait_for_system("", alone + site.limits.system)?.is_none() {
            self.bring_back("", Leaving::Running)?;
        }
        self.leased.note_away(false);
        Ok(())
    }

    fn return_home(&self, before: &str, leaving: Leaving) -> Result<OwnSystem, SiteError> {
        let site = &self.leased.site;
        let limit = site.limits.system;
        let has_power = site.power.is_some();
        if !has_power {
            self.ask_for_reboot(before, leaving);
        }
        if (leaving == Leaving::Going || !has_power)
            && let Some(system) = self.wait_for_system(before, limit)?
        {
            return Ok(system);
        }
        self.cycle_power()?;
        self.wait_for_system(before, limit)?.ok_or_else(|| {
            let seconds = limit.as_secs();
            let reason = format!("it did not answer over ssh within {seconds} s of a power cycle");
            self.leased.error(Phase::System, reason)
        })
    }

    /// Reboots a machine without power commands, if something on it still listens. Neither the
    /// kernel under test nor a system that was left has a disk to write to.
    fn ask_for_reboot(&self, before: &str, leaving: Leaving) {
        match leaving {
            Leaving::Going => {}
            Leaving::Running => drop(self.session.sysrq('b')),
            Leaving::Unknown => {
                if self.look().is_ok_and(|own| own.boot == before) {
                    let reboot = "echo s >/proc/sysrq-trigger; echo u >/proc/sysrq-trigger; \
                                  echo b >/proc/sysrq-trigger";
                    // The connection ends with it.
                    let _ = self.ssh(reboot, None, LOOK);
                }
            }
        }
    }

    /// Switches the machine off and on. It is never switched on unless it was seen to be off.
    pub(super) fn cycle_power(&self) -> Result<(), SiteError> {
        let Some(commands) = &self.leased.site.power else {
            let reason = "it does not come back by itself, and the site has no commands for its \
                          power";
            return Err(self.leased.error(Phase::Power, reason));
        };
        let unit = CommandUnit { commands, limit: self.leased.site.limits.power };
        power::cycle(&unit).map_err(|error| self.leased.error(Phase::Power, error.to_string()))
    }

    /// Runs a command of the machine's own system. Returns its standard output.
    pub(super) fn ssh(
        &self,
        command: &str,
        input: Option<&[u8]>,
        limit: Duration,
    ) -> Result<String, CommandError> {
        let stdout = ssh(&self.leased.site, command, input, limit)?;
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// The same for output that is no text.
    pub(super) fn ssh_bytes(
        &self,
        command: &str,
        limit: Duration,
    ) -> Result<Vec<u8>, CommandError> {
        ssh(&self.leased.site, command, None, limit)
    }
}
