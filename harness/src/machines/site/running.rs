//! A kernel that runs on a machine of the site, or is about to.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use perfsec_wire::console::ConsoleParameter;
use perfsec_wire::frame::FrameError;
use perfsec_wire::{Message, Order};

use super::arming::Armed;
use super::hang::{self, Silent};
use super::machine::SiteMachine;
use super::noise::Noise;
use super::pstore::Pstore;
use super::returning::Returning;
use super::signs::{Signs, Watch};
use crate::interrupt::Interrupt;
use crate::machines::shared_console::SharedConsole;
use crate::machines::{End, Guest, Incident, Sink};

/// A machine that is brought back has limits of its own, which end before this.
const RETURN: Duration = Duration::from_secs(24 * 3600);
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
    returning: Arc<Returning>,
    interrupt: Interrupt,
    sink: Sink,
    /// The agent's last question is being answered.
    is_parting: bool,
    /// The machine went silent, and is being asked why.
    is_examined: bool,
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
        let returning = Arc::new(Returning::new(
            Arc::clone(&machine),
            before.clone(),
            parameter.to_string(),
            Arc::clone(&signs),
            restored,
        ));
        let tell = {
            let (signs, machine, sink) = (Arc::clone(&signs), Arc::clone(&machine), sink.clone());
            let (returning, interrupt) = (Arc::clone(&returning), interrupt.clone());
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
                    let is_heard = sink.report(Incident::Silence(why));
                    if is_heard && !signs.is_done() && !interrupt.is_raised() {
                        // The machine may have kept what the console did not show.
                        sink.report(Incident::Away(RETURN));
                        sink.print(returning.after_death().unwrap_or_default().as_bytes());
                    }
                    is_heard && sink.report(Incident::Ended(signs.end()))
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
            returning,
            interrupt,
            sink,
            is_parting: false,
            is_examined: false,
        })
    }

    /// From now on the machine must be brought back. `pstore` was emptied. Its next boot may be
    /// `armed`.
    pub(super) fn leave_home(&self, pstore: Pstore, armed: Option<Armed>) {
        self.returning.leave_home(pstore, armed);
    }

    /// Notes that the kernel under test is on the console.
    pub(super) fn note_arrived(&self) {
        self.returning.note_arrived();
    }

    /// Brings the machine back. Returns the log that a kernel has left in its pstore.
    pub(super) fn after_death(&self) -> Option<String> {
        self.returning.after_death()
    }
}

impl Guest for Running {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        if let Err(error) = self.machine.leased.refresh() {
            self.returning.give_up();
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
        self.returning.bring_back();
    }
}

/// A watch that is whole even if a thread panicked.
fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}
