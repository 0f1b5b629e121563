//! A machine whose next boot starts the kernel under test through its firmware, by commands of the
//! site.

use std::sync::Arc;

use perfsec_wire::takeover;

use super::command::{CommandError, shell_with};
use super::error::{Phase, SiteError};
use super::machine::SiteMachine;
use super::payload::Placed;
use super::way::{ArmCommands, BootWay};

/// Variables of the site's commands.
const MACHINE: &str = "PERFSEC_MACHINE";
const KERNEL: &str = "PERFSEC_KERNEL";
const INITRD: &str = "PERFSEC_INITRD";
const CMDLINE: &str = "PERFSEC_CMDLINE";

/// A machine whose next boot starts a kernel, until that is cleared. Until then its state says so,
/// for a perfsec after this one.
pub(super) struct Armed {
    machine: Arc<SiteMachine>,
    /// The files of the kernel.
    _placed: Placed,
    is_due: bool,
}

impl Armed {
    /// Lets the next boot start the kernel that was placed. Returns `None` for a machine that needs
    /// nothing of the kind.
    pub(super) fn arm(
        machine: &Arc<SiteMachine>,
        placed: Placed,
        parameters: &str,
    ) -> Result<Option<Self>, SiteError> {
        let leased = &machine.leased;
        let (BootWay::Oneshot(commands) | BootWay::Netboot(commands)) = &leased.site.boot else {
            return Ok(None);
        };
        let variables = [
            (MACHINE, leased.site.name.to_string()),
            (KERNEL, placed.file(takeover::KERNEL)),
            (INITRD, placed.file(takeover::INITRAMFS)),
            (CMDLINE, parameters.to_owned()),
        ];
        leased.note_armed(true);
        // Dropped if the command fails: it may have done a part.
        let armed = Self { machine: Arc::clone(machine), _placed: placed, is_due: true };
        let done = machine.command(&commands.arm, &variables);
        done.map_err(|error| leased.error(Phase::Arm, error.to_string()))?;
        Ok(Some(armed))
    }

    /// Clears it while the machine's own system may be away, if that is not needed for it.
    pub(super) fn clear_from_here(&mut self) -> Result<(), SiteError> {
        match self.machine.leased.site.boot {
            BootWay::Netboot(_) => self.clear(),
            BootWay::Kexec | BootWay::Oneshot(_) => Ok(()),
        }
    }

    /// Clears it while the machine's own system runs.
    pub(super) fn clear(&mut self) -> Result<(), SiteError> {
        if !self.is_due {
            return Ok(());
        }
        self.machine.clear()?;
        self.is_due = false;
        Ok(())
    }

    /// Clears it for the last time. Returns false, and says so, if that fails.
    pub(super) fn end(&mut self) -> bool {
        let cleared = self.clear();
        if let Err(error) = &cleared {
            self.machine.leased.note_broken(error);
            crate::text::eprint_line!("perfsec: left: the choice of its next boot: {error}");
        }
        self.is_due = false;
        cleared.is_ok()
    }

    /// The lab took the machine away: nothing is run on it.
    pub(super) fn leave(mut self) {
        // A perfsec that gets the machine again tries that again.
        let _ = self.clear_from_here();
        self.is_due = false;
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.end();
    }
}

impl SiteMachine {
    /// Clears what an earlier perfsec has armed that was killed, if that needs nothing of the
    /// machine, which would boot that instead of its own system.
    pub(super) fn clear_stale_from_here(&self) -> Result<(), SiteError> {
        match self.leased.site.boot {
            BootWay::Netboot(_) => self.clear_stale(),
            BootWay::Kexec | BootWay::Oneshot(_) => Ok(()),
        }
    }

    /// Clears what an earlier perfsec has armed that was killed.
    pub(super) fn clear_stale(&self) -> Result<(), SiteError> {
        match self.leased.is_armed() {
            true => self.clear(),
            false => Ok(()),
        }
    }

    fn clear(&self) -> Result<(), SiteError> {
        if let BootWay::Oneshot(commands) | BootWay::Netboot(commands) = &self.leased.site.boot {
            let ArmCommands { clear, .. } = commands;
            let variables = [(MACHINE, self.leased.site.name.to_string())];
            let done = self.command(clear, &variables);
            done.map_err(|error| self.leased.error(Phase::Arm, error.to_string()))?;
        }
        self.leased.note_armed(false);
        Ok(())
    }

    /// Runs a command of the site where its boot is chosen.
    fn command(&self, command: &str, variables: &[(&str, String)]) -> Result<(), CommandError> {
        let limit = self.leased.site.limits.boot;
        match self.leased.site.boot {
            BootWay::Netboot(_) => shell_with(command, variables, limit).map(drop),
            BootWay::Kexec | BootWay::Oneshot(_) => {
                let exports = exports(variables).map_err(|error| {
                    let source = std::io::Error::other(error);
                    CommandError::Start { command: command.to_owned(), source }
                })?;
                self.ssh(&format!("{exports}{command}"), None, limit).map(drop)
            }
        }
    }
}

/// Commands that set variables for those behind.
fn exports(variables: &[(&str, String)]) -> Result<String, shlex::QuoteError> {
    let export = |(name, value): &(&str, String)| {
        shlex::try_quote(value).map(|quoted| format!("export {name}={quoted}; "))
    };
    variables.iter().map(export).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::command::shell;
    use super::*;

    #[test]
    fn variables_arrive_as_they_are() {
        let value = r#"dyndbg="file x.c +p" it's $HOME `id` \"#;
        let exports = exports(&[("A", value.to_owned()), ("B", "b".to_owned())]).unwrap();
        let command = format!("{exports}printf %s \"$A$B\"");
        assert_eq!(shell(&command, Duration::from_secs(60)).unwrap(), format!("{value}b"));
    }
}
