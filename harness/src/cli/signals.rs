//! SIGINT, SIGTERM and SIGHUP stop a run cleanly.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use super::{Exit, Failure};
use crate::interrupt::Interrupt;

/// The signals that stop a run cleanly: machines are killed and the record is completed.
pub(super) struct Signals {
    /// Raised by the first signal.
    pub(super) interrupt: Interrupt,
    seen: Arc<AtomicI32>,
}

impl Signals {
    /// Catches the signals from now on.
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
                    // The second signal ends perfsec at once; its machines die with it.
                    if number.swap(signal, Ordering::SeqCst) != 0 {
                        std::process::exit(128 + signal);
                    }
                    raised.raise();
                }
            })
            .map_err(Failure::host)?;
        Ok(Self { interrupt, seen })
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

/// True if SIGHUP is ignored, as under nohup(1): perfsec must then outlive its terminal.
fn nohup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (signal_hook::consts::SIGHUP - 1) != 0)
}
