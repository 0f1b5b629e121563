//! Error numbers, displayed by name as in man pages.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A positive error number of the kernel under test.
///
/// Names are those of the generic table (`include/uapi/asm-generic/errno.h`), which x86 uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Errno(pub i32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(nix::errno::Errno::EPERM as i32);
    /// Permission denied.
    pub const EACCES: Self = Self(nix::errno::Errno::EACCES as i32);

    /// True if the error means that the caller lacks a privilege.
    #[must_use]
    pub fn is_denial(self) -> bool {
        matches!(self, Self::EPERM | Self::EACCES)
    }

    fn name(self) -> Option<String> {
        match nix::errno::Errno::from_raw(self.0) {
            nix::errno::Errno::UnknownErrno => None,
            known => Some(format!("{known:?}")),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(&name),
            // Numbers from 512 on are internal to the kernel (ERESTARTSYS…) and must not leak.
            None => write!(f, "-{}", self.0),
        }
    }
}

impl FromStr for Errno {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        static NAMES: LazyLock<BTreeMap<String, Errno>> = LazyLock::new(|| {
            (1..=133).map(Errno).filter_map(|errno| Some((errno.name()?, errno))).collect()
        });
        NAMES.get(text).copied().ok_or_else(|| {
            let close = crate::suggest::closest(text, NAMES.keys());
            format!("unknown errno `{text}`{close}")
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, "EPERM")]
    #[case(13, "EACCES")]
    #[case(25, "ENOTTY")]
    #[case(95, "EOPNOTSUPP")]
    fn names_and_numbers_convert_both_ways(#[case] number: i32, #[case] name: &str) {
        assert_eq!(Errno(number).to_string(), name);
        assert_eq!(name.parse(), Ok(Errno(number)));
    }

    #[test]
    fn a_typo_gets_a_suggestion() {
        let error = "EACCESS".parse::<Errno>().unwrap_err();
        assert_eq!(error, "unknown errno `EACCESS`; did you mean `EACCES`?");
    }
}
