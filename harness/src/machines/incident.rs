//! Incidents: the reports of a booted machine.

use std::fmt;

use perfsec_wire::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happened to a booted machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The agent sent a message.
    Message(Message),
    /// The kernel printed these bytes on its console.
    Console(Vec<u8>),
    /// The agent's channel ended; with the reason if it did not simply close.
    Silence(Option<String>),
    /// The machine is gone.
    Ended(End),
    /// The user wants the run to stop.
    Interrupted,
}

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The guest powered off.
    PoweredOff,
    /// The guest rebooted, as it also does after a panic with `panic=-1`.
    Rebooted,
    /// The machine itself failed.
    Crashed {
        /// Its exit status and last words.
        detail: String,
    },
    /// perfsec ended it.
    Killed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("powered off"),
            Self::Rebooted => f.write_str("rebooted"),
            Self::Crashed { detail } => write!(f, "the machine failed: {detail}"),
            Self::Killed => f.write_str("killed by perfsec"),
        }
    }
}
