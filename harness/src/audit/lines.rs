//! Reads lines up to the limit of a log.

use std::io::{self, BufRead};

use crate::foreign;

pub(super) enum NextLine {
    End,
    Whole,
    TooLong,
}

/// Reads a line without its line end. Drops the content of a line that is too long.
pub(super) fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<NextLine> {
    let (mut any, mut too_long) = (false, false);
    loop {
        let piece = source.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        any = true;
        let end = memchr::memchr(b'\n', piece);
        let taken = end.map_or(piece.len(), |at| at + 1);
        if line.len() + taken > foreign::LOG_LINE.length() {
            too_long = true;
            line.clear();
        } else if !too_long {
            line.extend_from_slice(&piece[..taken]);
        }
        source.consume(taken);
        if end.is_some() {
            break;
        }
    }
    while line.ends_with(b"\n") || line.ends_with(b"\r") {
        line.pop();
    }
    Ok(match (any, too_long) {
        (false, _) => NextLine::End,
        (true, false) => NextLine::Whole,
        (true, true) => NextLine::TooLong,
    })
}
