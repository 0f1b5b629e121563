//! One lane on a prepared machine: the conversation with the host.

use std::io::Write;

use perfsec_wire::frame::{FrameError, Writer, decode};
use perfsec_wire::observation::{CellOutcome, SetupFailure};
use perfsec_wire::{Facts, Job, Lane, Message, PROTOCOL, Refusal};

use crate::machine::{Files, Machine};
use crate::undo::Undo;
use crate::{cell, machine};

/// The words that come before anything that can fail.
pub(crate) fn hello<W: Write>(channel: &mut Writer<W>) -> Result<(), FrameError> {
    channel.write(&Message::Hello { protocol: PROTOCOL, release: machine::release() })
}

/// Decodes what the host asked for.
pub(crate) fn read(bytes: &[u8]) -> Result<Lane, Refusal> {
    let setup = |doing: String| Refusal::Setup { doing, errno: 0 };
    // The protocol comes first in every version, so that it can be read when the rest cannot.
    match bytes.first() {
        Some(first) if u32::from(*first) == PROTOCOL => {}
        _ => return Err(setup(format!("read the lane: it is not of protocol {PROTOCOL}"))),
    }
    decode(bytes).map_err(|error| setup(format!("read the lane: {error}")))
}

/// How the agent was started.
pub(crate) struct Start {
    pub(crate) files: Files,
    pub(crate) undo: Undo,
    /// When, as `/proc/uptime` had it.
    pub(crate) started_ms: u32,
    /// How messages travel, for the facts.
    pub(crate) channel: String,
}

/// Sets the machine up, runs the job and says so. `shell` is what a shell lane runs.
pub(crate) fn run<W: Write>(
    lane: &Lane,
    start: Start,
    channel: &mut Writer<W>,
    shell: impl FnOnce(),
) -> Result<(), FrameError> {
    let (mut machine, facts) = match Machine::new(lane, start.files, start.undo, start.started_ms) {
        Ok(ready) => ready,
        Err(refusal) => return channel.write(&Message::Refused(refusal)),
    };
    let facts = Facts { channel: start.channel, ..facts };
    channel.write(&Message::Ready(Box::new(facts)))?;
    match &lane.job {
        Job::Cells(cells) => {
            for one in cells {
                channel.write(&Message::Started(one.id))?;
                let outcome = cell::run(&mut machine, one);
                finish(channel, one.id, outcome)?;
            }
            if let Some(watch) = &machine.trace.coverage {
                channel.write(&Message::Coverage(Box::new(watch.report())))?;
            }
        }
        Job::Shell => {
            // Records must not pile up in the socket while a person types: they go to the console.
            drop(machine);
            shell();
        }
    }
    channel.write(&Message::Done)
}

/// Tells a cell's outcome, together with the message that follows it at once. One that is too long to be
/// told is a failed cell, and not the end of the lane.
fn finish<W: Write>(
    channel: &mut Writer<W>,
    id: u32,
    outcome: CellOutcome,
) -> Result<(), FrameError> {
    match channel.queue(&Message::Finished(id, outcome)) {
        Err(error @ FrameError::TooLong(_)) => {
            let doing = "tell what was observed".to_owned();
            let failure = SetupFailure { doing, errno: 0, detail: error.to_string() };
            channel.queue(&Message::Finished(id, CellOutcome::Failed(failure)))
        }
        sent => sent,
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::frame::{MAX_CONTENT, Reader};

    use super::*;

    #[test]
    fn an_outcome_that_is_too_long_is_told_as_a_failure_and_a_shorter_one_as_it_is() {
        for (length, told) in [(10, "load a module"), (MAX_CONTENT + 1, "tell what was observed")] {
            let (doing, detail) = ("load a module".to_owned(), "x".repeat(length));
            let mut stream = Vec::new();
            let outcome = CellOutcome::Failed(SetupFailure { doing, errno: 0, detail });
            finish(&mut Writer::new(&mut stream), 7, outcome).unwrap();
            let message = Reader::new(stream.as_slice()).read::<Message>().unwrap();
            let Some(Message::Finished(7, CellOutcome::Failed(failure))) = message else {
                panic!("{message:?}")
            };
            assert_eq!(failure.doing, told);
        }
    }
}
