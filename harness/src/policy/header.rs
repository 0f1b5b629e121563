//! The header of a binary policy.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::KernelVersion;

/// The first word: `POLICYDB_MAGIC` (security/selinux/ss/policydb.h).
const MAGIC: u32 = 0xf97c_ff8c;
/// `POLICYDB_STRING`. The second word is its length; the string follows.
const STRING: &[u8] = b"SE Linux";
/// `POLICYDB_CONFIG_MLS`, the bit in the configuration word for a policy with levels.
const MLS: u32 = 1;
/// `REJECT_UNKNOWN` and `ALLOW_UNKNOWN`, the bits for classes that the policy does not define.
const REJECT_UNKNOWN: u32 = 2;
const ALLOW_UNKNOWN: u32 = 4;

/// The properties of a policy that its header has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The version of the binary format.
    pub(super) version: u32,
    /// True if contexts of the policy have a level.
    pub(super) mls: bool,
    pub(super) handle_unknown: HandleUnknown,
}

/// The treatment of classes and permissions that the kernel knows and the policy does not define.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HandleUnknown {
    /// They are allowed.
    Allow,
    /// They are denied.
    Deny,
    /// The kernel does not load the policy.
    Reject,
}

impl fmt::Display for HandleUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
        })
    }
}

/// The properties as a list: `version 33, with levels, handle-unknown allow`.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, mls, handle_unknown } = self;
        let levels = if *mls { "with levels" } else { "without levels" };
        write!(f, "version {version}, {levels}, handle-unknown {handle_unknown}")
    }
}

impl Header {
    /// Reads the header; `None` if the bytes are not a policy.
    pub(super) fn read(binary: &[u8]) -> Option<Self> {
        let (magic, rest) = word(binary)?;
        let (length, rest) = word(rest)?;
        if magic != MAGIC || usize::try_from(length) != Ok(STRING.len()) {
            return None;
        }
        let (version, rest) = word(rest.strip_prefix(STRING)?)?;
        let (config, _) = word(rest)?;
        // In the order of policydb_read().
        let handle_unknown = match config {
            _ if config & REJECT_UNKNOWN != 0 => HandleUnknown::Reject,
            _ if config & ALLOW_UNKNOWN != 0 => HandleUnknown::Allow,
            _ => HandleUnknown::Deny,
        };
        Some(Self { version, mls: config & MLS != 0, handle_unknown })
    }
}

/// The highest version that a kernel reads (`POLICYDB_VERSION_MAX`,
/// security/selinux/include/security.h). Every kernel with CAP_PERFMON reads 33.
pub(super) fn highest_version(kernel: KernelVersion) -> u32 {
    match kernel.series() {
        // POLICYDB_VERSION_NEVERAUDIT
        series if series >= (6, 17) => 35,
        // POLICYDB_VERSION_COND_XPERMS
        series if series >= (6, 14) => 34,
        _ => 33,
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn header(version: u32, mls: bool, handle_unknown: HandleUnknown) -> Option<Header> {
        Some(Header { version, mls, handle_unknown })
    }

    #[rstest]
    #[case(
        b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x21\0\0\0\x05\0\0\0rest",
        header(33, true, HandleUnknown::Allow)
    )]
    #[case(
        b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x00\0\0\0",
        header(31, false, HandleUnknown::Deny)
    )]
    #[case(
        b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x03\0\0\0",
        header(31, true, HandleUnknown::Reject)
    )]
    #[case::short(b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x04\0\0", None)]
    #[case::of_xen(b"\x8c\xff\x7c\xf9\x08\0\0\0XenFlask\x1f\0\0\0\x05\0\0\0", None)]
    #[case::empty(b"", None)]
    #[case::text(b"(handleunknown allow)\n(mls true)\n", None)]
    fn the_header_is_read_as_the_kernel_does(
        #[case] binary: &[u8],
        #[case] expected: Option<Header>,
    ) {
        assert_eq!(Header::read(binary), expected);
    }

    #[rstest]
    #[case("5.10.262", 33)]
    #[case("6.1.192", 33)]
    #[case("6.12.94", 33)]
    #[case("7.3.4", 35)]
    fn a_kernel_reads_policies_up_to_a_version(
        #[case] kernel: KernelVersion,
        #[case] highest: u32,
    ) {
        assert_eq!(highest_version(kernel), highest);
    }
}
