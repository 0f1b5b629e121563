//! Orders from the host to the agent.
//!
//! The agent asks for each: [`Message::Parked`](crate::Message) for the first,
//! [`Message::Ready`](crate::Message) and [`Message::Idle`](crate::Message) for the next. So an order
//! never meets another, and the host decides which cells a guest runs while others run theirs.

use serde::{Deserialize, Serialize};

use crate::lane::{Cell, Lane};
use crate::terminal::Typing;

/// An order from the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Join a lane, read the guest back and report [`Message::Ready`](crate::Message).
    Begin {
        /// The lane.
        lane: Lane,
        /// Repeated in the report.
        nonce: u64,
        /// Send `/proc/config.gz` in a [`Message::KernelConfig`](crate::Message), if the kernel has
        /// it.
        kernel_config: bool,
    },
    /// Run these cells in this order.
    Cells(Vec<Cell>),
    /// Start a shell on the console, then power off.
    Shell,
    /// Type this command in a guest system and report [`Message::Typed`](crate::Message). As the first
    /// order it is followed by others of its kind only: no cell runs.
    Type(Typing),
    /// Power off.
    End,
}
