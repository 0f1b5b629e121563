//! Incidents: the reports of a booted machine.

use std::fmt;
use std::time::Duration;

use perfsec_wire::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that happened to a booted machine, besides output on its console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incident {
    /// The agent sent a message.
    Message(Message),
    /// The agent's channel ended; with the reason if it carried something else than messages.
    Silence(Option<String>),
    /// The memory of a guest that died was wanted: the file that has it, or why it has not.
    Dumped(MemoryDump),
    /// The machine is out of reach. Its end is reported within this time.
    Away(Duration),
    /// The machine is gone.
    Ended(End),
    /// The user wants the run to stop.
    Interrupted,
}

/// The memory of a guest that died, as an ELF core of its physical memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemoryDump {
    /// The file that has it.
    File(String),
    /// The reason why it was not written.
    Failed(String),
}

impl fmt::Display for MemoryDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "its memory is in {path}"),
            Self::Failed(why) => write!(f, "its memory was not written: {why}"),
        }
    }
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
        /// How, as a clause: `QEMU was killed by a signal (9, SIGKILL)`.
        detail: String,
        /// Its last words, if it had any.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        said: String,
    },
    /// perfsec ended it.
    Killed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PoweredOff => f.write_str("powered off"),
            Self::Rebooted => f.write_str("rebooted"),
            Self::Crashed { detail, said } => f.write_str(&clauses([detail, said])),
            Self::Killed => f.write_str("killed by perfsec"),
        }
    }
}

/// Joins the clauses that say something.
pub(crate) fn clauses<'a>(parts: impl IntoIterator<Item = &'a String>) -> String {
    let parts = parts.into_iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(": ")
}
