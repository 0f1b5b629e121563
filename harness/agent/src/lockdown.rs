//! The lockdown of the kernel, which can only be raised (`kernel_lockdown(7)`).

use perfsec_wire::Lockdown;

use crate::error::{Error, Result};
use crate::knob;

const FILE: &str = "/sys/kernel/security/lockdown";

/// What is in force.
pub(crate) struct Locked {
    now: Lockdown,
    /// A machine that lives on must not be locked down: nothing can put it back.
    allowed: bool,
}

impl Locked {
    /// Reads what is in force; `[none] integrity confidentiality`.
    pub(crate) fn new(allowed: bool) -> Self {
        let text = knob::read(FILE).unwrap_or_default();
        let levels = [Lockdown::Integrity, Lockdown::Confidentiality];
        let is_now = |level: &Lockdown| text.contains(&format!("[{level}]"));
        Self { now: levels.into_iter().find(is_now).unwrap_or_default(), allowed }
    }

    /// Raises it for a cell.
    pub(crate) fn raise(&mut self, wanted: Lockdown) -> Result<()> {
        if wanted == self.now {
            return Ok(());
        }
        let doing = format_args!("run under lockdown {wanted}").to_string();
        if wanted < self.now {
            return Err(Error::new(doing, format_args!("it is {} already", self.now)));
        }
        if !self.allowed {
            return Err(Error::new(doing, "nothing could put that back on this machine"));
        }
        knob::write(FILE, &wanted.to_string()).map_err(|error| Error { doing, ..error })?;
        self.now = wanted;
        Ok(())
    }
}
