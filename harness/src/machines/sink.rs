//! The two ends between a machine and the engine: the machine's, a [`Sink`], and the engine's,
//! [`Incidents`].
//!
//! Neither grows with what a guest does. Incidents wait in a short queue, and a guest that sends
//! more waits with them. The console never waits, as QEMU drops what nobody reads: its last bytes
//! are kept, and the engine looks at them when it needs them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Incident;

/// Bytes of the console that are kept: the last ones.
pub const CONSOLE_KEPT: usize = 256 << 10;

/// Incidents that may wait for the engine.
const WAITING: usize = 16;

/// The machine's end.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: SyncSender<Incident>,
    console: Arc<Console>,
}

/// The engine's end. It must be dropped before the machine, whose threads may wait in
/// [`Sink::report`] and are joined when the machine is dropped.
#[derive(Debug)]
pub struct Incidents {
    queue: Receiver<Incident>,
    console: Arc<Console>,
    /// For the user's interrupt. The queue stays open for as long as the engine listens.
    own: Arc<SyncSender<Incident>>,
}

#[derive(Debug, Default)]
struct Console(Mutex<Printed>);

#[derive(Debug, Default)]
struct Printed {
    kept: VecDeque<u8>,
    /// Number of bytes so far, with those that are no longer kept.
    total: u64,
    last: Option<Instant>,
}

/// The two ends for one boot.
#[must_use]
pub fn incidents() -> (Sink, Incidents) {
    let (sender, queue) = sync_channel(WAITING);
    let console = Arc::<Console>::default();
    let sink = Sink { queue: sender.clone(), console: Arc::clone(&console) };
    (sink, Incidents { queue, console, own: Arc::new(sender) })
}

impl Sink {
    /// Reports an incident; waits while the queue is full. Returns false if nobody listens.
    pub fn report(&self, incident: Incident) -> bool {
        self.queue.send(incident).is_ok()
    }

    /// Takes what the kernel printed on its console. Does not wait.
    pub fn print(&self, bytes: &[u8]) {
        let mut console = self.console.lock();
        console.total += bytes.len() as u64;
        console.last = Some(Instant::now());
        let bytes = &bytes[bytes.len().saturating_sub(CONSOLE_KEPT)..];
        let excess = (console.kept.len() + bytes.len()).saturating_sub(CONSOLE_KEPT);
        console.kept.drain(..excess);
        console.kept.extend(bytes);
    }
}

impl Incidents {
    /// The next incident. Returns `None` if nothing happens within `limit`.
    #[must_use]
    pub fn next(&self, limit: Duration) -> Option<Incident> {
        match self.queue.recv_timeout(limit) {
            Ok(incident) => Some(incident),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("a sender is in `own`"),
        }
    }

    /// A function that wakes the engine with [`Incident::Interrupted`], if it still listens and has
    /// nothing else to do.
    pub(crate) fn waker(&self) -> impl FnOnce() + Send + 'static {
        let own = Arc::downgrade(&self.own);
        move || {
            if let Some(own) = own.upgrade() {
                // With a full queue the engine is awake: it looks for an interrupt before each wait.
                let _ = own.try_send(Incident::Interrupted);
            }
        }
    }

    /// The end of the console, as text.
    #[must_use]
    pub fn console(&self) -> String {
        self.console_since(0)
    }

    /// The console from the first `mark` bytes on, as far as it is kept.
    #[must_use]
    pub fn console_since(&self, mark: u64) -> String {
        let mut console = self.console.lock();
        let forgotten = console.total - console.kept.len() as u64;
        let from = mark.saturating_sub(forgotten).min(console.kept.len() as u64);
        String::from_utf8_lossy(&console.kept.make_contiguous()[from as usize..]).into_owned()
    }

    /// The number of bytes that the console had so far.
    #[must_use]
    pub fn printed(&self) -> u64 {
        self.console.lock().total
    }

    /// The time of the last output on the console.
    #[must_use]
    pub fn last_print(&self) -> Option<Instant> {
        self.console.lock().last
    }
}

impl Console {
    // A thread that panicked left at worst a shorter console.
    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_of_a_console_are_kept_and_all_are_counted() {
        let (sink, incidents) = incidents();
        assert_eq!((incidents.console().as_str(), incidents.last_print()), ("", None));
        sink.print(&[b'a'; CONSOLE_KEPT]);
        sink.print(b"xyz");
        let console = incidents.console();
        assert_eq!((console.len(), &console[CONSOLE_KEPT - 4..]), (CONSOLE_KEPT, "axyz"));
        sink.print(&[b'b'; 2 * CONSOLE_KEPT]);
        assert_eq!(incidents.console(), "b".repeat(CONSOLE_KEPT));
        assert_eq!(incidents.printed(), 3 * CONSOLE_KEPT as u64 + 3);
        assert!(incidents.last_print().is_some());
    }

    #[test]
    fn a_console_is_read_from_a_mark_as_far_as_it_is_kept() {
        let (sink, incidents) = incidents();
        sink.print(b"boot");
        let mark = incidents.printed();
        assert_eq!(incidents.console_since(mark), "");
        sink.print(b"cell");
        assert_eq!(incidents.console_since(mark), "cell");
        sink.print(&[b'c'; CONSOLE_KEPT - 2]);
        assert_eq!(incidents.console_since(mark).len(), CONSOLE_KEPT);
        assert!(incidents.console_since(mark).starts_with("llc"));
        assert_eq!(incidents.console_since(u64::MAX), "");
    }

    #[test]
    fn a_machine_that_reports_too_much_waits_until_the_engine_listens_or_leaves() {
        let (sink, incidents) = incidents();
        let reporter = std::thread::spawn(move || {
            let mut sent = 0;
            while sink.report(Incident::Silence(None)) {
                sent += 1;
            }
            sent
        });
        for _ in 0..1000 {
            assert_eq!(incidents.next(Duration::from_secs(60)), Some(Incident::Silence(None)));
        }
        drop(incidents);
        let sent = reporter.join().unwrap();
        assert!((1000..=1000 + WAITING + 1).contains(&sent), "{sent}");
    }

    #[test]
    fn an_interrupt_does_not_wait_for_a_full_queue() {
        let (sink, incidents) = incidents();
        (0..WAITING).for_each(|_| assert!(sink.report(Incident::Silence(None))));
        incidents.waker()();
        let mut got = std::iter::from_fn(|| incidents.next(Duration::ZERO));
        assert!(got.all(|incident| incident == Incident::Silence(None)));
        incidents.waker()();
        assert_eq!(incidents.next(Duration::ZERO), Some(Incident::Interrupted));
        let waker = incidents.waker();
        drop(incidents);
        waker();
    }
}
