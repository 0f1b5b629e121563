//! The header of an x86 boot image (`Documentation/arch/x86/boot.rst`).

use std::ops::Range;

/// First boot protocol with `payload_offset` and `payload_length`.
const WITH_PAYLOAD: u16 = 0x0208;

/// The fields of a `bzImage` header that perfsec needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootHeader {
    /// Byte range of the packed kernel in the file, including the size appended to it. It may
    /// reach past the end of a truncated file.
    pub(crate) payload: Range<usize>,
}

/// A header that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// No `HdrS` magic: not an x86 boot image.
    Absent,
    /// The file ends inside the header.
    Cut,
    /// A protocol (major in the high byte) older than 2.8, which came with Linux 2.6.26.
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
        // boot.rst: "for backwards compatibility, if the setup_sects field contains 0, the real
        // value is 4".
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
    fn zero_setup_sectors_mean_four() {
        let mut image = bz_image(Compression::Gzip, b"payload");
        image[0x1f1] = 0;
        assert_eq!(BootHeader::parse(&image).unwrap().payload.start, 5 * 512 + 128);
    }

    #[test]
    fn an_absent_a_cut_and_an_old_header_are_different_errors() {
        let image = bz_image(Compression::Gzip, b"payload");
        assert_eq!(BootHeader::parse(b"text"), Err(HeaderError::Absent));
        assert_eq!(BootHeader::parse(&image[..0x220]), Err(HeaderError::Cut));
        let mut old = image;
        old[0x206] = 3;
        assert_eq!(BootHeader::parse(&old), Err(HeaderError::TooOld(0x203)));
    }
}
