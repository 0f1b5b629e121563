//! A machine of the site that this process has leased.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::command::shell;
use super::error::{Phase, SiteError};
use super::file::Site;
use super::state::{Broken, Control, Lease, MachineState, States};

/// Time between two refreshes of a reservation.
const REFRESH: Duration = Duration::from_secs(60);
/// Controls that are remembered of one machine.
const REMEMBERED: usize = 8;

/// A machine that this process alone uses, with the lab's own reservation.
#[derive(Debug)]
pub struct LeasedMachine {
    /// The machine.
    pub site: Site,
    states: States,
    refreshed: Mutex<Instant>,
    _lease: Lease,
}

impl LeasedMachine {
    /// Leases a machine and reserves it.
    ///
    /// # Errors
    ///
    /// If another process has it, or the lab does not give it.
    pub fn lease(site: Site, states: States) -> Result<Self, SiteError> {
        let fail = |reason| SiteError { machine: site.name.clone(), phase: Phase::Reserve, reason };
        let lease = states.lease(&site.name).map_err(|error| fail(error.to_string()))?;
        if let Some(command) = &site.lease.reserve {
            let reserved = shell(command, site.limits.reserve).or_else(|error| {
                // Perhaps it is taken by a perfsec that was killed.
                match &site.lease.release {
                    Some(release) if states.read(&site.name).reserved => {
                        shell(release, site.limits.reserve)?;
                        shell(command, site.limits.reserve)
                    }
                    _ => Err(error),
                }
            });
            reserved.map_err(|error| fail(error.to_string()))?;
        }
        let refreshed = Mutex::new(Instant::now());
        let leased = Self { site, states, refreshed, _lease: lease };
        leased.note(|state| state.reserved = leased.site.lease.reserve.is_some());
        Ok(leased)
    }

    /// Checks that the machine was not found to be broken.
    ///
    /// # Errors
    ///
    /// The phase that failed, and when.
    pub fn check_health(&self) -> Result<(), SiteError> {
        match self.states.read(&self.site.name).broken {
            None => Ok(()),
            Some(Broken { phase, reason, since }) => {
                let name = &self.site.name;
                let reason = format!(
                    "it is broken since {since:.0} ({phase}: {reason}); mend it, and run `perfsec \
                     machines check {name}`"
                );
                Err(self.error(Phase::Reserve, reason))
            }
        }
    }

    /// Keeps the lab's reservation, if it is time to.
    ///
    /// # Errors
    ///
    /// If the lab took the machine away: it must be left alone.
    pub(super) fn refresh(&self) -> Result<(), SiteError> {
        let Some(command) = &self.site.lease.refresh else { return Ok(()) };
        let mut refreshed = self.refreshed.lock().unwrap_or_else(|error| error.into_inner());
        if refreshed.elapsed() < REFRESH {
            return Ok(());
        }
        *refreshed = Instant::now();
        let done = shell(command, self.site.limits.reserve);
        done.map(drop).map_err(|error| self.error(Phase::Reserve, error.to_string()))
    }

    /// Notes that the machine is broken.
    pub(super) fn note_broken(&self, error: &SiteError) {
        let (phase, reason) = (error.phase, error.reason.clone());
        // The run tells it too.
        self.note(|state| state.broken = Some(Broken { phase, reason, since: Timestamp::now() }));
    }

    /// Notes that it was checked and is healthy.
    pub(super) fn note_healthy(&self) -> std::io::Result<()> {
        let mut state = self.states.read(&self.site.name);
        (state.broken, state.away) = (None, false);
        self.states.write(&self.site.name, &state)
    }

    /// Notes if the next boot may start a kernel under test.
    pub(super) fn note_armed(&self, armed: bool) {
        // Without it, nobody clears what a perfsec that is killed has armed.
        self.note(|state| state.armed = armed);
    }

    /// True if the next boot may start a kernel under test.
    pub(super) fn is_armed(&self) -> bool {
        self.states.read(&self.site.name).armed
    }

    /// Notes if a kernel under test may run on it.
    pub(super) fn note_away(&self, away: bool) {
        // Without it, nobody waits for a machine that a perfsec has left which was killed.
        self.note(|state| state.away = away);
    }

    /// True if a kernel under test may run on it.
    pub(super) fn is_away(&self) -> bool {
        self.states.read(&self.site.name).away
    }

    /// True if a known good kernel was started in the way of this machine with this firmware.
    pub(super) fn has_control(&self, firmware: &str) -> bool {
        let boot = self.site.boot.kind();
        let controls = self.states.read(&self.site.name).controls;
        controls.iter().any(|it| it.firmware == firmware && it.boot == boot)
    }

    /// Remembers that one was.
    pub(super) fn note_control(&self, firmware: &str, release: &str) {
        let (boot, passed) = (self.site.boot.kind(), Timestamp::now());
        let (firmware, release) = (firmware.to_owned(), release.to_owned());
        // Without it, the next run shows it again.
        self.note(|state| {
            state.controls.retain(|it| it.firmware != firmware || it.boot != boot);
            state.controls.insert(0, Control { firmware, release, boot, passed });
            state.controls.truncate(REMEMBERED);
        });
    }

