//! Decompresses kernel images.
//!
//! The seven formats are those that the kernel's `scripts/Makefile.lib` writes. Two of them (the
//! lzop file and LZ4's legacy frame) are containers that the codec crates do not read.

use std::fmt;
use std::io::{self, Read, Seek};

use zstd::zstd_safe::find_frame_compressed_size;

use super::bytes::{Bytes, cut_short, damaged};
use super::lzo;
use crate::foreign;
use crate::interrupt::Interrupt;

/// Largest xz or lzma dictionary, in bytes.
pub(super) const DICTIONARY_LIMIT: u64 = 256 << 20;

/// Block size of lzop (`LZO_BLOCK_SIZE` in the kernel's `decompress_unlzo.c`).
const LZO_BLOCK: usize = 256 << 10;

/// Block size of `lz4 -l` (`LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE`).
const LZ4_BLOCK: usize = 8 << 20;

const LZ4_LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
const LZOP_MAGIC: [u8; 9] = *b"\x89LZO\0\r\n\x1a\n";

/// A compression format of the kernel's build (`CONFIG_KERNEL_GZIP` and so on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `CONFIG_KERNEL_GZIP`
    Gzip,
    /// `CONFIG_KERNEL_BZIP2`
    Bzip2,
    /// `CONFIG_KERNEL_LZMA`
    Lzma,
    /// `CONFIG_KERNEL_XZ`, on x86 with the BCJ filter
    Xz,
    /// `CONFIG_KERNEL_LZO`
    Lzo,
    /// `CONFIG_KERNEL_LZ4`
    Lz4,
    /// `CONFIG_KERNEL_ZSTD`
    Zstd,
}

/// A stream that cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum DecompressError {
    /// The output exceeds the limit.
    #[error("unpack {compression} data: it grows past {} MiB, which no kernel does", .limit >> 20)]
    TooLarge {
        /// Format, from the magic number.
        compression: Compression,
        /// In bytes.
        limit: usize,
    },
    /// The stream is corrupt or truncated.
    #[error("unpack {compression} data: {reason}")]
    Damaged {
        /// Format, from the magic number.
        compression: Compression,
        /// The decoder's message.
        reason: String,
    },
}

