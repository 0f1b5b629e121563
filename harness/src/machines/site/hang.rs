//! Asks a machine that went silent what it can still tell, before its power is switched.

use std::sync::Arc;
use std::time::Duration;

use super::machine::SiteMachine;
use super::signs::Signs;
use crate::interrupt::Interrupt;
use crate::machines::End;

/// The longest time that this takes.
pub(super) const LONGEST: Duration = Duration::from_secs(150);

/// The keys: blocked tasks, and the backtraces of all CPUs.
const KEYS: [char; 2] = ['w', 'l'];
/// An answer has ended when the console was silent for so long.
const PAUSE: Duration = Duration::from_secs(3);
/// Longest answer to a key: a thousand lines at 115,200 baud take 10 seconds.
const ANSWER: Duration = Duration::from_secs(30);

/// A machine that went silent.
pub(super) struct Silent {
    pub(super) machine: Arc<SiteMachine>,
    /// The boot of the machine's own system before.
    pub(super) before: String,
    pub(super) signs: Arc<Signs>,
    pub(super) interrupt: Interrupt,
}

impl Silent {
    /// Finds out how the machine ended. The kernel under test is only blamed for a hang that it
    /// shows to be its own, by answers to SysRq: the console, too, may be what hangs.
    pub(super) fn examine(&self) {
        let session = &self.machine.session;
        if self.signs.is_going() || self.machine.look().is_ok_and(|it| it.boot != self.before) {
            self.signs.set_end(End::Rebooted);
            return;
        }
        let said = match self.ask() {
            _ if session.is_ended() => return,
            Ok(()) if self.signs.has_answered() => return,
            Ok(()) => "SysRq was not answered".to_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                "the site has no `break`, so SysRq was not tried".to_owned()
            }
            Err(error) => format!("SysRq could not be sent: {error}"),
        };
        // A machine that reboots by itself meanwhile has said so.
        if self.signs.end() == End::Killed {
            let detail = "the machine went silent".to_owned();
            self.signs.set_end(End::Crashed { detail, said });
        }
    }

    fn ask(&self) -> std::io::Result<()> {
        let session = &self.machine.session;
        self.signs.forget_answers();
        for key in KEYS {
            if self.interrupt.is_raised() {
                break;
            }
            session.sysrq(key)?;
            session.wait_for_silence(PAUSE, ANSWER);
        }
        Ok(())
    }
}
