//! SIGINT, SIGTERM and SIGHUP.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use super::{Exit, Failure};
use crate::interrupt::Interrupt;

/// SIGINT, SIGTERM and SIGHUP stop a run in order: machines are ended and the record is finished.
pub(super) struct Signals {
    /// Raised by the first of them.
    pub(super) interrupt: Interrupt,
    seen: Arc<AtomicI32>,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn watch() -> Result<Self, Failure> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        let interrupt = Interrupt::default();
        let seen = Arc::new(AtomicI32::new(0));
        let heard = [SIGINT, SIGTERM].into_iter().chain((!nohup()).then_some(SIGHUP));
        let mut signals = signal_hook::iterator::Signals::new(heard).map_err(Failure::host)?;
        let (raised, number) = (interrupt.clone(), seen.clone());
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    // The second time the user means it: QEMU dies with us.
                    if number.swap(signal, Ordering::SeqCst) != 0 {
                        std::process::exit(128 + signal);
                    }
                    raised.raise();
                }
            })
            .map_err(Failure::host)?;
        Ok(Self { interrupt, seen })
    }

    /// The exit code that the signal asks for, if one came.
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

/// Whether whoever started us wants us to go on when the terminal is closed: nohup(1) has SIGHUP ignored.
fn nohup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal_hook::consts::SIGHUP - 1) != 0)
}
