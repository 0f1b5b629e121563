//! Frames: messages on a byte stream.
//!
//! A frame is the length of what follows and a CRC-32 of the content, both little-endian `u32`s,
//! and an LZ4 block whose dictionary is the content of the previous frame. Observations of
//! neighbouring cells differ little, so the dictionary makes them several times smaller; on a
//! serial port every byte saved is an exit from the emulated CPU.
//!
//! Where bytes cost nothing, compression would cost time: then [`PLAIN`] is set in the length, and
//! the content follows uncompressed.
//!
//! Without the checksum a bit that flips on the way could turn one observation into another, which
//! the judge would hold against the kernel, or for it.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Set in the length of a frame that is not compressed.
pub const PLAIN: u32 = 1 << 31;
/// Longest content of a frame, in bytes: limits what a hostile frame makes the reader allocate, and
/// with it what a guest can write into a run record. The longest real one is a policy's answers,
/// some 100 KiB.
pub const MAX_CONTENT: usize = 1 << 20;

/// Longest frame on the wire behind its length, in bytes.
pub const MAX_FRAME: usize = SUM + MAX_CONTENT;

/// Length of a checksum.
const SUM: usize = 4;

/// The reason why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// A frame is longer than [`MAX_FRAME`], or its content than [`MAX_CONTENT`].
    #[error("a frame of {0} bytes exceeds the limit")]
    TooLong(usize),
    /// A frame does not decompress, or its content is not a message.
    #[error("a frame does not decode: {0}")]
    Garbled(String),
    /// The content of a frame is not what was sent.
    #[error("a frame was changed on the way: its checksum is wrong")]
    Changed,
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes messages to a stream.
pub struct Writer<W> {
    stream: W,
    previous: Vec<u8>,
    plain: bool,
}

impl<W: Write> Writer<W> {
    /// Starts a stream of frames.
    pub fn new(stream: W) -> Self {
        Self { stream, previous: Vec::new(), plain: false }
    }

    /// Starts a stream of frames that are not compressed.
    pub fn plain(stream: W) -> Self {
        Self { stream, previous: Vec::new(), plain: true }
    }

    /// Writes one message and flushes the stream.
    ///
    /// # Errors
    ///
    /// If the stream fails or the message is too long.
    pub fn write<T: Serialize>(&mut self, message: &T) -> Result<(), FrameError> {
        self.queue(message)?;
        Ok(self.stream.flush()?)
    }

    /// Flushes the stream.
    ///
    /// # Errors
    ///
    /// If the stream fails.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }

    /// Writes one message, which may be sent together with the next.
    ///
    /// # Errors
    ///
    /// As for `write`; a message that is too long leaves the stream unchanged.
    pub fn queue<T: Serialize>(&mut self, message: &T) -> Result<(), FrameError> {
        let content = encode(message)?;
        if content.len() > MAX_CONTENT {
            return Err(FrameError::TooLong(content.len()));
        }
        let sum = crc32fast::hash(&content);
        if self.plain {
            self.stream.write_all(&header(content.len(), PLAIN, sum))?;
            self.stream.write_all(&content)?;
        } else {
            let packed = lz4_flex::block::compress_prepend_size_with_dict(&content, &self.previous);
            if packed.len() > MAX_FRAME - SUM {
                return Err(FrameError::TooLong(packed.len()));
            }
            let mut frame = header(packed.len(), 0, sum).to_vec();
            frame.extend_from_slice(&packed);
            self.stream.write_all(&frame)?;
        }
        self.previous = content;
        Ok(())
    }
}

/// Reads messages from a stream.
pub struct Reader<R> {
    stream: R,
    previous: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Starts reading a stream of frames.
    pub fn new(stream: R) -> Self {
        Self { stream, previous: Vec::new() }
    }

    /// Returns the stream, positioned behind the last message.
    pub fn into_inner(self) -> R {
        self.stream
    }

    /// Reads the next message; returns `None` if the stream ends between two frames.
    ///
    /// # Errors
    ///
    /// If the stream fails, ends inside a frame, or a frame is malformed.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let mut length = [0; 4];
        match self.stream.read(&mut length)? {
            0 => return Ok(None),
            got => self.fill(&mut length[got..])?,
        }
        let length = u32::from_le_bytes(length);
        let (plain, length) = (length & PLAIN != 0, (length & !PLAIN) as usize);
        if length > MAX_FRAME {
            return Err(FrameError::TooLong(length));
        }
        let missing = || FrameError::Garbled("no checksum".to_owned());
        let mut packed = vec![0; length.checked_sub(SUM).ok_or_else(missing)?];
        let mut sum = [0; SUM];
        self.fill(&mut sum)?;
        self.fill(&mut packed)?;
        let content = if plain { packed } else { self.unpack(&packed)? };
        check(&content, u32::from_le_bytes(sum))?;
        let message = decode(&content)?;
        self.previous = content;
        Ok(Some(message))
    }

    fn unpack(&self, packed: &[u8]) -> Result<Vec<u8>, FrameError> {
        let claimed = match packed.first_chunk::<4>() {
            Some(size) => u32::from_le_bytes(*size) as usize,
            None => return Err(FrameError::Garbled("no size".to_owned())),
        };
        if claimed > MAX_CONTENT {
            return Err(FrameError::TooLong(claimed));
        }
        lz4_flex::block::decompress_size_prepended_with_dict(packed, &self.previous)
            .map_err(|error| FrameError::Garbled(error.to_string()))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), FrameError> {
        self.stream.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FrameError::Truncated,
            _ => FrameError::Io(error),
        })
    }
}

