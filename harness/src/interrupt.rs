//! The user's wish that what runs stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What is called, once, when it is raised.
type Listener = Box<dyn FnOnce() + Send>;

/// Shared by the signal handler, which raises it, and whatever takes long, which hears of it.
#[derive(Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
    listeners: Arc<Mutex<Vec<Listener>>>,
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupt").field("raised", &self.is_raised()).finish_non_exhaustive()
    }
}

impl Interrupt {
    /// Stops everything that listens. Calling it again does nothing more.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        let listeners = self.listeners.lock().map(|mut listeners| std::mem::take(&mut *listeners));
        listeners.into_iter().flatten().for_each(|listener| listener());
    }

    /// Whether it was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Calls this when it is raised, or now if it was.
    pub(crate) fn on_raise(&self, listener: impl FnOnce() + Send + 'static) {
        if let Ok(mut listeners) = self.listeners.lock() {
            listeners.push(Box::new(listener));
        }
        // Raised between the last look and the push: the calls above may have come too early.
        if self.is_raised() {
            self.raise();
        }
    }
}
