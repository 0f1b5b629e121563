//! A set of capabilities, as the kernel stores it.

use serde::{Deserialize, Serialize};

/// Capabilities as a bit mask: bit *n* is capability number *n* of `capability.h`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct CapSet(pub u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// The set that holds only capability `number` (0 to 63).
    #[must_use]
    pub const fn one(number: u32) -> Self {
        Self(1 << number)
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether capability `number` is in the set.
    #[must_use]
    pub const fn has(self, number: u32) -> bool {
        number < 64 && self.0 >> number & 1 == 1
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The value of the `security.capability` attribute that gives an executable this set, permitted
    /// and effective: `struct vfs_cap_data` of revision 2 (`include/uapi/linux/capability.h`).
    #[must_use]
    pub fn file_attribute(self) -> [u8; 20] {
        const VFS_CAP_REVISION_2: u32 = 0x0200_0000;
        const VFS_CAP_FLAGS_EFFECTIVE: u32 = 1;
        let words = [
            VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
            self.0 as u32,
            0,
            (self.0 >> 32) as u32,
            0,
        ];
        let mut bytes = [0; 20];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfmon_is_bit_six_of_the_second_word() {
        let attribute = CapSet::one(38).file_attribute();
        assert_eq!(attribute[..4], [1, 0, 0, 2]);
        assert_eq!(attribute[4..12], [0; 8]);
        assert_eq!(attribute[12..16], [1 << 6, 0, 0, 0]);
    }
}
