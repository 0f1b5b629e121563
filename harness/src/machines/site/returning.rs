//! The way of a machine back into its own system after a kernel under test: once, whoever needs it
//! first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arming::Armed;
use super::machine::{Leaving, SiteMachine};
use super::pstore::Pstore;
use super::signs::Signs;
use crate::text::eprint_line;

/// A machine that is to return.
pub(super) struct Returning {
    machine: Arc<SiteMachine>,
    /// The boot of its own system before.
    before: String,
    /// A text that only the command line of the kernel under test has.
    mark: String,
    signs: Arc<Signs>,
    /// False once a machine could not be brought back.
    restored: Arc<AtomicBool>,
    way: Mutex<Way>,
}

#[derive(Default)]
struct Way {
    /// The machine has left its own system. If not, it must not be touched.
    is_due: bool,
    /// Its next boot starts the kernel under test.
    armed: Option<Armed>,
    /// pstore before.
    pstore: Option<Pstore>,
    /// The log that a kernel has left there.
    left: Option<String>,
}

impl Returning {
    /// A machine whose own system still runs.
    pub(super) fn new(
        machine: Arc<SiteMachine>,
        before: String,
        mark: String,
        signs: Arc<Signs>,
        restored: Arc<AtomicBool>,
    ) -> Self {
        Self { machine, before, mark, signs, restored, way: Mutex::default() }
    }

    /// From now on the machine must be brought back. `pstore` was emptied. Its next boot may be
    /// `armed`.
    pub(super) fn leave_home(&self, pstore: Pstore, armed: Option<Armed>) {
        self.machine.leased.note_away(true);
        *self.way() = Way { is_due: true, armed, pstore: Some(pstore), left: None };
    }

    /// The kernel under test has been started: from now on, a reset leads home.
    pub(super) fn note_arrived(&self) {
        if let Some(armed) = &mut self.way().armed {
            // It is tried again on the way back.
            let _ = armed.clear_from_here();
        }
    }

    /// The lab took the machine away.
    pub(super) fn give_up(&self) {
        let mut way = self.way();
        way.is_due = false;
        way.armed.take().into_iter().for_each(Armed::leave);
    }

    /// Brings the machine back, or waits for whoever does it.
    pub(super) fn bring_back(&self) {
        self.bring_back_on(&mut self.way());
    }

    /// The same after a death. Returns the log that the kernel has left in pstore.
    pub(super) fn after_death(&self) -> Option<String> {
        let mut way = self.way();
        if self.bring_back_on(&mut way)
            && let Some(pstore) = way.pstore.take()
        {
            way.left = pstore.read(&self.machine, &self.mark);
        }
        way.left.clone()
    }

    /// Returns true if the machine is back from here.
    fn bring_back_on(&self, way: &mut Way) -> bool {
        if !std::mem::take(&mut way.is_due) {
            return false;
        }
        let leaving = match (self.signs.is_going(), self.signs.has_arrived()) {
            (true, _) => Leaving::Going,
            (false, true) => Leaving::Running,
            (false, false) => Leaving::Unknown,
        };
        if let Some(armed) = &mut way.armed {
            let is_home = leaving == Leaving::Unknown
                && self.machine.look().is_ok_and(|own| own.boot == self.before);
            // A failure is tried again once the machine is back.
            let _ = if is_home { armed.clear() } else { armed.clear_from_here() };
        }
        let returned = self.machine.bring_back(&self.before, leaving);
        match &returned {
            Ok(_) => self.machine.leased.note_away(false),
            Err(error) => eprint_line!("perfsec: left: not in its own system: {error}"),
        }
        let is_cleared = way.armed.take().is_none_or(|mut armed| armed.end());
        if returned.is_err() || !is_cleared {
            self.restored.store(false, Ordering::SeqCst);
        }
        returned.is_ok()
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
