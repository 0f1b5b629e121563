//! The user's wish that a run stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};

use crate::target::Incident;

/// Shared by the signal handler, which raises it, and the lanes, which hear of it as an incident.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
    lanes: Arc<Mutex<Vec<Sender<Incident>>>>,
}

impl Interrupt {
    /// Stops every lane. Calling it again does nothing more.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        if let Ok(mut lanes) = self.lanes.lock() {
            for lane in lanes.drain(..) {
                // A lane that is over hears nothing.
                let _ = lane.send(Incident::Interrupted);
            }
        }
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Tells a boot of it, now or when it is raised.
    pub(super) fn tell(&self, lane: Sender<Incident>) {
        if let Ok(mut lanes) = self.lanes.lock() {
            lanes.push(lane);
        }
        // Raised between the last look and the push: the drain above may have come too early.
        if self.is_raised() {
            self.raise();
        }
    }
}
