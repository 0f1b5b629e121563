//! The header of an x86 boot image, as `Documentation/arch/x86/boot.rst` lays it out.

use std::ops::Range;

/// Oldest protocol whose header tells where the packed kernel is.
const WITH_PAYLOAD: u16 = 0x0208;

/// What the header of a `bzImage` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootHeader {
    /// Where the packed kernel is in the file, with the size that follows it. May reach past the
    /// end of a file that was cut.
    pub(crate) payload: Range<usize>,
}

/// Why a header tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// It is not there: this is no x86 boot image.
    Absent,
    /// The file ends inside it.
    Cut,
    /// Its protocol (major in the high byte) is older than what every kernel since 2.6.26 has.
    TooOld(u16),
}

impl BootHeader {
    pub(crate) fn parse(image: &[u8]) -> Result<Self, HeaderError> {
        if image.get(0x202..0x206) != Some(b"HdrS".as_slice()) {
            return Err(HeaderError::Absent);
        }
        let protocol = u16_at(image, 0x206).ok_or(HeaderError::Cut)?;
        if protocol < WITH_PAYLOAD {
            return Err(HeaderError::TooOld(protocol));
        }
        // "If setup_sects is 0, the real value is 4": for compatibility with the oldest loaders.
        let sectors = match image[0x1f1] {
            0 => 4,
            sectors => usize::from(sectors),
        };
        let offset = u32_at(image, 0x248).ok_or(HeaderError::Cut)? as usize;
        let length = u32_at(image, 0x24c).ok_or(HeaderError::Cut)? as usize;
        let start = (sectors + 1) * 512 + offset;
        Ok(Self { payload: start..start + length })
    }
}

fn u16_at(image: &[u8], at: usize) -> Option<u16> {
    image.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(image: &[u8], at: usize) -> Option<u32> {
    image.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::decompress::Compression;
    use crate::kernel::fixture::bz_image;

    #[test]
    fn the_payload_is_where_the_header_says() {
        let image = bz_image(Compression::Gzip, b"payload");
        let header = BootHeader::parse(&image).unwrap();
        assert!(image[header.payload].starts_with(b"\x1f\x8b"));
    }

    #[test]
    fn zero_sectors_stand_for_four() {
        let mut image = bz_image(Compression::Gzip, b"payload");
        image[0x1f1] = 0;
        assert_eq!(BootHeader::parse(&image).unwrap().payload.start, 5 * 512 + 128);
    }

    #[test]
    fn what_is_no_header_is_told_apart() {
        let image = bz_image(Compression::Gzip, b"payload");
        assert_eq!(BootHeader::parse(b"text"), Err(HeaderError::Absent));
        assert_eq!(BootHeader::parse(&image[..0x220]), Err(HeaderError::Cut));
        let mut old = image;
        old[0x206] = 3;
        assert_eq!(BootHeader::parse(&old), Err(HeaderError::TooOld(0x203)));
    }
}
