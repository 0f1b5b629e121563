//! SIGINT, SIGTERM and SIGHUP end a command at once, or stop a run cleanly.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use super::{Exit, Failure};
use crate::foreign;
use crate::interrupt::Interrupt;

/// True while a signal ends perfsec at once: before a run starts, and after the first signal.
static AT_ONCE: AtomicBool = AtomicBool::new(true);

/// For handlers that only have to exist.
static UNUSED: AtomicBool = AtomicBool::new(false);

/// Makes signals end perfsec with the documented exit code, whatever its parent has set up. `main`
/// calls this first, while there is one thread.
pub(super) fn prepare() -> Result<(), Failure> {
    let ignored = Ignored::read();
    for signal in ending(ignored) {
        flag::register_conditional_shutdown(signal, 128 + signal, &AT_ONCE)
            .map_err(Failure::host)?;
        // Registered second, so that it counts from the second signal on.
        flag::register(signal, &AT_ONCE).map_err(Failure::host)?;
    }
    // A write past the limit of the file size then fails with EFBIG.
    flag::register(SIGXFSZ, &UNUSED).map_err(Failure::host)?;
    if ignored.has(SIGCHLD) {
        // Otherwise the kernel reaps children, and wait(2) fails with ECHILD.
        flag::register(SIGCHLD, &UNUSED).map_err(Failure::host)?;
    }
    let handled = ending(ignored).chain([SIGXFSZ, SIGCHLD]);
    let handled: SigSet = handled.filter_map(|number| Signal::try_from(number).ok()).collect();
    handled.thread_unblock().map_err(|error| Failure::host(std::io::Error::from(error)))
}

/// The signals that stop a run cleanly: machines are killed and the record is completed.
#[derive(Default)]
pub(super) struct Signals {
    /// Raised by the first signal.
    pub(super) interrupt: Interrupt,
    seen: Arc<AtomicI32>,
    watched: OnceCell<()>,
}

impl Signals {
    /// From now on the first signal raises the interrupt, and the second ends perfsec at once; its
    /// machines die with it.
    pub(super) fn watch(&self) -> Result<(), Failure> {
        if self.watched.set(()).is_err() {
            return Ok(());
        }
        let heard = ending(Ignored::read());
        let mut signals = signal_hook::iterator::Signals::new(heard).map_err(Failure::host)?;
        let (raised, number) = (self.interrupt.clone(), self.seen.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    number.store(signal, Ordering::SeqCst);
                    raised.raise();
                }
            })
            .map_err(Failure::host)?;
        AT_ONCE.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Exit code for the signal that came, if one did.
    pub(super) fn exit(&self) -> Option<Exit> {
        let number = self.seen.load(Ordering::SeqCst);
        u8::try_from(number).ok().filter(|number| *number != 0).map(Exit::Signal)
    }

    /// The result of something that a signal may have stopped; a signal decides the exit code.
    pub(super) fn stopped<T>(&self, result: Result<T, impl Into<Failure>>) -> Result<T, Failure> {
        let signal = self.exit();
        result.map_err(Into::into).map_err(|failure| match signal {
            Some(exit) => Failure { exit, ..failure },
            None => failure,
        })
    }
}

/// The signals that end perfsec. Under nohup(1) SIGHUP is ignored: perfsec must outlive its
/// terminal.
fn ending(ignored: Ignored) -> impl Iterator<Item = i32> {
    [SIGINT, SIGTERM].into_iter().chain((!ignored.has(SIGHUP)).then_some(SIGHUP))
}

/// The signals that this process ignores.
#[derive(Clone, Copy)]
struct Ignored(u64);

impl Ignored {
    fn read() -> Self {
        let path = Path::new("/proc/self/status");
        let status = foreign::read_text(path, &foreign::SYSTEM_FILE).unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        Self(mask.unwrap_or_default())
    }

    fn has(self, signal: i32) -> bool {
        self.0 & 1 << (signal - 1) != 0
    }
}
