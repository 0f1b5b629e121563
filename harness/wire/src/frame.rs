//! Frames: messages on a byte stream.
//!
//! A frame is a length as a little-endian `u32`, then an LZ4 block whose dictionary is the content
//! of the previous frame. Observations of neighbouring cells differ little, so the dictionary makes
//! them several times smaller; on a serial port every byte saved is an exit from the emulated CPU.
//!
//! Where bytes cost nothing, compression would cost time: then [`PLAIN`] is set in the length, and
//! the content follows uncompressed.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame on the wire, in bytes.
pub const MAX_FRAME: usize = 1 << 20;
/// Set in the length of a frame that is not compressed.
pub const PLAIN: u32 = 1 << 31;
/// Longest content of a frame, in bytes: limits what a hostile frame makes the reader allocate.
pub const MAX_CONTENT: usize = 4 << 20;

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
        if self.plain && content.len() <= MAX_FRAME {
            self.stream.write_all(&(content.len() as u32 | PLAIN).to_le_bytes())?;
            self.stream.write_all(&content)?;
            self.previous = content;
            return Ok(());
        }
        let packed = lz4_flex::block::compress_prepend_size_with_dict(&content, &self.previous);
        if packed.len() > MAX_FRAME {
            return Err(FrameError::TooLong(packed.len()));
        }
        let mut frame = (packed.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&packed);
        self.stream.write_all(&frame)?;
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
        let mut packed = vec![0; length];
        self.fill(&mut packed)?;
        let content = if plain { packed } else { self.unpack(&packed)? };
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
        let mut bomb = 8u32.to_le_bytes().to_vec();
        bomb.extend(u32::MAX.to_le_bytes());
        bomb.extend([0; 4]);
        let error = Reader::new(bomb.as_slice()).read::<Message>().unwrap_err();
        assert!(matches!(error, FrameError::TooLong(_)));
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut reader = Reader::new(bytes.as_slice());
            while let Ok(Some(_)) = reader.read::<Message>() {}
        }

        #[test]
        fn a_hostile_frame_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut framed = (bytes.len() as u32 + 4).to_le_bytes().to_vec();
            framed.extend(256u32.to_le_bytes());
            framed.extend(&bytes);
            framed.extend((bytes.len() as u32 | PLAIN).to_le_bytes());
            framed.extend(&bytes);
            let mut reader = Reader::new(framed.as_slice());
            while let Ok(Some(_)) = reader.read::<Message>() {}
        }
    }
}
