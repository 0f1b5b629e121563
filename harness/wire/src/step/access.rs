//! Steps that ask for access to a file.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Syscall, joined};
use crate::named::named;

/// Arguments of `access(2)`, which checks with the real ids, and without capabilities unless the
/// real user id is 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FileAccess {
    /// The path. `{NAME}` in it becomes the pid of the process NAME.
    pub path: String,
    /// Kinds of access; without any, only that the file exists.
    #[serde(default)]
    pub mode: Vec<AccessKind>,
}

named! {
    /// A kind of access to a file, by its name in `access(2)` without `_OK`.
    AccessKind is "kind of access" {
        /// To read.
        R = "R",
        /// To write.
        W = "W",
        /// To execute, or to search a directory.
        X = "X",
    }
}

impl Syscall for FileAccess {
    fn name(&self) -> &'static str {
        "access"
    }
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.path)?;
        if !self.mode.is_empty() {
            f.write_str(", ")?;
            joined(f, &self.mode)?;
        }
        Ok(())
    }
}
