//! The machine's watchdog: a timer that resets the machine unless it hears from the agent. So the
//! machine returns to its own system even if the kernel under test hangs while nobody listens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::sys;

/// `Documentation/watchdog/watchdog-api.rst`. Stock kernels have the drivers as modules, which
/// perfsec's initramfs lacks.
const DEVICE: &str = "/dev/watchdog";

/// Longest time without a word of the agent, in seconds: several times what a cell takes.
const SECONDS: i32 = 180;

/// Shortest time that the driver may choose instead.
const LEAST_SECONDS: i32 = 60;

/// Time between two words.
const PAUSE: Duration = Duration::from_secs(5);

/// A watchdog that runs.
#[derive(Debug)]
pub(crate) struct Watchdog {
    file: File,
    told: Instant,
}

impl Watchdog {
    /// Starts it, if the machine has one that waits long enough.
    pub(crate) fn start() -> Option<Self> {
        let mut file = OpenOptions::new().write(true).open(DEVICE).ok()?;
        if sys::set_watchdog_timeout(file.as_fd(), SECONDS).is_ok_and(|it| it >= LEAST_SECONDS) {
            return Some(Self { file, told: Instant::now() });
        }
        // Closing stops it after this letter, unless the kernel has CONFIG_WATCHDOG_NOWAYOUT.
        let _ = file.write_all(b"V");
        None
    }

    /// Tells it that the agent lives. Cheap enough for every line.
    pub(crate) fn tell(&mut self) {
        if self.told.elapsed() >= PAUSE {
            // If this fails, the watchdog resets the machine, and the host sees that.
            let _ = self.file.write_all(b"\0");
            self.told = Instant::now();
        }
    }
}
