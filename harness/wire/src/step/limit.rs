//! Steps that limit what a process may use.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Syscall;
use crate::named::named;

/// Arguments of `setrlimit(2)`: both limits of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Setrlimit {
    /// The resource by its name without `RLIMIT_`.
    pub resource: Resource,
    /// The new soft and hard limit.
    pub limit: u32,
}

named! {
    /// A resource of `setrlimit(2)`.
    Resource is "resource" {
        /// One more than the largest number of a file descriptor.
        Nofile = "NOFILE",
    }
}

impl Syscall for Setrlimit {
    fn name(&self) -> &'static str {
        "setrlimit"
    }
}

impl fmt::Display for Setrlimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RLIMIT_{}, {}", self.resource, self.limit)
    }
}
