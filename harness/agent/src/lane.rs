//! One lane on a prepared machine: the conversation with the host.

use std::io::Write;

use perfsec_wire::frame::{FrameError, Writer, decode};
use perfsec_wire::{Cell, Job, Lane, Message, PROTOCOL, Refusal};

use crate::machine::Machine;
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

/// Sets the machine up, runs the job and says so. `shell` is what a shell lane runs.
pub(crate) fn run<W: Write>(
    lane: &Lane,
    policy: Option<&[u8]>,
    undo: Undo,
    started_ms: u32,
    channel: &mut Writer<W>,
    shell: impl FnOnce(),
) -> Result<(), FrameError> {
    let cells: &[Cell] = match &lane.job {
        Job::Cells(cells) => cells,
        Job::Shell => &[],
    };
    let (mut machine, facts) = match Machine::new(cells, policy, undo, started_ms) {
        Ok(ready) => ready,
        Err(refusal) => return channel.write(&Message::Refused(refusal)),
    };
    channel.write(&Message::Ready(Box::new(facts)))?;
    match &lane.job {
        Job::Cells(cells) => {
            for one in cells {
                channel.write(&Message::Started(one.id))?;
                let outcome = cell::run(&mut machine, one);
                channel.write(&Message::Finished(one.id, outcome))?;
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
