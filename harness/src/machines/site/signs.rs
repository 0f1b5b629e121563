//! Signs on a machine's console of what becomes of the kernel under test.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::noise::Noise;
use crate::machines::End;

/// Longest line of the console that is looked at, in bytes.
const LONGEST_LINE: usize = 4096;

/// Longest output of a kernel that is not known yet, in bytes: its first lines.
const HELD: usize = 16 << 10;
/// A part of every kernel's first line.
const BANNER: &str = "Linux version ";

/// The signs of its end.
#[derive(Debug)]
pub(super) struct Signs {
    /// The kernel under test was on the console.
    arrived: AtomicBool,
    /// The agent has said that it ends.
    done: AtomicBool,
    /// The machine reboots by itself.
    going: AtomicBool,
    /// The kernel has answered a SysRq key.
    answered: AtomicBool,
    end: Mutex<End>,
}

impl Signs {
    pub(super) fn new() -> Self {
        Self {
            arrived: AtomicBool::new(false),
            done: AtomicBool::new(false),
            going: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            end: Mutex::new(End::Killed),
        }
    }

    /// Notes a sign. Returns true if the kernel under test is gone.
    pub(super) fn note(&self, sign: Sign) -> bool {
        match sign {
            Sign::Arrived => self.arrived.store(true, Ordering::SeqCst),
            Sign::Answered => self.answered.store(true, Ordering::SeqCst),
            Sign::Going => self.going.store(true, Ordering::SeqCst),
            Sign::Rebooted => {
                self.going.store(true, Ordering::SeqCst);
                self.set_end(End::Rebooted);
                return true;
            }
        }
        false
    }

    /// Notes the agent's last word.
    pub(super) fn note_done(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.going.store(true, Ordering::SeqCst);
    }

    /// Forgets answers to SysRq keys.
    pub(super) fn forget_answers(&self) {
        self.answered.store(false, Ordering::SeqCst);
    }

    pub(super) fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::SeqCst)
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }

    pub(super) fn is_going(&self) -> bool {
        self.going.load(Ordering::SeqCst)
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::SeqCst)
    }

    pub(super) fn set_end(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    pub(super) fn end(&self) -> End {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A line of the console that tells about the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The kernel under test prints its command line.
    Arrived,
    /// The kernel acts on a SysRq key.
    Answered,
    /// The kernel says that it reboots.
    Going,
    /// The firmware or another kernel prints after the one under test.
    Rebooted,
}

/// Looks for signs on the console, in whole lines, and cuts out what the kernel under test printed:
/// what another kernel reports before or after it must not be held against it.
#[derive(Debug)]
pub(super) struct Watch {
    /// A text that only the kernel under test prints, with its command line, behind its banner.
    mark: String,
    /// A text of the firmware.
    firmware: Option<String>,
    /// Lines that count for nothing.
    noise: Noise,
    line: Vec<u8>,
    stage: Stage,
    /// Before the kernel under test is known: the output since the last banner.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    During,
    After,
}

/// The result of reading a piece of the console.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Output of the kernel under test.
    pub(super) shown: Vec<u8>,
    pub(super) signs: Vec<Sign>,
}

impl Watch {
    pub(super) fn new(mark: String, firmware: Option<String>, noise: Noise) -> Self {
        let (line, held) = (Vec::new(), Vec::new());
        Self { mark, firmware, noise, line, stage: Stage::Before, held }
    }

    /// Takes a piece of the console.
    pub(super) fn scan(&mut self, text: &[u8]) -> Scan {
        let text = self.noise.strip(text);
        self.scan_kept(&text)
    }

    /// The end of the console.
    pub(super) fn finish(&mut self) -> Scan {
        let text = self.noise.finish();
        self.scan_kept(&text)
    }