    /// Changes the state, as far as it can be written.
    fn note(&self, change: impl FnOnce(&mut MachineState)) {
        let mut state = self.states.read(&self.site.name);
        change(&mut state);
        let _ = self.states.write(&self.site.name, &state);
    }

    /// Keeps an archive of files that were in the machine's pstore.
    pub(super) fn keep_pstore(&self, archive: &[u8]) -> std::io::Result<PathBuf> {
        self.states.keep_pstore(&self.site.name, archive)
    }

    /// An error of this machine.
    pub(super) fn error(&self, phase: Phase, reason: impl Into<String>) -> SiteError {
        SiteError { machine: self.site.name.clone(), phase, reason: reason.into() }
    }
}

impl Drop for LeasedMachine {
    fn drop(&mut self) {
        let Some(command) = &self.site.lease.release else { return };
        match shell(command, self.site.limits.reserve) {
            Ok(_) => self.note(|state| state.reserved = false),
            Err(error) => {
                crate::text::eprint_line!("perfsec: {}: release: {error}", self.site.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Sites;
    use super::super::way::{ArmCommands, BootWay};
    use super::*;

    /// A machine whose commands write a log.
    fn machine(folder: &Path, reserve: &str) -> Site {
        let log = folder.join("log");
        let text = format!(
            "[rack1]\nssh = 'rack1'\nconsole = 'unix:/nonexistent'\nboot = 'kexec'\n\
             reserve = '{reserve}'\nrelease = 'echo release >>{}'\n",
            log.display()
        );
        let sites = Sites::read(Path::new("machines.toml"), &text).unwrap();
        sites.machines.into_values().next().unwrap()
    }

    #[test]
    fn a_reservation_ends_with_the_lease() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let machine = machine(folder.path(), "true");
        let leased = LeasedMachine::lease(machine.clone(), states.clone()).unwrap();
        let again = LeasedMachine::lease(machine.clone(), states.clone()).unwrap_err();
        assert!(again.to_string().contains("reserve: it is leased by"), "{again}");
        drop(leased);
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log, "release\n");
        drop(LeasedMachine::lease(machine, states).unwrap());
    }

    #[test]
    fn a_reservation_of_a_process_that_was_killed_is_ended_and_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        // Apart: a child that another test has just forked may hold a lock a little longer.
        let apart = |name: &str| States::at(&folder.path().join(name)).unwrap();
        let taken = folder.path().join("taken").display().to_string();
        let mut machine = machine(folder.path(), &format!("mkdir {taken}"));
        machine.lease.release = Some(format!("rmdir {taken}"));
        let name = machine.name.clone();
        // Somebody else's is not.
        std::fs::create_dir(&taken).unwrap();
        LeasedMachine::lease(machine.clone(), apart("others")).unwrap_err();
        let states = apart("own");
        let killed = MachineState { reserved: true, ..MachineState::default() };
        states.write(&name, &killed).unwrap();
        let leased = LeasedMachine::lease(machine, states.clone()).unwrap();
        assert!(states.read(&name).reserved);
        drop(leased);
        assert!(!states.read(&name).reserved && !Path::new(&taken).exists());
    }

    #[test]
    fn a_machine_that_the_lab_does_not_give_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let machine = machine(folder.path(), "echo taken; false");
        let error = LeasedMachine::lease(machine, states).unwrap_err();
        assert!(error.to_string().contains("taken"), "{error}");
        assert!(!folder.path().join("log").exists());
    }

    #[test]
    fn a_broken_machine_is_refused_until_it_is_healthy_and_a_control_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let leased = LeasedMachine::lease(machine(folder.path(), "true"), states).unwrap();
        leased.check_health().unwrap();
        leased.note_broken(&leased.error(Phase::Power, "it is not off"));
        let error = leased.check_health().unwrap_err();
        assert!(error.reason.contains("(power: it is not off); mend it"), "{error}");
        leased.note_control("SeaBIOS 1.16", "6.12.1");
        assert!(leased.has_control("SeaBIOS 1.16") && !leased.has_control("SeaBIOS 1.17"));
        leased.note_healthy().unwrap();
        leased.check_health().unwrap();
        assert!(leased.has_control("SeaBIOS 1.16"));
        leased.note_armed(true);
        assert!(leased.is_armed());
        leased.note_armed(false);
        assert!(!leased.is_armed() && leased.has_control("SeaBIOS 1.16"));
    }

    #[test]
    fn a_control_counts_for_the_way_in_which_it_was_started() {
        let folder = tempfile::tempdir().unwrap();
        let states = States::at(folder.path()).unwrap();
        let mut machine = machine(folder.path(), "true");
        let leased = LeasedMachine::lease(machine.clone(), states.clone()).unwrap();
        leased.note_control("SeaBIOS 1.16", "6.12.1");
        drop(leased);
        let (arm, clear) = ("true".to_owned(), "true".to_owned());
        machine.boot = BootWay::Netboot(ArmCommands { arm, clear });
        let leased = LeasedMachine::lease(machine, states).unwrap();
        assert!(!leased.has_control("SeaBIOS 1.16"));
    }
}
