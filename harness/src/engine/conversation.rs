//! The conversation with an agent: which message may come when.
//!
//! The guest is not trusted, so every message is checked against the phase of the conversation. One
//! that cannot come now is nonsense: it carries nothing on, whatever it says. So a guest that
//! repeats itself neither gains time nor writes to the run record.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use perfsec_wire::{CellOutcome, Coverage, Facts, Message, PROTOCOL, Refusal};

use crate::kernel::Config;

/// The conversation with one agent.
#[derive(Debug)]
pub(super) struct Conversation {
    terms: Terms,
    phase: Phase,
}

/// The host's part, which decides what the agent may answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// The agent repeats it when it is ready.
    pub(super) nonce: u64,
    /// It is asked for the kernel's configuration.
    pub(super) kernel_config: bool,
    /// It is asked for the coverage of its cells.
    pub(super) coverage: bool,
}

/// The facts that the agent read back from its guest.
#[derive(Debug)]
pub(super) struct ReadBack {
    pub(super) facts: Box<Facts>,
    /// The configuration that the kernel shows.
    pub(super) config: Option<Config>,
}

#[derive(Debug)]
enum Phase {
    /// Nothing was heard of the agent.
    Booting,
    /// It prepares the guest.
    Greeted,
    /// It was asked to begin, and reads the guest back.
    Begun { config: Asked<Config> },
    /// It waits for an order.
    Idle(Arc<ReadBack>),
    /// It has cells to run.
    Working {
        guest: Arc<ReadBack>,
        /// The contexts of the subjects of the cells that have not begun.
        left: HashMap<u32, String>,
        running: Option<Running>,
    },
    /// It was ordered to end.
    Ending { guest: Arc<ReadBack>, coverage: Asked<()> },
    /// It has said that it ends.
    Done(Arc<ReadBack>),
}

/// Something that the agent may send once, if it was asked for.
#[derive(Debug)]
enum Asked<T> {
    No,
    Yes,
    Answered(Option<T>),
}

/// The cell that an agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    id: u32,
    /// The context of its subject.
    pub(super) context: String,
}

/// The engine's next step after a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for the next one.
    Listen,
    /// Let the agent begin.
    Begin,
    /// Check the guest; if it is what the lane needs, give it its first order.
    Check,
    /// Give it another order.
    Give,
    /// Judge a cell.
    Judge(Running, Box<CellOutcome>),
    /// Keep the coverage of its cells.
    Cover(Box<Coverage>),
    /// End the lane, which lacks something that every cell needs.
    Refuse(Refusal),
    /// End the guest: the agent cannot go on.
    GiveUp(Refusal),
    /// End the guest, which has done its work.
    End,
}

/// A message that cannot be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misheard {
    /// The agent is of another perfsec, and speaks this protocol.
    Protocol(u32),
    /// It cannot come now. The words say what did.
    Nonsense(String),
}

impl Conversation {
    /// A conversation with an agent that boots.
    pub(super) fn booting(terms: Terms) -> Self {
        Self { terms, phase: Phase::Booting }
    }

    /// A conversation with an agent that is restored, and waits to be asked to begin.
    pub(super) fn parked(terms: Terms) -> Self {
        Self { terms, phase: Phase::begun(terms) }
    }

    /// Hears a message. After nonsense the conversation is as it was before.
    pub(super) fn hear(&mut self, message: Message) -> Result<Step, Misheard> {
        let terms = self.terms;
        match (&mut self.phase, message) {
            (Phase::Booting, Message::Hello { protocol: PROTOCOL, .. }) => {
                self.phase = Phase::Greeted;
                Ok(Step::Listen)
            }
            (Phase::Booting, Message::Hello { protocol, .. }) => Err(Misheard::Protocol(protocol)),
            (Phase::Greeted, Message::Parked) => {
                self.phase = Phase::begun(terms);
                Ok(Step::Begin)
            }
            (Phase::Greeted | Phase::Begun { .. }, Message::Refused(refusal)) => {
                Ok(Step::Refuse(refusal))
            }
            (Phase::Begun { config: config @ Asked::Yes }, Message::KernelConfig(packed)) => {
                *config = Asked::Answered(Config::unpack(&packed));
                Ok(Step::Listen)
            }
            (Phase::Begun { config }, Message::Ready { nonce, facts }) if nonce == terms.nonce => {
                let config = match std::mem::replace(config, Asked::No) {
                    Asked::Answered(config) => config,
                    Asked::No | Asked::Yes => None,
                };
                self.phase = Phase::Idle(Arc::new(ReadBack { facts, config }));
                Ok(Step::Check)
            }
            (Phase::Working { left, running: running @ None, .. }, Message::Started(id))
                if left.contains_key(&id) =>
            {
                *running = left.remove(&id).map(|context| Running { id, context });
                Ok(Step::Listen)
            }
            (Phase::Working { running, .. }, Message::Finished(id, outcome))
                if running.as_ref().is_some_and(|cell| cell.id == id) =>
            {
                let cell = running.take().expect("it was just looked at");
                Ok(Step::Judge(cell, Box::new(outcome)))
            }
            (Phase::Working { guest, left, running: None }, Message::Idle) if left.is_empty() => {
                self.phase = Phase::Idle(Arc::clone(guest));
                Ok(Step::Give)
            }
            (Phase::Ending { coverage: coverage @ Asked::Yes, .. }, Message::Coverage(report)) => {
                *coverage = Asked::Answered(Some(()));
                Ok(Step::Cover(report))
            }
            (Phase::Ending { guest, .. }, Message::Done) => {
                self.phase = Phase::Done(Arc::clone(guest));
                Ok(Step::End)
            }
            (
                Phase::Idle(_) | Phase::Working { .. } | Phase::Ending { .. },
                Message::Refused(refusal),
            ) => Ok(Step::GiveUp(refusal)),
            (phase, message) => Err(Misheard::Nonsense(format!("`{}` {phase}", words(&message)))),
        }
    }

