//! The conversation with the host about one lane.

use std::fs::File;
use std::io::{Read, Write};

use perfsec_wire::frame::{FrameError, Writer, decode};
use perfsec_wire::message::MAX_CONFIG;
use perfsec_wire::observation::{CellOutcome, SetupFailure};
use perfsec_wire::{Facts, Job, Lane, Message, PROTOCOL, Refusal};

use crate::machine::{Files, Machine};
use crate::{cell, facts, machine};

/// Sends the first message, before anything that can fail.
pub(crate) fn hello<W: Write>(channel: &mut Writer<W>) -> Result<(), FrameError> {
    channel.write(&Message::Hello { protocol: PROTOCOL, release: machine::release() })
}

/// Decodes a lane.
pub(crate) fn read(bytes: &[u8]) -> Result<Lane, Refusal> {
    let setup = |doing: String| Refusal::Setup { doing, errno: 0 };
    // Every version has the protocol first, so it can be read even if the rest cannot.
    match bytes.first() {
        Some(first) if u32::from(*first) == PROTOCOL => {}
        _ => return Err(setup(format!("read the lane: it is not of protocol {PROTOCOL}"))),
    }
    decode(bytes).map_err(|error| setup(format!("read the lane: {error}")))
}

/// Files and start of a lane.
pub(crate) struct LaneSetup {
    pub(crate) files: Files,
    /// Time of the agent's start, in milliseconds since boot.
    pub(crate) started_ms: u32,
    /// Name of the channel, for the facts.
    pub(crate) channel: String,
}

/// Sets the machine up, runs the job and reports. `shell` is the job of a shell lane.
pub(crate) fn run<W: Write>(
    lane: &Lane,
    setup: LaneSetup,
    channel: &mut Writer<W>,
    shell: impl FnOnce(),
) -> Result<(), FrameError> {
    let (mut machine, facts) = match Machine::new(lane, setup.files, setup.started_ms) {
        Ok(ready) => ready,
        Err(refusal) => return channel.write(&Message::Refused(refusal)),
    };
    if lane.kernel_config
        && let Some(config) = kernel_config()
    {
        channel.write(&Message::KernelConfig(config))?;
    }
    let facts = Facts { channel: setup.channel, ..facts };
    channel.write(&Message::Ready(Box::new(facts)))?;
    match &lane.job {
        Job::Cells(cells) => {
            for one in cells {
                channel.write(&Message::Started(one.id))?;
                let outcome = cell::run(&mut machine, one);
                finish(channel, one.id, outcome)?;
            }
            if let Some(coverage) = &machine.trace.coverage {
                channel.write(&Message::Coverage(Box::new(coverage.report())))?;
            }
        }
        Job::Shell => {
            machine.release();
            shell();
        }
    }
    channel.write(&Message::Done)
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
fn finish<W: Write>(
    channel: &mut Writer<W>,
    id: u32,
    outcome: CellOutcome,
) -> Result<(), FrameError> {
    match channel.queue(&Message::Finished(id, outcome)) {
        Err(error @ FrameError::TooLong(_)) => {
            let doing = "send the observation".to_owned();
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
    fn an_outcome_that_is_too_long_is_sent_as_a_failure_and_a_shorter_one_unchanged() {
        for (length, sent) in [(10, "load a module"), (MAX_CONTENT + 1, "send the observation")] {
            let (doing, detail) = ("load a module".to_owned(), "x".repeat(length));
            let mut stream = Vec::new();
            let outcome = CellOutcome::Failed(SetupFailure { doing, errno: 0, detail });
            finish(&mut Writer::new(&mut stream), 7, outcome).unwrap();
            let message = Reader::new(stream.as_slice()).read::<Message>().unwrap();
            let Some(Message::Finished(7, CellOutcome::Failed(failure))) = message else {
                panic!("{message:?}")
            };
            assert_eq!(failure.doing, sent);
        }
    }
}
