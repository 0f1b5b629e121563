//! A kernel under test that runs on a machine of the site.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use perfsec_wire::console::ConsoleParameter;
use perfsec_wire::frame::FrameError;
use perfsec_wire::{Message, Order};

use super::machine::SiteMachine;
use crate::machines::shared_console::SharedConsole;
use crate::machines::{End, Guest, Incident, Sink};
use crate::text::eprint_line;

/// An agent that has said its last word asks if it was heard, and is answered for so long.
const FAREWELL: Duration = Duration::from_secs(3);
/// Longest line of the console that is looked at, in bytes.
const LONGEST_LINE: usize = 4096;

/// A machine that runs a kernel under test, or is about to.
pub(super) struct Running {
    machine: Arc<SiteMachine>,
    console: SharedConsole,
    /// The boot of the machine's own system before.
    before: String,
    signs: Arc<Signs>,
    stop: Arc<dyn Fn() + Send + Sync>,
    /// False once a machine could not be brought back.
    restored: Arc<AtomicBool>,
    /// The agent's last question is being answered.
    is_parting: bool,
    /// The machine must not be touched: its own system runs, or the lab took it away.
    is_left: bool,
}

/// The signs of its end.
#[derive(Debug)]
struct Signs {
    /// The agent has said that it ends.
    done: AtomicBool,
    /// The machine reboots by itself.
    going: AtomicBool,
    end: Mutex<End>,
}

impl Running {
    /// Listens to the console from now on, for a kernel that is about to be started with this
    /// parameter.
    pub(super) fn listen(
        machine: Arc<SiteMachine>,
        parameter: &ConsoleParameter,
        before: String,
        restored: Arc<AtomicBool>,
        sink: Sink,
    ) -> io::Result<Self> {
        let signs = Arc::new(Signs {
            done: AtomicBool::new(false),
            going: AtomicBool::new(false),
            end: Mutex::new(End::Killed),
        });
        let stop: Arc<dyn Fn() + Send + Sync> = Arc::new(machine.session.stopper());
        let input = machine.session.tap()?;
        let print = {
            let (signs, stop, sink) = (Arc::clone(&signs), Arc::clone(&stop), sink.clone());
            let watch = Mutex::new(BootWatch::new(parameter.to_string()));
            move |text: &[u8]| {
                sink.print(text);
                let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
                match watch.scan(text) {
                    Some(Sign::Going) => signs.going.store(true, Ordering::SeqCst),
                    Some(Sign::Rebooted) => {
                        signs.going.store(true, Ordering::SeqCst);
                        signs.set(End::Rebooted);
                        stop();
                    }
                    None => {}
                }
            }
        };
        let tell = {
            let (signs, machine) = (Arc::clone(&signs), Arc::clone(&machine));
            move |incident: Incident| match incident {
                Incident::Message(Message::Done) => {
                    signs.done.store(true, Ordering::SeqCst);
                    signs.going.store(true, Ordering::SeqCst);
                    sink.report(Incident::Message(Message::Done))
                }
                Incident::Silence(why) => {
                    if machine.session.is_ended() {
                        let detail = format!("the console of {} ended", machine.leased.site.name);
                        signs.set(End::Crashed { detail, said: String::new() });
                    }
                    sink.report(Incident::Silence(why)) && sink.report(Incident::Ended(signs.end()))
                }
                incident => sink.report(incident),
            }
        };
        let console =
            SharedConsole::open(input, machine.session.writer(), parameter.session, print, tell)?;
        Ok(Self {
            machine,
            console,
            before,
            signs,
            stop,
            restored,
            is_parting: false,
            is_left: false,
        })
    }
}

impl Running {
    /// Leaves the machine as it is in the end, if its own system still runs.
    pub(super) fn leave_alone(&mut self, is_untouched: bool) {
        self.is_left = is_untouched;
    }
}

impl Signs {
    fn set(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn end(&self) -> End {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Guest for Running {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        if let Err(error) = self.machine.leased.refresh() {
            self.is_left = true;
            return Err(io::Error::other(error).into());
        }
        self.console.send(order)
    }

    fn kill(&mut self) {
        let stop = Arc::clone(&self.stop);
        if self.signs.done.load(Ordering::SeqCst) {
            self.is_parting = true;
            thread::spawn(move || {
                thread::sleep(FAREWELL);
                stop();
            });
        } else {
            stop();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.signs.done.load(Ordering::SeqCst) && !self.is_parting {
            thread::sleep(FAREWELL);
        }
        (self.stop)();
        if self.is_left {
            return;
        }
        let is_going = self.signs.going.load(Ordering::SeqCst);
        if let Err(error) = self.machine.bring_back(&self.before, is_going) {
            self.restored.store(false, Ordering::SeqCst);
            eprint_line!("perfsec: left: not in its own system: {error}");
        }
    }
}

/// A line of the console that tells about the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// The kernel says that it reboots.
    Going,
    /// A kernel has started after the one under test.
    Rebooted,
}

/// Looks for signs on the console, in whole lines.
#[derive(Debug)]
struct BootWatch {
    /// A text that only the kernel under test prints, with its command line, behind its banner.
    mark: String,
    line: Vec<u8>,
    /// The kernel under test has begun.
    begun: bool,
}

impl BootWatch {
    fn new(mark: String) -> Self {
        Self { mark, line: Vec::new(), begun: false }
    }

    /// Takes a piece of the console. Returns the strongest sign in it.
    fn scan(&mut self, text: &[u8]) -> Option<Sign> {
        let mut found = None;
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.line);
                self.begun |= line.contains(&self.mark);
                if self.begun && line.contains("Linux version ") {
                    found = Some(Sign::Rebooted);
                } else if line.contains("Rebooting in ") || line.contains("reboot: Restarting") {
                    found = found.or(Some(Sign::Going));
                }
                self.line.clear();
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BANNER: &str = "[    0.000000] Linux version 6.12.1 (me@here) #1\r\n";
    const MARK: &str = "[    0.000000] Command line: panic=10 mark\r\n";
    const PANIC: &str = "[   12.3] Kernel panic - not syncing\r\n[   12.4] Rebooting in 10 s..";

    #[rstest]
    #[case::boot(&[BANNER, MARK], None)]
    #[case::after_another(&[BANNER, BANNER, MARK], None)]
    #[case::panic(&[BANNER, MARK, PANIC], None)]
    #[case::panic_that_reboots(&[BANNER, MARK, PANIC, "\r\n"], Some(Sign::Going))]
    #[case::reboot(&[BANNER, MARK, "SeaBIOS\r\n", BANNER], Some(Sign::Rebooted))]
    #[case::long_line(&["x"; 3 * LONGEST_LINE], None)]
    fn a_kernel_after_the_one_under_test_is_a_reboot(
        #[case] console: &[&str],
        #[case] sign: Option<Sign>,
    ) {
        let mut watch = BootWatch::new("mark".to_owned());
        let mut found = None;
        for piece in console.concat().as_bytes().chunks(7) {
            found = watch.scan(piece).or(found);
        }
        assert_eq!(found, sign);
        assert!(watch.line.len() <= LONGEST_LINE);
    }
}