    /// Notes an order to an agent that waits for one: these cells with the contexts of their
    /// subjects, or the end if there are none.
    pub(super) fn note_order(&mut self, cells: impl IntoIterator<Item = (u32, String)>) {
        let Some(guest) = self.guest().cloned() else { return };
        let left: HashMap<_, _> = cells.into_iter().collect();
        self.phase = if left.is_empty() {
            let coverage = if self.terms.coverage { Asked::Yes } else { Asked::No };
            Phase::Ending { guest, coverage }
        } else {
            Phase::Working { guest, left, running: None }
        };
    }

    /// The guest as it was read back; `None` until it was.
    pub(super) fn guest(&self) -> Option<&Arc<ReadBack>> {
        match &self.phase {
            Phase::Booting | Phase::Greeted | Phase::Begun { .. } => None,
            Phase::Idle(guest)
            | Phase::Working { guest, .. }
            | Phase::Ending { guest, .. }
            | Phase::Done(guest) => Some(guest),
        }
    }

    /// The cell that runs.
    pub(super) fn running(&self) -> Option<&Running> {
        match &self.phase {
            Phase::Working { running, .. } => running.as_ref(),
            _ => None,
        }
    }
}

impl Phase {
    fn begun(terms: Terms) -> Self {
        Self::Begun { config: if terms.kernel_config { Asked::Yes } else { Asked::No } }
    }
}

impl Running {
    /// The index of the cell in its lane.
    pub(super) fn index(&self) -> usize {
        self.id as usize
    }
}

/// The time of a message that cannot come then.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booting => f.write_str("before its hello"),
            Self::Greeted => f.write_str("after its hello"),
            Self::Begun { .. } => f.write_str("before it was ready"),
            Self::Idle(_) => f.write_str("before its next order"),
            Self::Working { running: Some(cell), .. } => write!(f, "in cell {}", cell.id),
            Self::Working { running: None, .. } => f.write_str("between its cells"),
            Self::Ending { .. } => f.write_str("after its last order"),
            Self::Done(_) => f.write_str("after its end"),
        }
    }
}

