//! Processor architectures, and what each is called where.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The architecture of a kernel. CONTRIBUTING.md ("Add an architecture") lists what else another
/// one needs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Arch {
    /// Its name in `uname -m`, in kcidb, and as `ARCH=` of the kernel's Makefile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }

    /// Its directory below `arch/`: `SRCARCH` of the kernel's Makefile.
    #[must_use]
    pub fn source_directory(self) -> &'static str {
        match self {
            Self::X86_64 => "x86",
        }
    }

    /// The compressed image that `make` leaves in the build directory.
    #[must_use]
    pub fn boot_image(self) -> &'static str {
        match self {
            Self::X86_64 => "arch/x86/boot/bzImage",
        }
    }

    /// Its name in Debian's archive.
    #[must_use]
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
