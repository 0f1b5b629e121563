//! The conversation with the host about one lane.

use std::fs::File;
use std::io::Read;

use perfsec_wire::frame::{FrameError, decode};
use perfsec_wire::message::MAX_CONFIG;
use perfsec_wire::observation::{CellOutcome, SetupFailure};
use perfsec_wire::{Facts, Message, Order, PROTOCOL, Preparation, Refusal, Typing};

use crate::channel::Conversation;
use crate::machine::{Machine, Surroundings};
use crate::terminal::Terminals;
use crate::{cell, facts, machine, shell};

/// Sends the first message, before anything that can fail.
pub(crate) fn hello(host: &mut Conversation<'_>) -> Result<(), FrameError> {
    host.send(&Message::Hello { protocol: PROTOCOL, release: machine::release() })
}

/// Decodes a preparation.
pub(crate) fn preparation(bytes: &[u8]) -> Result<Preparation, Refusal> {
    let setup = |doing: String| Refusal::Setup { doing, errno: 0 };
    // Every version has the protocol first, so it can be read even if the rest cannot.
    match bytes.first() {
        Some(first) if u32::from(*first) == PROTOCOL => {}
        _ => return Err(setup(format!("begin: the host does not speak protocol {PROTOCOL}"))),
    }
    decode(bytes).map_err(|error| setup(format!("begin: {error}")))
}

/// Reports that the guest is ready for cells.
pub(crate) fn begin(
    host: &mut Conversation<'_>,
    nonce: u64,
    facts: Facts,
    kernel_config: bool,
) -> Result<(), FrameError> {
    if kernel_config && let Some(config) = self::kernel_config() {
        host.send(&Message::KernelConfig(config))?;
    }
    host.send(&Message::Ready { nonce, facts: Box::new(facts) })
}

/// Obeys the host's orders until the last.
pub(crate) fn obey(mut machine: Machine, host: &mut Conversation<'_>) -> Result<(), FrameError> {
    loop {
        match host.order()? {
            Order::Cells(cells) => {
                for (index, one) in cells.iter().enumerate() {
                    host.send(&Message::Started(one.id))?;
                    host.settle();
                    let last = index + 1 == cells.len();
                    let outcome = cell::run(&mut machine, one, last);
                    finish(|message| host.queue(message), one.id, outcome)?;
                }
                host.send(&Message::Idle)?;
            }
            Order::Shell => {
                let surroundings = machine.surroundings;
                machine.release();
                match surroundings {
                    Surroundings::Alone => shell::run(),
                    Surroundings::System | Surroundings::Machine => shell::leave_to_system(),
                }
                return host.send(&Message::Done);
            }
            Order::End => {
                if let Some(coverage) = &machine.trace.coverage {
                    host.send(&Message::Coverage(Box::new(coverage.report())))?;
                }
                return host.send(&Message::Done);
            }
            Order::Begin { .. } | Order::Type(_) => {
                return Err(FrameError::Garbled("the host begins twice".to_owned()));
            }
        }
    }
}

/// Types commands in a guest system until the last order.
pub(crate) fn type_commands(first: Typing, host: &mut Conversation<'_>) -> Result<(), FrameError> {
    let (mut terminals, mut typing) = (Terminals::default(), first);
    loop {
        match terminals.perform(&typing) {
            Ok(typed) => host.send(&Message::Typed(typed))?,
            Err(error) => return host.send(&Message::Refused(error.refusal())),
        }
        typing = match host.order()? {
            Order::Type(next) => next,
            Order::End => return host.send(&Message::Done),
            _ => return Err(FrameError::Garbled("the host runs cells among commands".to_owned())),
        };
    }
}

/// `/proc/config.gz`, unless it is absent or longer than any real one.
fn kernel_config() -> Option<Vec<u8>> {
    let mut config = Vec::new();
    let limit = MAX_CONFIG as u64 + 1;
    File::open(facts::CONFIG).ok()?.take(limit).read_to_end(&mut config).ok()?;
    (config.len() <= MAX_CONFIG).then_some(config)
}

/// Sends a cell's outcome together with the message that follows at once. An outcome that is too
/// long to send fails the cell, not the lane.
fn finish(
    mut queue: impl FnMut(&Message) -> Result<(), FrameError>,
    id: u32,
    outcome: CellOutcome,
) -> Result<(), FrameError> {
    match queue(&Message::Finished(id, outcome)) {
        Err(error @ FrameError::TooLong(_)) => {
            let doing = "send the observation".to_owned();
            let failure = SetupFailure { doing, errno: 0, detail: error.to_string() };
            queue(&Message::Finished(id, CellOutcome::Failed(failure)))
        }
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::frame::{MAX_CONTENT, Reader, Writer};

    use super::*;

    #[test]
    fn an_outcome_that_is_too_long_is_sent_as_a_failure_and_a_shorter_one_unchanged() {
        for (length, sent) in [(10, "load a module"), (MAX_CONTENT + 1, "send the observation")] {
            let (doing, detail) = ("load a module".to_owned(), "x".repeat(length));
            let mut stream = Vec::new();
            let outcome = CellOutcome::Failed(SetupFailure { doing, errno: 0, detail });
            let mut writer = Writer::new(&mut stream);
            finish(|message| writer.queue(message), 7, outcome).unwrap();
            let message = Reader::new(stream.as_slice()).read::<Message>().unwrap();
            let Some(Message::Finished(7, CellOutcome::Failed(failure))) = message else {
                panic!("{message:?}")
            };
            assert_eq!(failure.doing, sent);
        }
    }
}
