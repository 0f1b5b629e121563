//! Lines with a limit.

use std::io::{self, BufRead, Read as _};

/// The end of a read line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The input ended before the line began.
    End,
    /// The line ended with a newline, or with the input.
    Whole,
    /// The line is longer than the limit; its rest is unread.
    Long,
}

/// Reads a line with its newline into `line`, which it empties before. `longest` is in bytes,
/// without the newline.
pub(crate) fn read_line(
    from: &mut impl BufRead,
    line: &mut Vec<u8>,
    longest: usize,
) -> io::Result<Line> {
    line.clear();
    let most = longest.saturating_add(1);
    let count = from.take(most as u64).read_until(b'\n', line)?;
    Ok(match count {
        0 => Line::End,
        _ if count == most && !line.ends_with(b"\n") => Line::Long,
        _ => Line::Whole,
    })
}

/// Reads on to the end of a line.
pub(crate) fn skip_line(from: &mut impl BufRead) -> io::Result<()> {
    from.skip_until(b'\n').map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_up_to_the_limit_and_the_next_one_is_whole() {
        let (mut from, mut line) = ("abc\nabcdef\n\nabcd".as_bytes(), Vec::new());
        let mut next = |from: &mut &[u8]| {
            let end = read_line(from, &mut line, 3).unwrap();
            (end, String::from_utf8(line.clone()).unwrap())
        };
        assert_eq!(next(&mut from), (Line::Whole, "abc\n".to_owned()));
        assert_eq!(next(&mut from), (Line::Long, "abcd".to_owned()));
        skip_line(&mut from).unwrap();
        assert_eq!(next(&mut from), (Line::Whole, "\n".to_owned()));
        assert_eq!(next(&mut from), (Line::Long, "abcd".to_owned()));
        skip_line(&mut from).unwrap();
        assert_eq!(next(&mut from), (Line::End, String::new()));
    }
}
