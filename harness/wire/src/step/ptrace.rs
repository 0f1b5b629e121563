//! Steps that make one task the tracer of another.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Syscall, Task};

/// Arguments of `ptrace(2)`.
///
/// A task that is traced stops for its tracer instead of the agent, so only these requests exist:
/// `TRACEME` in a task to which a `clone` step with `continue` handed over, whose creator lets it
/// go after its next `execve`, and `SEIZE` of a task that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Ptrace {
    /// Makes the parent the tracer of the caller, until the caller's next `execve`.
    Traceme,
    /// Makes the caller the tracer of this task.
    Seize(Task),
}

impl Syscall for Ptrace {
    fn name(&self) -> &'static str {
        "ptrace"
    }

    fn task(&self) -> Option<&Task> {
        match self {
            Self::Traceme => None,
            Self::Seize(task) => Some(task),
        }
    }
}

impl fmt::Display for Ptrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traceme => f.write_str("PTRACE_TRACEME"),
            Self::Seize(task) => write!(f, "PTRACE_SEIZE, {task}"),
        }
    }
}
