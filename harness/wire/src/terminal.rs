//! Commands that are typed in a guest system, as a person types them after a login.

use serde::{Deserialize, Serialize};

/// Longest output of a command that an agent sends, in bytes.
pub const MAX_OUTPUT: usize = 256 << 10;

/// A command to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// The user, who is logged in first and stays so.
    pub user: String,
    /// Lines for the user's shell. None may wait for input.
    pub command: String,
    /// Time limit in milliseconds, after which the command is interrupted.
    pub limit_ms: u32,
}

/// A command that was typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    /// The exit code; `None` if the command was interrupted or ended the session, or if the user
    /// cannot log in.
    pub exit: Option<u8>,
    /// The beginning of the output, at most [`MAX_OUTPUT`] bytes.
    pub output: String,
    /// True if there was more output.
    pub clipped: bool,
    /// Time that it took, in milliseconds.
    pub took_ms: u32,
}