/// A message, in words.
pub(super) fn words(message: &Message) -> String {
    match message {
        Message::Hello { .. } => "hello".to_owned(),
        Message::Parked => "parked".to_owned(),
        Message::Moved => "moved".to_owned(),
        Message::Refused(_) => "refused".to_owned(),
        Message::KernelConfig(_) => "kernel configuration".to_owned(),
        Message::Ready { .. } => "ready".to_owned(),
        Message::Started(id) => format!("started cell {id}"),
        Message::Finished(id, _) => format!("finished cell {id}"),
        Message::Idle => "idle".to_owned(),
        Message::Typed(_) => "typed".to_owned(),
        Message::Coverage(_) => "coverage".to_owned(),
        Message::Done => "done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::observation::SetupFailure;
    use rstest::rstest;

    use super::*;

    const NONCE: u64 = 7;

    fn terms(asked: bool) -> Terms {
        Terms { nonce: NONCE, kernel_config: asked, coverage: asked }
    }

    fn outcome() -> CellOutcome {
        let doing = "load a module".to_owned();
        CellOutcome::Failed(SetupFailure { doing, errno: 0, detail: String::new() })
    }

    /// A message by a short name.
    fn message(name: &str) -> Message {
        let id = |name: &str| name[1..].parse().unwrap();
        match name {
            "hello" => Message::Hello { protocol: PROTOCOL, release: String::new() },
            "foreign" => Message::Hello { protocol: 1, release: String::new() },
            "parked" => Message::Parked,
            "moved" => Message::Moved,
            "refused" => Message::Refused(Refusal::NoPerf),
            "config" => Message::KernelConfig(Vec::new()),
            "ready" => Message::Ready { nonce: NONCE, facts: Box::default() },
            "stale" => Message::Ready { nonce: NONCE + 1, facts: Box::default() },
            "idle" => Message::Idle,
            "coverage" => Message::Coverage(Box::default()),
            "done" => Message::Done,
            started if started.starts_with('s') => Message::Started(id(started)),
            finished => Message::Finished(id(finished), outcome()),
        }
    }

    const MESSAGES: [&str; 17] = [
        "hello", "foreign", "parked", "moved", "refused", "config", "ready", "stale", "s3", "s4",
        "s9", "f3", "f4", "f9", "idle", "coverage", "done",
    ];

    /// A conversation after these messages. An idle agent gets the order that follows it.
    fn after(history: &str, asked: bool) -> Conversation {
        let mut conversation = Conversation::booting(terms(asked));
        for word in history.split_whitespace() {
            match word {
                "order" => conversation.note_order([3, 4].map(|id| (id, format!("context {id}")))),
                "end" => conversation.note_order([]),
                name => drop(conversation.hear(message(name)).unwrap()),
            }
        }
        conversation
    }

    const READY: &str = "hello parked ready";

    /// Each phase, with the only messages that may come in it and the step after each.
    #[rstest]
    #[case::booting("", &[("hello", "Listen")])]
    #[case::greeted("hello", &[("parked", "Begin"), ("refused", "Refuse")])]
    #[case::begun("hello parked",
        &[("config", "Listen"), ("ready", "Check"), ("refused", "Refuse")])]
    #[case::configured("hello parked config", &[("ready", "Check"), ("refused", "Refuse")])]
    #[case::idle(READY, &[("refused", "GiveUp")])]
    #[case::working("hello parked ready order",
        &[("s3", "Listen"), ("s4", "Listen"), ("refused", "GiveUp")])]
    #[case::running("hello parked ready order s3", &[("f3", "Judge"), ("refused", "GiveUp")])]
    #[case::between("hello parked ready order s4 f4", &[("s3", "Listen"), ("refused", "GiveUp")])]
    #[case::ran_all("hello parked ready order s4 f4 s3 f3",
        &[("idle", "Give"), ("refused", "GiveUp")])]
    #[case::idle_again("hello parked ready order s4 f4 s3 f3 idle", &[("refused", "GiveUp")])]
    #[case::ending("hello parked ready end",
        &[("coverage", "Cover"), ("done", "End"), ("refused", "GiveUp")])]
    #[case::covered("hello parked ready end coverage", &[("done", "End"), ("refused", "GiveUp")])]
    #[case::done("hello parked ready end done", &[])]
    fn every_message_but_those_of_the_phase_is_nonsense_and_changes_nothing(
        #[case] history: &str,
        #[case] sensible: &[(&str, &str)],
    ) {
        for name in MESSAGES {
            let mut conversation = after(history, true);
            let before = format!("{conversation:?}");
            let step = conversation.hear(message(name));
            match sensible.iter().find(|(it, _)| *it == name) {
                Some((_, wanted)) => {
                    let step = format!("{:?}", step.unwrap());
                    assert!(step.starts_with(wanted), "{name}: {step}");
                }
                None if (history, name) == ("", "foreign") => {
                    assert_eq!(step, Err(Misheard::Protocol(1)));
                }
                None => {
                    assert!(matches!(step, Err(Misheard::Nonsense(_))), "{name}: {step:?}");
                    assert_eq!(format!("{conversation:?}"), before, "{name}");
                }
            }
        }
    }

    #[rstest]
    #[case("hello parked", "config")]
    #[case("hello parked ready end", "coverage")]
    fn what_was_not_asked_for_is_nonsense(#[case] history: &str, #[case] name: &str) {
        let hear = |asked| after(history, asked).hear(message(name));
        assert!(hear(true).is_ok());
        assert!(matches!(hear(false), Err(Misheard::Nonsense(_))));
    }

    #[test]
    fn a_restored_agent_begins_without_a_hello() {
        let mut conversation = Conversation::parked(terms(false));
        assert_eq!(conversation.hear(message("ready")), Ok(Step::Check));
        assert!(conversation.guest().is_some());
        let hello = Conversation::parked(terms(false)).hear(message("hello"));
        assert!(matches!(hello, Err(Misheard::Nonsense(_))));
    }

    #[test]
    fn the_cell_that_runs_is_known_until_it_ends() {
        let mut conversation = after("hello parked ready order", false);
        assert_eq!(conversation.running(), None);
        conversation.hear(message("s4")).unwrap();
        let running = conversation.running().cloned().unwrap();
        assert_eq!((running.index(), running.context.as_str()), (4, "context 4"));
        let Err(Misheard::Nonsense(words)) = conversation.hear(message("hello")) else { panic!() };
        assert_eq!(words, "`hello` in cell 4");
        assert_eq!(conversation.running(), Some(&running));
        let judged = conversation.hear(message("f4"));
        assert_eq!(judged, Ok(Step::Judge(running, Box::new(outcome()))));
        assert_eq!(conversation.running(), None);
    }
}