    fn scan_kept(&mut self, text: &[u8]) -> Scan {
        let mut scan = Scan::default();
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            // Without a newline, and perhaps the last words: "Rebooting in 10 seconds..".
            let sign = if part.ends_with(b"\n") || self.line.ends_with(b"..") {
                let line = std::mem::take(&mut self.line);
                let text = String::from_utf8_lossy(&line);
                if self.stage == Stage::Before && text.contains(BANNER) {
                    self.held.clear();
                    let begun = line.len().saturating_sub(part.len());
                    self.held.extend_from_slice(&line[..begun]);
                }
                self.sign(&text)
            } else {
                None
            };
            let was = self.stage;
            self.stage = match sign {
                Some(Sign::Arrived) => Stage::During,
                Some(Sign::Rebooted) => Stage::After,
                _ => was,
            };
            match (was, self.stage) {
                (Stage::Before, _) if self.held.len() + part.len() <= HELD => {
                    self.held.extend_from_slice(part);
                }
                (_, Stage::During) => scan.shown.extend_from_slice(part),
                _ => {}
            }
            if self.stage == Stage::During {
                scan.shown.append(&mut self.held);
            }
            scan.signs.extend(sign);
        }
        scan
    }

    fn sign(&self, line: &str) -> Option<Sign> {
        if line.contains(&self.mark) {
            return Some(Sign::Arrived);
        }
        let is_firmware = || self.firmware.as_ref().is_some_and(|text| line.contains(text));
        if self.stage != Stage::During {
            None
        } else if line.contains(BANNER) || is_firmware() {
            Some(Sign::Rebooted)
        } else if line.contains("Rebooting in ") || line.contains("reboot: Restarting") {
            Some(Sign::Going)
        } else if line.contains("sysrq: ") {
            Some(Sign::Answered)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const FIRST: &str = "[    0.000000] Linux version 6.12.1 (me@here) #1\r\n";
    const MARK: &str = "[    0.000000] Command line: panic=10 mark\r\n";
    const PANIC: &str = "[   12.3] Kernel panic - not syncing\r\n[   12.4] Rebooting in 10 seconds";
    const SYSRQ: &str = "[   12.3] sysrq: Show Blocked State\r\n";

    fn watch(ignore: &[&str]) -> Watch {
        let noise = Noise::new(ignore.iter().map(|it| it.parse().unwrap()).collect());
        Watch::new("mark".to_owned(), Some("A firmware".to_owned()), noise)
    }

    #[rstest]
    #[case::own_system(&["Rebooting in 10 seconds..\r\n", FIRST, "A firmware\r\n"], None)]
    #[case::boot(&[FIRST, MARK], Some(Sign::Arrived))]
    #[case::after_another(&[FIRST, FIRST, MARK], Some(Sign::Arrived))]
    #[case::panic(&[FIRST, MARK, PANIC], Some(Sign::Arrived))]
    #[case::panic_that_reboots(&[FIRST, MARK, PANIC, ".."], Some(Sign::Going))]
    #[case::reboot(&[FIRST, MARK, "reboot: Restarting system\r\n"], Some(Sign::Going))]
    #[case::answer(&[FIRST, MARK, SYSRQ], Some(Sign::Answered))]
    #[case::another_kernel(&[FIRST, MARK, "BIOS\r\n", FIRST], Some(Sign::Rebooted))]
    #[case::firmware(&[FIRST, MARK, "A firmware 1.2\r\n"], Some(Sign::Rebooted))]
    #[case::long_line(&["x"; 3 * LONGEST_LINE], None)]
    fn the_last_sign_says_what_became_of_the_kernel(
        #[case] console: &[&str],
        #[case] sign: Option<Sign>,
    ) {
        let mut watch = watch(&[]);
        let mut found = None;
        for piece in console.concat().as_bytes().chunks(7) {
            found = watch.scan(piece).signs.last().copied().or(found);
            assert!(watch.line.len() <= LONGEST_LINE);
        }
        assert_eq!(found, sign);
    }

    #[rstest]
    #[case(1)]
    #[case(7)]
    #[case(10_000)]
    fn only_the_kernel_under_test_is_shown(#[case] size: usize) {
        let own = "[ 99.0] WARNING: CPU: 0 PID: 1 at kernel/kexec_core.c:1\r\n";
        let console = [FIRST, own, FIRST, MARK, PANIC, "..", "\r\nA firmware\r\n", FIRST, own];
        let mut watch = watch(&[]);
        let console = console.concat();
        let pieces = console.as_bytes().chunks(size);
        let shown: Vec<_> = pieces.flat_map(|piece| watch.scan(piece).shown).collect();
        let shown = String::from_utf8(shown).unwrap();
        let begins = [FIRST, MARK, PANIC, "..\r\n"].concat();
        assert!(shown.starts_with(&begins) && !shown.contains("WARNING"), "{shown}");
        assert_eq!(shown.matches("version").count(), 1, "{shown}");
    }

    #[rstest]
    #[case::firmware("[BMC] A firmware of a fan\r\n")]
    #[case::banner("[BMC] Linux version 2.6\r\n")]
    #[case::reboot("[BMC] Rebooting in 10 seconds\r\n")]
    fn an_ignored_line_is_no_sign_and_no_output(#[case] line: &str) {
        let scan = |ignore: &[&str]| {
            let mut watch = watch(ignore);
            let found = watch.scan([FIRST, MARK, line, "x"].concat().as_bytes());
            let rest = watch.finish();
            let shown = [found.shown, rest.shown].concat();
            (found.signs, String::from_utf8(shown).unwrap())
        };
        assert_eq!(scan(&[r"^\[BMC\]"]), (vec![Sign::Arrived], [FIRST, MARK, "x"].concat()));
        assert_eq!(scan(&[]).0.len(), 2);
    }

    #[test]
    fn only_a_reboot_ends_the_kernel() {
        let signs = Signs::new();
        assert!(![Sign::Arrived, Sign::Going, Sign::Answered].into_iter().any(|it| signs.note(it)));
        assert_eq!(signs.end(), End::Killed);
        assert!(signs.note(Sign::Rebooted) && signs.end() == End::Rebooted);
        assert!(signs.has_arrived() && signs.is_going() && !signs.is_done());
        signs.forget_answers();
        assert!(!signs.has_answered());
    }
}
