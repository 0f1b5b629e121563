//! Cancellation of slow work by the user.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Called once, when the interrupt is raised.
type Listener = Box<dyn FnOnce() + Send>;

/// Shared by the signal handler, which raises it, and slow work, which checks or listens.
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
    /// Calls all listeners. Further calls have no effect.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        let listeners = self.listeners.lock().map(|mut listeners| std::mem::take(&mut *listeners));
        listeners.into_iter().flatten().for_each(|listener| listener());
    }

    /// True once the interrupt was raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// A reader that fails once the interrupt was raised.
    pub(crate) fn reader<R: Read>(&self, inner: R) -> InterruptedReader<R> {
        InterruptedReader { inner, interrupt: self.clone() }
    }

    /// Calls `listener` when the interrupt is raised, or at once if it was.
    pub(crate) fn on_raise(&self, listener: impl FnOnce() + Send + 'static) {
        if let Ok(mut listeners) = self.listeners.lock() {
            listeners.push(Box::new(listener));
        }
        // If it was raised before the push, `raise()` may have missed this listener.
        if self.is_raised() {
            self.raise();
        }
    }
}

/// See [`Interrupt::reader`].
pub(crate) struct InterruptedReader<R> {
    inner: R,
    interrupt: Interrupt,
}

impl<R: Read> Read for InterruptedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_raised() {
            // Readers retry after `ErrorKind::Interrupted`.
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(buffer)
    }
}
