//! The accelerator that executes the guest's instructions.
//!
//! [`probe()`] chooses one for this host.

mod memory;
mod probe;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use memory::Memory;
pub use probe::{Probe, ProbeResult, TIME_LIMIT, forget, probe, remembered};

/// An accelerator of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The host's CPU, through `/dev/kvm`.
    Kvm,
    /// QEMU's translator: works everywhere, and is many times slower.
    Tcg,
}

impl Accel {
    /// Every value, for a command line's list of choices.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    /// The name that QEMU and people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The CPU model to use with it.
    pub(crate) fn cpu(self) -> &'static str {
        match self {
            // The host's own model, so that nothing needs to be emulated.
            Self::Kvm => "host",
            // Everything the translator can do: the default, qemu64, lacks instructions that
            // user space of this decade may be compiled for. Off are the features that make the
            // kernel clear and copy with `rep stosb` and `rep movsb`, which the translator
            // executes byte by byte: ERMS, FSRM (QEMU 8.0), and in subleaf 1 of leaf 7 FZRM, FSRS
            // and FSRC (QEMU 8.0; older ones refuse their names, and all know the limit, which
            // hides nothing else of value: CMPCCXADD). A cell takes 0.82 of the guest
            // instructions. The suite sees no difference: on Debian 6.1 and 7.3, verdict and
            // transcript of all 2,915 cells are the same with and without.
            Self::Tcg => "max,erms=off,fsrm=off,level-func7=0",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown accelerator `{0}` (expected `kvm` or `tcg`)")]
pub struct UnknownAccel(String);

impl FromStr for Accel {
    type Err = UnknownAccel;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|a| a.as_str() == s).ok_or_else(|| UnknownAccel(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kvm", Ok(Accel::Kvm))]
    #[case("tcg", Ok(Accel::Tcg))]
    #[case("KVM", Err(UnknownAccel("KVM".into())))]
    #[case("", Err(UnknownAccel("".into())))]
    fn an_accelerator_is_known_by_its_name(
        #[case] name: &str,
        #[case] expected: Result<Accel, UnknownAccel>,
    ) {
        assert_eq!(name.parse(), expected);
    }
}
