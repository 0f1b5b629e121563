//! The ways to start a kernel on a machine of the site.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way to start a kernel, with the site's commands for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootWay {
    /// By `kexec_file_load(2)` from the machine's own system.
    Kexec,
    /// Through the firmware and a boot loader that starts another entry once. The commands are run
    /// by the machine's own system.
    Oneshot(ArmCommands),
    /// Through the firmware and the network. The commands are run by this host.
    Netboot(ArmCommands),
}

/// Commands that choose what a machine boots next, for `sh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmCommands {
    /// Lets the next boot start a kernel.
    pub arm: String,
    /// Undoes that. It may be run more than once, and without `arm` before.
    pub clear: String,
}

/// The kind of a [`BootWay`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootKind {
    /// By `kexec_file_load(2)` from the machine's own system.
    #[default]
    Kexec,
    /// By a boot loader that starts another entry once.
    Oneshot,
    /// From the network.
    Netboot,
}

impl BootWay {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> BootKind {
        match self {
            Self::Kexec => BootKind::Kexec,
            Self::Oneshot(_) => BootKind::Oneshot,
            Self::Netboot(_) => BootKind::Netboot,
        }
    }
}

/// An adverbial phrase: it fits after "start a kernel".
impl fmt::Display for BootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kexec => "by kexec",
            Self::Oneshot => "by a one-shot boot entry",
            Self::Netboot => "from the network",
        })
    }
}