/// The beginning of a frame with a content, or a block, of this length.
fn header(length: usize, flags: u32, sum: u32) -> [u8; 8] {
    let length = (SUM + length) as u32 | flags;
    (u64::from(length) | u64::from(sum) << 32).to_le_bytes()
}

fn check(content: &[u8], sum: u32) -> Result<(), FrameError> {
    if crc32fast::hash(content) == sum { Ok(()) } else { Err(FrameError::Changed) }
}

/// Encodes a value behind its checksum, for memory that has its own way to tell the length.
///
/// # Errors
///
/// As for [`encode`].
pub fn seal<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    let content = encode(value)?;
    Ok([&crc32fast::hash(&content).to_le_bytes()[..], &content].concat())
}

/// Decodes a value behind its checksum.
///
/// # Errors
///
/// If the checksum is wrong, or as for [`decode`].
pub fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let (sum, content) = bytes.split_first_chunk::<4>().ok_or(FrameError::Truncated)?;
    check(content, u32::from_le_bytes(*sum))?;
    decode(content)
}

/// Encodes a value for a frame, or for a file that the agent reads.
///
/// # Errors
///
/// If the value cannot be encoded, which does not happen with types of this crate.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    postcard::to_stdvec(value).map_err(|error| FrameError::Garbled(error.to_string()))
}

/// Decodes a value.
///
/// # Errors
///
/// If the bytes encode something else, or more bytes follow.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(FrameError::Garbled(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(FrameError::Garbled(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::{Message, Refusal};

    fn sample(number: u32) -> Message {
        Message::Refused(Refusal::Setup { doing: format!("load policy {number}"), errno: 22 })
    }

    #[rstest]
    fn messages_are_read_in_order_up_to_the_end(#[values(false, true)] plain: bool) {
        let mut bytes = Vec::new();
        let stream = &mut bytes;
        let mut writer = if plain { Writer::plain(stream) } else { Writer::new(stream) };
        for number in 0..50 {
            writer.write(&sample(number)).unwrap();
        }
        let mut reader = Reader::new(bytes.as_slice());
        for number in 0..50 {
            assert_eq!(reader.read::<Message>().unwrap(), Some(sample(number)));
        }
        assert_eq!(reader.read::<Message>().unwrap(), None);
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).write(&sample(1)).unwrap();
        for end in 1..bytes.len() {
            let error = Reader::new(&bytes[..end]).read::<Message>().unwrap_err();
            assert!(matches!(error, FrameError::Truncated), "{end}: {error}");
        }
    }

    #[test]
    fn a_frame_that_exceeds_the_limits_is_refused() {
        for huge in [u32::MAX, MAX_FRAME as u32 + 1] {
            let huge = huge.to_le_bytes();
            let error = Reader::new(huge.as_slice()).read::<Message>().unwrap_err();
            assert!(matches!(error, FrameError::TooLong(_)));
        }
        let mut bomb = header(8, 0, 0).to_vec();
        bomb.extend(u32::MAX.to_le_bytes());
        bomb.extend([0; 4]);
        let error = Reader::new(bomb.as_slice()).read::<Message>().unwrap_err();
        assert!(matches!(error, FrameError::TooLong(_)));
    }

    #[rstest]
    fn a_bit_that_flips_never_makes_another_message(#[values(false, true)] plain: bool) {
        let mut bytes = Vec::new();
        let stream = &mut bytes;
        let mut writer = if plain { Writer::plain(stream) } else { Writer::new(stream) };
        writer.write(&sample(1)).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Some bits of an LZ4 block do not change its content.
            if let Ok(read) = Reader::new(flipped.as_slice()).read::<Message>() {
                assert_eq!(read, Some(sample(1)), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_sealed_value_is_read_unless_a_bit_flipped() {
        let sealed = seal(&sample(1)).unwrap();
        assert_eq!(unseal::<Message>(&sealed).unwrap(), sample(1));
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(unseal::<Message>(&flipped), Err(FrameError::Changed)), "bit {bit}");
        }
        assert!(matches!(unseal::<Message>(&sealed[..3]), Err(FrameError::Truncated)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut reader = Reader::new(bytes.as_slice());
            while let Ok(Some(_)) = reader.read::<Message>() {}
        }

        #[test]
        fn a_hostile_frame_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            // Whoever is hostile computes the checksum too.
            let sum = crc32fast::hash(&bytes);
            let mut packed = header(bytes.len() + 4, 0, sum).to_vec();
            packed.extend(256u32.to_le_bytes());
            packed.extend(&bytes);
            let mut plain = header(bytes.len(), PLAIN, sum).to_vec();
            plain.extend(&bytes);
            for framed in [packed, plain] {
                let mut reader = Reader::new(framed.as_slice());
                while let Ok(Some(_)) = reader.read::<Message>() {}
            }
        }
    }
}
