//! Streaming decompression of packages and tarballs.

use std::io::{self, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

use super::decompress::DICTIONARY_LIMIT;

/// Size of one read from the compressed file, in bytes.
const CHUNK: usize = 256 << 10;

/// The compression of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Uncompressed.
    Plain,
    /// `.gz`
    Gzip,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.bz2`
    Bzip2,
}

impl Packing {
    /// Recognises the suffix after `.tar` in a file name.
    pub(crate) fn from_ending(ending: &str) -> Option<Self> {
        Some(match ending {
            "" => Self::Plain,
            ".gz" => Self::Gzip,
            ".xz" => Self::Xz,
            ".zst" => Self::Zstd,
            ".bz2" => Self::Bzip2,
            _ => return None,
        })
    }

    /// Recognises the magic number of a compressed file.
    pub(crate) fn detect(data: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 4] = [
            (b"\x1f\x8b\x08", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"BZh", Self::Bzip2),
        ];
        known.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, packing)| *packing)
    }

    /// Returns a reader of the uncompressed data. Multithreaded compressors write several streams
    /// one after another; all of them are read.
    pub(crate) fn open<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        if self == Self::Plain {
            return Ok(Box::new(packed));
        }
        let packed = BufReader::with_capacity(CHUNK, packed);
        Ok(match self {
            Self::Plain | Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(DICTIONARY_LIMIT, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::kernel::decompress::Compression;
    use crate::kernel::fixture::pack;

    #[rstest]
    #[case(".gz", Compression::Gzip)]
    #[case(".xz", Compression::Xz)]
    #[case(".zst", Compression::Zstd)]
    #[case(".bz2", Compression::Bzip2)]
    fn concatenated_streams_are_one_file(#[case] ending: &str, #[case] compression: Compression) {
        let packed = [pack(compression, b"first, "), pack(compression, b"second")].concat();
        let packing = Packing::from_ending(ending).unwrap();
        assert_eq!(Packing::detect(&packed), Some(packing));
        let mut plain = String::new();
        packing.open(packed.as_slice()).unwrap().read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "first, second");
    }

    #[test]
    fn uncompressed_data_is_passed_through() {
        assert_eq!(Packing::detect(b"linux-6.1/"), None);
        let mut plain = String::new();
        let packing = Packing::from_ending("").unwrap();
        packing.open(b"unchanged".as_slice()).unwrap().read_to_string(&mut plain).unwrap();
        assert_eq!(plain, "unchanged");
        assert_eq!(Packing::from_ending(".rar"), None);
    }
}
