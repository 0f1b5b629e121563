//! The header of a binary policy.

/// The first word: `POLICYDB_MAGIC` (security/selinux/ss/policydb.h).
const MAGIC: u32 = 0xf97c_ff8c;
/// `POLICYDB_STRING`. The second word is its length; the string follows.
const STRING: &[u8] = b"SE Linux";
/// `POLICYDB_CONFIG_MLS`, the bit in the configuration word for a policy with levels.
const MLS: u32 = 1;

/// True if contexts of the policy have a level; `None` if the bytes are not a policy.
pub(super) fn has_levels(binary: &[u8]) -> Option<bool> {
    let (magic, rest) = word(binary)?;
    let (length, rest) = word(rest)?;
    if magic != MAGIC || usize::try_from(length) != Ok(STRING.len()) {
        return None;
    }
    let (_version, rest) = word(rest.strip_prefix(STRING)?)?;
    let (config, _) = word(rest)?;
    Some(config & MLS != 0)
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::levels(b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x05\0\0\0rest", Some(true))]
    #[case::none(b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x04\0\0\0", Some(false))]
    #[case::short(b"\x8c\xff\x7c\xf9\x08\0\0\0SE Linux\x1f\0\0\0\x04\0\0", None)]
    #[case::of_xen(b"\x8c\xff\x7c\xf9\x08\0\0\0XenFlask\x1f\0\0\0\x05\0\0\0", None)]
    #[case::empty(b"", None)]
    #[case::text(b"(handleunknown allow)\n(mls true)\n", None)]
    fn the_header_tells_if_contexts_have_levels(
        #[case] binary: &[u8],
        #[case] levels: Option<bool>,
    ) {
        assert_eq!(has_levels(binary), levels);
    }
}
