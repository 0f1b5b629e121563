//! A kernel that runs on a machine of the site, or is about to.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use perfsec_wire::console::ConsoleParameter;
use perfsec_wire::frame::FrameError;
use perfsec_wire::{Message, Order};

use super::hang::{self, Silent};
use super::machine::{Leaving, SiteMachine};
use super::noise::Noise;
use super::signs::{Signs, Watch};
use crate::interrupt::Interrupt;
use crate::machines::shared_console::SharedConsole;
use crate::machines::{End, Guest, Incident, Sink};
use crate::text::eprint_line;

/// An agent that has said its last word asks if it was heard, and is answered for so long.
const FAREWELL: Duration = Duration::from_secs(3);

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
    interrupt: Interrupt,
    sink: Sink,
    /// The agent's last question is being answered.
    is_parting: bool,
    /// The machine went silent, and is being asked why.
    is_examined: bool,
    /// The machine must not be touched: its own system runs, or the lab took it away.
    is_left: bool,
}

impl Running {
    /// Listens to the console from now on, for a kernel that is about to be started with this
    /// parameter.
    pub(super) fn listen(
        machine: Arc<SiteMachine>,
        parameter: &ConsoleParameter,
        before: String,
        restored: Arc<AtomicBool>,
        interrupt: Interrupt,
        sink: Sink,
    ) -> io::Result<Self> {
        let signs = Arc::new(Signs::new());
        let stop: Arc<dyn Fn() + Send + Sync> = Arc::new(machine.session.stopper());
        let input = machine.session.tap()?;
        let watch = {
            let site = &machine.leased.site;
            let noise = Noise::new(site.ignore.clone());
            let watch = Watch::new(parameter.to_string(), site.firmware.clone(), noise);
            Arc::new(Mutex::new(watch))
        };
        let print = {
            let (signs, stop, sink) = (Arc::clone(&signs), Arc::clone(&stop), sink.clone());
            let watch = Arc::clone(&watch);
            move |text: &[u8]| {
                let found = lock(&watch).scan(text);
                sink.print(&found.shown);
                // Every sign counts, also those behind the first that ends it.
                if found.signs.into_iter().filter(|sign| signs.note(*sign)).count() > 0 {
                    stop();
                }
            }
        };
        let tell = {
            let (signs, machine, sink) = (Arc::clone(&signs), Arc::clone(&machine), sink.clone());
            move |incident: Incident| match incident {
                Incident::Message(Message::Done) => {
                    signs.note_done();
                    sink.report(Incident::Message(Message::Done))
                }
                Incident::Silence(why) => {
                    sink.print(&lock(&watch).finish().shown);
                    if machine.session.is_ended() {
                        let detail = format!("the console of {} ended", machine.leased.site.name);
                        signs.set_end(End::Crashed { detail, said: String::new() });
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
            interrupt,
            sink,
            is_parting: false,
            is_examined: false,
            is_left: true,
        })
    }

    /// From now on the machine must be brought back.
    pub(super) fn leave_home(&mut self) {
        self.is_left = false;
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

    fn examine(&mut self) {
        self.is_examined = true;
        let silent = Silent {
            machine: Arc::clone(&self.machine),
            before: self.before.clone(),
            signs: Arc::clone(&self.signs),
            interrupt: self.interrupt.clone(),
        };
        let (stop, sink) = (Arc::clone(&self.stop), self.sink.clone());
        thread::spawn(move || {
            // From here: whoever hears it must not wait for this.
            sink.report(Incident::Away(hang::LONGEST));
            silent.examine();
            stop();
        });
    }

    fn kill(&mut self) {
        let stop = Arc::clone(&self.stop);
        if self.is_examined {
            // That ends by itself.
        } else if self.signs.is_done() {
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
        if self.signs.is_done() && !self.is_parting {
            thread::sleep(FAREWELL);
        }
        (self.stop)();
        if self.is_left {
            return;
        }
        let leaving = match (self.signs.is_going(), self.signs.has_arrived()) {
            (true, _) => Leaving::Going,
            (false, true) => Leaving::Running,
            (false, false) => Leaving::Unknown,
        };
        if let Err(error) = self.machine.bring_back(&self.before, leaving) {
            self.restored.store(false, Ordering::SeqCst);
            eprint_line!("perfsec: left: not in its own system: {error}");
        }
    }
}

/// A watch that is whole even if a thread panicked.
fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}
