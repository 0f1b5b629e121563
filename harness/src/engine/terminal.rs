//! A guest system in which commands are typed.

use std::time::{Duration, Instant};

use perfsec_wire::{BootMode, Message, Order, PROTOCOL, Typed, Typing};

use super::conversation::words;
use super::readback::refusal_text;
use super::{Engine, EngineError, Limits};
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::machines::{Guest, Incident, Incidents, Load, incidents};

/// Lines of the console that an error quotes.
const QUOTED: usize = 12;
/// Time that a guest has to answer beyond a command's own limit: a login, and an interrupt.
const ANSWER_LIMIT: Duration = Duration::from_secs(430);
/// Time between the end of a machine and that of its channel.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A guest that runs and waits for a command.
pub struct Terminal {
    // Before the machine, so dropped before it: its threads may wait for somebody to listen.
    incidents: Incidents,
    machine: Box<dyn Guest>,
    interrupt: Interrupt,
    /// Time from the start of the machine until the agent was ready.
    pub ready: Duration,
    /// True if the guest was restored from a snapshot.
    pub restored: bool,
}

/// A guest system in which nothing more can be typed.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The machine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The guest is not what commands need.
    #[error("use the guest system: {0}")]
    Refused(String),
    /// The guest ended.
    #[error("{doing}: the guest {end}; its console ends with\n{console}")]
    Ended {
        /// The action that was under way.
        doing: String,
        /// The end, as a clause.
        end: String,
        /// The last lines of the console.
        console: String,
    },
    /// The guest does not answer.
    #[error("{doing}: no answer within {} s; the console ends with\n{console}", .limit.as_secs())]
    Silent {
        /// The action that was under way.
        doing: String,
        /// The time limit.
        limit: Duration,
        /// The last lines of the console.
        console: String,
    },
    /// The user stopped it.
    #[error("interrupted")]
    Interrupted,
}

impl Engine<'_> {
    /// Boots a kernel with the guest system, or restores a snapshot, and waits until commands can
    /// be typed.
    ///
    /// # Errors
    ///
    /// If the guest does not come up.
    pub fn terminal(&self, kernel: &Kernel, mode: BootMode) -> Result<Terminal, TerminalError> {
        let setup = self.setup();
        let say = |text: &str| self.say(text);
        let start = || -> Result<_, EngineError> {
            let pool = self.pool();
            pool.prepare(kernel, &say)?;
            let policy = self.policies().first().ok_or(EngineError::NoPolicy)?;
            let policy = policy.for_kernel(kernel.version, &self.obtaining(&say))?;
            let load = Load::of_system(mode, &policy.into());
            let (sink, incidents) = incidents();
            let machine = pool.boot(kernel, mode, &load, setup.cold, sink)?;
            Ok((machine, incidents))
        };
        let started = Instant::now();
        let (machine, incidents) = start()?;
        let interrupt = self.interrupt().clone();
        interrupt.on_raise(incidents.waker());
        let (ready, restored) = (Duration::ZERO, machine.snapshot().is_some());
        let mut terminal = Terminal { incidents, machine, interrupt, ready, restored };
        if !restored {
            terminal.wait_until_parked(setup.limits)?;
            if !setup.cold {
                terminal.machine.save();
            }
        }
        terminal.ready = started.elapsed();
        Ok(terminal)
    }
}

impl Terminal {
    fn wait_until_parked(&mut self, limits: Limits) -> Result<(), TerminalError> {
        let limit = limits.boot * Limits::BOOT_FACTOR;
        let deadline = Instant::now() + limit;
        loop {
            match self.hear("boot the guest system", deadline, limit)? {
                Message::Hello { protocol: PROTOCOL, .. } => {}
                Message::Parked => return Ok(()),
                Message::Refused(refusal) => {
                    return Err(TerminalError::Refused(refusal_text(&refusal)));
                }
                message => return Err(nonsense(&message, "it booted")),
            }
        }
    }

    /// Types a command as a user, and waits until it has ended.
    ///
    /// # Errors
    ///
    /// If the guest or its agent fails. A command that fails is no error.
    pub fn perform(
        &mut self,
        user: &str,
        command: &str,
        limit: Duration,
    ) -> Result<Typed, TerminalError> {
        let doing = format!("type `{}`", command.lines().next().unwrap_or_default());
        let limit_ms = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
        let typing = Typing { user: user.to_owned(), command: command.to_owned(), limit_ms };
        if let Err(error) = self.machine.order(&Order::Type(typing)) {
            return Err(self.ended(&doing, &error.to_string()));
        }
        let limit = limit + ANSWER_LIMIT;
        match self.hear(&doing, Instant::now() + limit, limit)? {
            Message::Typed(typed) => Ok(typed),
            Message::Refused(refusal) => Err(TerminalError::Refused(refusal_text(&refusal))),
            message => Err(nonsense(&message, "it was to type")),
        }
    }

    fn hear(
        &mut self,
        doing: &str,
        deadline: Instant,
        limit: Duration,
    ) -> Result<Message, TerminalError> {
        // The last message may still be on its way when the machine has ended.
        let (mut ended, mut silent, mut deadline) = (None, false, deadline);
        loop {
            if self.interrupt.is_raised() {
                return Err(TerminalError::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.incidents.next(left) {
                Some(Incident::Message(message)) => return Ok(message),
                Some(Incident::Interrupted | Incident::Dumped(_) | Incident::Away(_)) => {}
                Some(Incident::Ended(end)) => {
                    ended = Some(end.to_string());
                    deadline = deadline.min(Instant::now() + END_LIMIT);
                }
                Some(Incident::Silence(why)) => {
                    ended = ended.or(why);
                    silent = true;
                    deadline = deadline.min(Instant::now() + END_LIMIT);
                }
                None if left.is_zero() => {
                    let console = self.console();
                    let doing = doing.to_owned();
                    return Err(match ended {
                        Some(end) => TerminalError::Ended { doing, end, console },
                        None if silent => {
                            let end = "stopped talking".to_owned();
                            TerminalError::Ended { doing, end, console }
                        }
                        None => TerminalError::Silent { doing, limit, console },
                    });
                }
                None => {}
            }
            if silent && let Some(end) = &ended {
                return Err(self.ended(doing, end));
            }
        }
    }

    fn ended(&self, doing: &str, end: &str) -> TerminalError {
        let (doing, end) = (doing.to_owned(), end.to_owned());
        TerminalError::Ended { doing, end, console: self.console() }
    }

    /// The last lines of the console.
    fn console(&self) -> String {
        let console = self.incidents.console();
        let lines: Vec<_> = console.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(QUOTED));
        last.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }
}

fn nonsense(message: &Message, moment: &str) -> TerminalError {
    TerminalError::Refused(format!("the agent says `{}` when {moment}", words(message)))
}