impl Compression {
    /// Recognises a stream by its magic number.
    pub fn detect(data: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 7] = [
            (b"\x1f\x8b\x08", Self::Gzip),
            (b"BZh", Self::Bzip2),
            (b"\xfd7zXZ\0", Self::Xz),
            (&LZOP_MAGIC, Self::Lzo),
            (&LZ4_LEGACY_MAGIC, Self::Lz4),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            // lzma has no magic: properties lc=3, lp=0, pb=2 and half of the dictionary size.
            (b"\x5d\0\0", Self::Lzma),
        ];
        known.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, kind)| *kind)
    }

    /// Unpacks the first stream in `data`. `expected` is the size that the image claims, in bytes:
    /// a hint for most formats, the upper limit for zstd.
    pub fn unpack(
        self,
        data: &[u8],
        expected: usize,
        interrupt: &Interrupt,
    ) -> Result<Vec<u8>, DecompressError> {
        self.unpack_within(data, expected, foreign::KERNEL.length(), interrupt)
    }

    fn unpack_within(
        self,
        data: &[u8],
        expected: usize,
        limit: usize,
        interrupt: &Interrupt,
    ) -> Result<Vec<u8>, DecompressError> {
        if expected > limit {
            return Err(DecompressError::TooLarge { compression: self, limit });
        }
        let out = Vec::with_capacity(expected);
        // The slow formats stop on an interrupt; the others take less than a second.
        let packed = interrupt.reader(data);
        let unpacked = match self {
            Self::Gzip => drain(flate2::read::GzDecoder::new(packed), out, limit),
            Self::Bzip2 => drain(bzip2::read::BzDecoder::new(packed), out, limit),
            Self::Xz => liblzma::stream::Stream::new_stream_decoder(DICTIONARY_LIMIT, 0)
                .map_err(io::Error::from)
                .and_then(|stream| {
                    spill(liblzma::read::XzDecoder::new_stream(packed, stream), out, limit)
                }),
            Self::Lzma => liblzma::stream::Stream::new_lzma_decoder(DICTIONARY_LIMIT)
                .map_err(io::Error::from)
                .and_then(|stream| {
                    spill(liblzma::read::XzDecoder::new_stream(packed, stream), out, limit)
                }),
            Self::Lzo => unpack_lzop(data, out, limit),
            Self::Lz4 => unpack_lz4_legacy(data, out, limit),
            Self::Zstd => unpack_zstd(data, out),
        };
        match unpacked {
            Ok(out) if out.len() > limit => {
                Err(DecompressError::TooLarge { compression: self, limit })
            }
            Ok(out) => Ok(out),
            Err(error) => {
                Err(DecompressError::Damaged { compression: self, reason: error.to_string() })
            }
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "lzma",
            Self::Xz => "xz",
            Self::Lzo => "lzo",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// Reads up to `limit + 1` bytes, so that the caller notices an oversized stream.
fn drain(reader: impl Read, mut out: Vec<u8>, limit: usize) -> io::Result<Vec<u8>> {
    reader.take(limit as u64 + 1).read_to_end(&mut out)?;
    Ok(out)
}

/// [`drain`] through a temporary file, which keeps peak memory low: the decoder's 32 MiB
/// dictionary is freed before the output, twice that size, is read into memory.
fn spill(reader: impl Read, mut out: Vec<u8>, limit: usize) -> io::Result<Vec<u8>> {
    let Ok(mut file) = tempfile::tempfile() else { return drain(reader, out, limit) };
    io::copy(&mut reader.take(limit as u64 + 1), &mut file)?;
    file.rewind()?;
    file.read_to_end(&mut out)?;
    Ok(out)
}

/// Unpacks straight into the output. The kernel's build uses a window of 128 MiB, and a streaming
/// decoder would hold that in memory a second time.
fn unpack_zstd(data: &[u8], mut out: Vec<u8>) -> io::Result<Vec<u8>> {
    let end = find_frame_compressed_size(data)
        .map_err(|code| damaged(zstd::zstd_safe::get_error_name(code)))?;
    let frame = data.get(..end).ok_or_else(cut_short)?;
    zstd::bulk::Decompressor::new()?.decompress_to_buffer(frame, &mut out)?;
    Ok(out)
}

fn unpack_lz4_legacy(data: &[u8], mut out: Vec<u8>, limit: usize) -> io::Result<Vec<u8>> {
    let mut rest = Bytes(data);
    while !rest.0.is_empty() {
        let size = rest.take(4)?;
        if size == LZ4_LEGACY_MAGIC {
            continue;
        }
        let size = u32::from_le_bytes(size.try_into().unwrap_or_default()) as usize;
        let block = rest.take(size)?;
        let start = out.len();
        out.resize(start + LZ4_BLOCK, 0);
        let written =
            lz4_flex::block::decompress_into(block, &mut out[start..]).map_err(damaged)?;
        out.truncate(start + written);
        if out.len() > limit {
            break;
        }
    }
    Ok(out)
}

/// Unpacks an lzop file; see `parse_header()` in the kernel's `lib/decompress_unlzo.c`.
fn unpack_lzop(data: &[u8], mut out: Vec<u8>, limit: usize) -> io::Result<Vec<u8>> {
    const WITH_LEVEL: u16 = 0x0940;
    const HAS_FILTER: u32 = 0x800;
    const SUMS_OF_PLAIN: u32 = 0x0001 | 0x0100;
    const SUMS_OF_PACKED: u32 = 0x0002 | 0x0200;

    let mut rest = Bytes(data);
    rest.take(LZOP_MAGIC.len())?;
    let version = rest.take(2)?;
    let version = u16::from_be_bytes(version.try_into().unwrap_or_default());
    // Library version, version needed to extract (since 0.940), method, level (since 0.940).
    rest.take(if version >= WITH_LEVEL { 6 } else { 3 })?;
    let flags = rest.u32_be()?;
    rest.take(if flags & HAS_FILTER != 0 { 4 } else { 0 })?;
    // Mode and mtime; then the length of the name, the name, and the header's checksum.
    rest.take(if version >= WITH_LEVEL { 12 } else { 8 })?;
    let name = usize::from(rest.take(1)?.first().copied().unwrap_or_default());
    rest.take(name + 4)?;

    let sums = |kind: u32| 4 * (flags & kind).count_ones() as usize;
    while out.len() <= limit {
        let plain = rest.u32_be()? as usize;
        if plain == 0 {
            return Ok(out);
        }
        let packed = rest.u32_be()? as usize;
        if plain > LZO_BLOCK || packed > plain {
            return Err(damaged("a block is larger than lzop's block size"));
        }
        rest.take(sums(SUMS_OF_PLAIN))?;
        if packed == plain {
            out.extend_from_slice(rest.take(packed)?);
            continue;
        }
        rest.take(sums(SUMS_OF_PACKED))?;
        let bytes = rest.take(packed)?;
        out.extend_from_slice(&lzo::decompress(bytes, plain)?);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::kernel::fixture::{ALL, pack};

    /// Larger than an lzop block, with runs and with x86 calls that the BCJ filter changes.
    static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        (0..60_000u32)
            .flat_map(|at| if at % 7 == 0 { [0xe8, 0x10, at as u8, 0, 0] } else { [at as u8; 5] })
            .collect()
    });
    static PACKED: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| ALL.map(|kind| pack(kind, &PLAIN)).into());

    #[rstest]
    fn every_format_unpacks_what_was_packed(
        #[values(0, 1, 2, 3, 4, 5, 6)] which: usize,
        #[values(false, true)] followed: bool,
    ) {
        let (compression, mut packed) = (ALL[which], PACKED[which].clone());
        assert_eq!(Compression::detect(&packed), Some(compression));
        // An LZ4 legacy frame has no end mark.
        if followed && compression != Compression::Lz4 {
            packed.extend_from_slice(b"something else");
        }
        assert!(compression.unpack(&packed, PLAIN.len(), &Interrupt::default()).unwrap() == *PLAIN);
    }

    #[rstest]
    fn output_past_the_limit_is_refused(#[values(0, 1, 2, 3, 4, 5)] which: usize) {
        let error = ALL[which]
            .unpack_within(&PACKED[which], 0, 100_000, &Interrupt::default())
            .unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { .. }), "{error}");
    }

    #[rstest]
    fn a_truncated_stream_is_damaged(#[values(0, 1, 2, 3, 4, 5, 6)] which: usize) {
        let (compression, packed) = (ALL[which], &PACKED[which]);
        let half = &packed[..packed.len() / 2];
        let error = compression.unpack(half, PLAIN.len(), &Interrupt::default()).unwrap_err();
        assert!(matches!(error, DecompressError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(&compression.to_string()), "{error}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            which in 0usize..7,
            start in 0usize..64,
            noise in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            static SHORT: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
                ALL.map(|kind| pack(kind, b"a beginning that is right, and what follows")).into()
            });
            let mut data = SHORT[which].clone();
            data.truncate(start);
            data.extend(noise);
            let _ = ALL[which].unpack_within(&data, 1 << 10, 1 << 20, &Interrupt::default());
        }
    }
}
