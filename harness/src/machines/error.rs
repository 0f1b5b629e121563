//! Why a machine does not start, and whose fault that is.

use std::error::Error;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The kernel under test: the machine works with others.
    #[default]
    Kernel,
    /// The machine: another one, or another boot, may do.
    Machine,
    /// The host: nothing works until somebody mends it.
    Host,
}

impl Blame {
    /// True if it is the kernel's fault.
    #[must_use]
    pub fn is_kernel(&self) -> bool {
        *self == Self::Kernel
    }
}

/// A machine that does not start.
#[derive(Debug)]
pub struct MachineError {
    /// Whose fault it is.
    pub blame: Blame,
    source: Box<dyn Error + Send + Sync>,
}

impl MachineError {
    /// An error of a back-end, with its blame.
    pub fn new(blame: Blame, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { blame, source: source.into() }
    }
}

// Transparent: the back-end's words are the error's.
impl fmt::Display for MachineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for MachineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
