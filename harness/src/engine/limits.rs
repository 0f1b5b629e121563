//! How long things may take.

use std::time::Duration;

use crate::kernel::Config;

/// A kernel with one of [`DEBUG_OPTIONS`] gets this many times as long for a cell.
pub(super) const DEBUG_FACTOR: u32 = 5;

/// Options that make a kernel several times slower (lib/Kconfig.debug and the files it includes).
const DEBUG_OPTIONS: [&str; 8] = [
    "CONFIG_DEBUG_KMEMLEAK",
    "CONFIG_DEBUG_LOCK_ALLOC",
    "CONFIG_DEBUG_OBJECTS",
    "CONFIG_DEBUG_PAGEALLOC",
    "CONFIG_KASAN",
    "CONFIG_KCSAN",
    "CONFIG_KMSAN",
    "CONFIG_PROVE_LOCKING",
];

/// The agent may be silent for this many times the limit of a subject: it also starts the other
/// processes of the cell, and waits for records.
const AROUND_A_SUBJECT: u32 = 4;

/// How long things may take. What takes longer is ended, and a message names the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The silence of a guest until its agent runs: between two lines on its console. The boot in
    /// all may take [`Limits::BOOT_FACTOR`] times as long, whatever it prints.
    pub boot: Duration,
    /// The time of a guest afterwards between two messages that carry something on, whatever it
    /// prints; never less than its cell may take.
    pub silence: Duration,
    /// A cell's subject, from its start to its end. A case can have a limit of its own.
    pub cell: Duration,
    /// The run, without the time to obtain kernels.
    pub run: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(120),
            silence: Duration::from_secs(60),
            // Steps take microseconds.
            cell: Duration::from_secs(10),
            run: None,
        }
    }
}

impl Limits {
    /// A boot in all may take this many times the silence that it may keep.
    pub const BOOT_FACTOR: u32 = 5;

    /// The limits of a guest that a person holds up: a week each.
    #[must_use]
    pub fn unlimited() -> Self {
        let week = Duration::from_secs(7 * 24 * 3600);
        Self { boot: week, silence: week, cell: week, run: None }
    }

    /// The longest boot.
    pub(crate) fn whole_boot(&self) -> Duration {
        self.boot * Self::BOOT_FACTOR
    }

    /// The longest silence of a guest whose cells may take `cell`.
    pub(super) fn silence(&self, cell: Duration) -> Duration {
        self.silence.max(cell * AROUND_A_SUBJECT)
    }
}

/// True if a kernel with this configuration is several times slower than others.
pub(super) fn is_debug(config: Option<&Config>) -> bool {
    config.is_some_and(|config| DEBUG_OPTIONS.iter().any(|option| config.is_set(option)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debug_kernel_is_known_by_its_options() {
        assert!(is_debug(Some(&Config::parse("CONFIG_KASAN=y\n"))));
        assert!(!is_debug(Some(&Config::parse(
            "CONFIG_KASAN_GENERIC=y\n# CONFIG_KASAN is not set\n"
        ))));
        assert!(!is_debug(None));
    }

    #[test]
    fn a_guest_may_be_silent_while_its_cell_runs() {
        let limits = Limits::default();
        assert_eq!(limits.silence(limits.cell), limits.silence);
        assert!(limits.silence(Duration::from_secs(100)) > Duration::from_secs(100));
    }
}
