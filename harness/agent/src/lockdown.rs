//! Kernel lockdown, which can only be raised (`kernel_lockdown(7)`).

use perfsec_wire::Lockdown;

use crate::error::{Error, Result};
use crate::knob;

const FILE: &str = "/sys/kernel/security/lockdown";

/// The current lockdown.
pub(crate) struct LockdownState {
    /// `None` if the kernel does not show it, as one without the lockdown module.
    now: Option<Lockdown>,
}

impl LockdownState {
    /// Reads the current lockdown, the word in brackets: `[none] integrity confidentiality`.
    pub(crate) fn new() -> Self {
        let text = knob::read(FILE).unwrap_or_default();
        let levels = [Lockdown::None, Lockdown::Integrity, Lockdown::Confidentiality];
        let is_now = |level: &Lockdown| text.contains(&format!("[{level}]"));
        Self { now: levels.into_iter().find(is_now) }
    }

    pub(crate) fn now(&self) -> Option<Lockdown> {
        self.now
    }

    /// Raises it for a cell.
    pub(crate) fn raise(&mut self, wanted: Lockdown) -> Result<()> {
        let now = self.now.unwrap_or_default();
        if wanted == now {
            return Ok(());
        }
        let doing = format_args!("run under lockdown {wanted}").to_string();
        if wanted < now {
            return Err(Error::new(doing, format_args!("it is already {now}")));
        }
        knob::write(FILE, &wanted.to_string()).map_err(|error| Error { doing, ..error })?;
        self.now = Some(wanted);
        Ok(())
    }
}
