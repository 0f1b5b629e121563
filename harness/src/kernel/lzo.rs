//! LZO1X, as `lzop` writes it, by the rules of Documentation/staging/lzo.rst.
//!
//! The permissive crate that reads it, lzokay-native 0.1, panics when a back-reference is bad.

use std::io;

use super::bytes::{Bytes, damaged};

/// The first distances of the three kinds of long matches.
const FAR: usize = 0x4000;
const AFTER_LITERALS: usize = 0x800;

/// Unpacks a block of `size` bytes.
///
/// # Errors
///
/// The block is damaged, or has another size.
pub(super) fn decompress(packed: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let mut input = Bytes(packed);
    let mut block = Block { bytes: Vec::new(), size };
    // Number of literals after the last match; 4 stands for more, and for a run of literals.
    let mut literals = 0;
    if let Some(first @ 18..) = packed.first().map(|byte| usize::from(*byte)) {
        input.take(1)?;
        block.add(input.take(first - 17)?)?;
        literals = (first - 17).min(4);
    }
    loop {
        let code = usize::from(input.byte()?);
        let (length, distance, next) = match code {
            0..16 if literals == 0 => {
                let run = 3 + length(&mut input, code, 15)?;
                block.add(input.take(run)?)?;
                literals = 4;
                continue;
            }
            0..16 => {
                let distance = (usize::from(input.byte()?) << 2) + (code >> 2) + 1;
                match literals {
                    4 => (3, AFTER_LITERALS + distance, code),
                    _ => (2, distance, code),
                }
            }
            16..32 => {
                let length = 2 + length(&mut input, code & 7, 7)?;
                let word = usize::from(input.u16_le()?);
                let distance = ((code & 8) << 11) + (word >> 2);
                if distance == 0 {
                    return block.end(length == 3 && input.0.is_empty());
                }
                (length, FAR + distance, word)
            }
            32..64 => {
                let length = 2 + length(&mut input, code & 31, 31)?;
                let word = usize::from(input.u16_le()?);
                (length, 1 + (word >> 2), word)
            }
            _ => {
                let distance = (usize::from(input.byte()?) << 3) + (code >> 2 & 7) + 1;
                ((code >> 5) + 1, distance, code)
            }
        };
        block.repeat(distance, length)?;
        literals = next & 3;
        block.add(input.take(literals)?)?;
    }
}

/// An unpacked block.
struct Block {
    bytes: Vec<u8>,
    /// The size that it must have at its end.
    size: usize,
}

impl Block {
    /// Checks that so many bytes can be added.
    fn require(&self, length: usize) -> io::Result<()> {
        if length > self.size - self.bytes.len() {
            return Err(damaged("a block is larger than its header says"));
        }
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.require(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds bytes that begin `distance` before the end, and may overlap with it.
    fn repeat(&mut self, distance: usize, length: usize) -> io::Result<()> {
        self.require(length)?;
        let Some(start) = self.bytes.len().checked_sub(distance) else {
            return Err(damaged("a back-reference points before the start of its block"));
        };
        (start..start + length).for_each(|at| self.bytes.push(self.bytes[at]));
        Ok(())
    }

    fn end(self, valid: bool) -> io::Result<Vec<u8>> {
        if !valid || self.bytes.len() != self.size {
            return Err(damaged("a block does not have the size in its header"));
        }
        Ok(self.bytes)
    }
}

/// A length that is continued if it is 0: by zero bytes, 255 each, and another byte.
fn length(input: &mut Bytes<'_>, short: usize, most: usize) -> io::Result<usize> {
    if short > 0 {
        return Ok(short);
    }
    let mut length = most;
    loop {
        match input.byte()? {
            0 => length += 255,
            last => return Ok(length + usize::from(last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const WORDS: [&str; 4] = ["a", "perf", "event_open", "\0\0\0"];

    #[rstest]
    // Matches that begin before the block; lzokay-native panics at the first.
    #[case(&[18, b'a', 0x40, 0xff])]
    #[case(&[17, 4, 0])]
    // More literals than there are bytes.
    #[case(&[0xff, 0xff])]
    #[case(&[])]
    fn a_damaged_block_is_an_error(#[case] packed: &[u8]) {
        assert!(decompress(packed, 64).is_err());
        assert!(decompress(&packed[..packed.len() / 2], 64).is_err());
    }

    proptest! {
        #[test]
        fn a_block_is_unpacked_to_the_size_that_it_had(
            words in prop::collection::vec(prop::sample::select(&WORDS), 1..999),
            noise in prop::collection::vec(any::<u8>(), 0..999),
        ) {
            let plain = [words.concat().into_bytes(), noise, words.concat().into_bytes()].concat();
            let packed = lzokay_native::compress(&plain).unwrap();
            prop_assert_eq!(&decompress(&packed, plain.len()).unwrap(), &plain);
            prop_assert!(decompress(&packed, plain.len() - 1).is_err());
            prop_assert!(decompress(&packed, plain.len() + 1).is_err());
            prop_assert!(decompress(&packed[..packed.len() - 1], plain.len()).is_err());
        }
    }
}
