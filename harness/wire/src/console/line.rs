//! Lines: what the two ends put between the lines of the kernel.
//!
//! A line is [`MARK`], then in base64 its kind, its content, and a CRC-32 of both. So it consists
//! of printable characters: no translation of line ends, flow control, seven-bit link or escape
//! character of `ssh`, `ipmitool` or `conserver` changes it. Each line begins and ends with a
//! newline, because the kernel, or a firmware, may have left one unfinished.
//!
//! The checksum begins with the session's number, so a line of another boot is never taken for one
//! of this.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// The beginning of a line. Its characters are not base64, so that one line is found behind another
/// whose end was damaged.
pub const MARK: &str = "<%:";

/// Longest data of a line, in bytes. Longer lines cost less, and lose more when the kernel prints
/// into them.
pub const MAX_DATA: usize = 240;

/// Longest line, in characters, without its newlines.
const MAX_LINE: usize = MARK.len() + (KIND + NUMBER + MAX_DATA + SUM).div_ceil(3) * 4;

const KIND: usize = 1;
const NUMBER: usize = 4;
const SUM: usize = 4;

/// Something that one end says to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A part of the stream.
    Data {
        /// Its number in the stream, from 0.
        number: u32,
        /// At least one byte, at most [`MAX_DATA`].
        bytes: Vec<u8>,
    },
    /// The lines that are missing.
    Want(Missing),
    /// The same, from an end that has waited: the other says what it misses, too.
    Ask(Missing),
}

/// The lines that one end misses: all before `from` have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first.
    pub from: u32,
    /// The first after `from` that has arrived; `u32::MAX` if none has.
    pub to: u32,
}

impl Line {
    /// The line with its newlines.
    #[must_use]
    pub fn encode(&self, session: u32) -> Vec<u8> {
        let mut content = Vec::with_capacity(KIND + NUMBER + MAX_DATA + SUM);
        match self {
            Self::Data { number, bytes } => {
                content.push(b'd');
                content.extend_from_slice(&number.to_le_bytes());
                content.extend_from_slice(bytes);
            }
            Self::Want(missing) => missing.encode(b'w', &mut content),
            Self::Ask(missing) => missing.encode(b'a', &mut content),
        }
        content.extend_from_slice(&sum(session, &content).to_le_bytes());
        let mut line = String::with_capacity(MAX_LINE + 2);
        line.push('\n');
        line.push_str(MARK);
        STANDARD_NO_PAD.encode_string(&content, &mut line);
        line.push('\n');
        line.into_bytes()
    }

    /// Decodes what follows a mark, as far as it is base64.
    fn decode(text: &[u8], session: u32) -> Option<Self> {
        let content = STANDARD_NO_PAD.decode(text).ok()?;
        let (content, checksum) = content.split_last_chunk::<SUM>()?;
        if sum(session, content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (kind, rest) = content.split_first()?;
        match kind {
            b'd' => {
                let (number, bytes) = rest.split_first_chunk::<NUMBER>()?;
                let fits = !bytes.is_empty() && bytes.len() <= MAX_DATA;
                let number = u32::from_le_bytes(*number);
                fits.then(|| Self::Data { number, bytes: bytes.to_vec() })
            }
            b'w' => Missing::decode(rest).map(Self::Want),
            b'a' => Missing::decode(rest).map(Self::Ask),
            _ => None,
        }
    }
}

impl Missing {
    fn encode(self, kind: u8, content: &mut Vec<u8>) {
        content.push(kind);
        content.extend_from_slice(&self.from.to_le_bytes());
        content.extend_from_slice(&self.to.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (from, rest) = bytes.split_first_chunk::<NUMBER>()?;
        let to = <[u8; NUMBER]>::try_from(rest).ok()?;
        Some(Self { from: u32::from_le_bytes(*from), to: u32::from_le_bytes(to) })
    }
}

fn sum(session: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(session);
    hasher.update(content);
    hasher.finalize()
}

/// Finds lines among what a console shows.
#[derive(Debug)]
pub struct Scanner {
    session: u32,
    /// The line that has not ended.
    rest: Vec<u8>,
    /// A part of that line was shown already.
    begun: bool,
    /// Lines that had a mark and were damaged.
    damaged: u64,
}

impl Scanner {
    /// Looks for lines of this session.
    #[must_use]
    pub fn new(session: u32) -> Self {
        Self { session, rest: Vec::new(), begun: false, damaged: 0 }
    }

    /// The number of lines so far that had a mark and could not be read.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Takes bytes of the console. Lines go to `line`, everything else to `text`.
    pub fn scan(&mut self, bytes: &[u8], mut line: impl FnMut(Line), mut text: impl FnMut(&[u8])) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            let ends = part.ends_with(b"\n");
            let mark = rfind(&self.rest, MARK.as_bytes());
            match mark {
                Some(at) if ends => {
                    let whole = std::mem::take(&mut self.rest);
                    self.read(&whole, at, &mut line, &mut text);
                    self.begun = false;
                }
                // It may be all noise.
                Some(at) if self.rest.len() - at <= MAX_LINE + 1 => {}
                Some(_) => {
                    self.damaged += 1;
                    text(&std::mem::take(&mut self.rest));
                }
                None if ends => {
                    // Between two lines is an empty one.
                    if self.begun || self.rest != b"\n" {
                        text(&self.rest);
                    }
                    self.rest.clear();
                    self.begun = false;
                }
                None => {
                    // All but what may be the beginning of a mark.
                    let keep = (0..MARK.len()).rev();
                    let is_start =
                        |length: &usize| self.rest.ends_with(&MARK.as_bytes()[..*length]);
                    let keep = keep.into_iter().find(is_start).unwrap_or_default();
                    let shown = self.rest.len() - keep;
                    if shown > 0 {
                        text(&self.rest[..shown]);
                        self.rest.drain(..shown);
                        self.begun = true;
                    }
                }
            }
        }
    }

    /// Reads a line of the console with a mark at `at`. The kernel may have printed before or
    /// behind what the mark begins.
    fn read(
        &mut self,
        whole: &[u8],
        at: usize,
        line: &mut impl FnMut(Line),
        text: &mut impl FnMut(&[u8]),
    ) {
        let (before, marked) = whole.split_at(at);
        let encoded = &marked[MARK.len()..];
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let length = encoded.iter().take_while(|byte| is_base64(byte)).count();
        let (encoded, behind) = encoded.split_at(length);
        // An earlier mark in it begins a line that was cut off.
        let cut = rfind(before, MARK.as_bytes()).is_some();
        self.damaged += u64::from(cut);
        if !before.is_empty() || self.begun {
            text(before);
            text(b"\n");
        }
        match Line::decode(encoded, self.session) {
            Some(found) => line(found),
            None => {
                self.damaged += 1;
                text(encoded);
                text(b"\n");
            }
        }
        if !behind.iter().all(u8::is_ascii_whitespace) {
            text(behind);
        }
    }
}

/// The place of the last `needle`.
fn rfind(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).rposition(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const SESSION: u32 = 0x1234_5678;

    fn data(number: u32, bytes: &[u8]) -> Line {
        Line::Data { number, bytes: bytes.to_vec() }
    }

    /// The lines and the text of a console that comes in pieces of this length.
    fn scan(bytes: &[u8], piece: usize) -> (Vec<Line>, String) {
        let (mut lines, mut shown) = (Vec::new(), Vec::new());
        let mut scanner = Scanner::new(SESSION);
        for piece in bytes.chunks(piece) {
            scanner.scan(piece, |line| lines.push(line), |text| shown.extend_from_slice(text));
        }
        (lines, String::from_utf8(shown).unwrap())
    }

    #[rstest]
    fn lines_are_found_among_messages_of_the_kernel_however_they_arrive(
        #[values(1, 2, 7, 100, 10_000)] piece: usize,
    ) {
        let lines = [
            data(0, b"x"),
            Line::Want(Missing { from: 1, to: u32::MAX }),
            data(1, &[0xff; MAX_DATA]),
            Line::Ask(Missing { from: 3, to: 9 }),
        ];
        let mut console = b"[    0.1] boot <%\r\n\r\n[  0.2] unfinished".to_vec();
        for line in &lines {
            console.extend(line.encode(SESSION));
            console.extend(b"[    1.0] message\r\n");
        }
        let (found, text) = scan(&console, piece);
        assert_eq!(found, lines);
        let message = "[    1.0] message\r\n".repeat(4);
        assert_eq!(text, format!("[    0.1] boot <%\r\n\r\n[  0.2] unfinished\n{message}"));
    }

    #[test]
    fn a_line_is_printable_and_no_longer_than_the_longest() {
        let line = data(u32::MAX, &[0x1b; MAX_DATA]).encode(SESSION);
        assert_eq!(line.len(), MAX_LINE + 2);
        assert!(line[1..MAX_LINE + 1].iter().all(u8::is_ascii_graphic));
    }

    #[rstest]
    #[case::into_a_line(20, "[ 1.0] Kernel panic\r\n")]
    #[case::behind_the_data(usize::MAX, "[ 1.0] Kernel panic\r\n")]
    fn a_message_that_the_kernel_prints_into_a_line_is_shown_from_its_beginning(
        #[case] at: usize,
        #[case] message: &str,
    ) {
        let mut console = data(0, b"some data of an agent").encode(SESSION);
        let at = at.min(console.len() - 1);
        let tail = console.split_off(at);
        console.extend(message.bytes());
        console.extend(tail);
        console.extend(data(1, b"more").encode(SESSION));
        let (found, text) = scan(&console, 5);
        assert_eq!(found.last(), Some(&data(1, b"more")));
        assert!(text.split_inclusive('\n').any(|line| line == message), "{text}");
    }

    #[test]
    fn a_console_without_lines_is_shown_at_once() {
        let mut shown = Vec::new();
        Scanner::new(1).scan(b"login: <", |_| panic!(), |text| shown.extend_from_slice(text));
        assert_eq!(shown, b"login: ");
    }

    #[test]
    fn a_line_of_another_session_is_text() {
        let mut scanner = Scanner::new(SESSION + 1);
        scanner.scan(&data(0, b"old").encode(SESSION), |line| panic!("{line:?}"), |_| {});
        assert_eq!(scanner.damaged(), 1);
    }

    proptest! {
        #[test]
        fn damage_anywhere_never_makes_another_line(
            bytes in proptest::collection::vec(any::<u8>(), 1..40),
            at in any::<prop::sample::Index>(),
            damage in proptest::collection::vec(any::<u8>(), 0..6),
            lost in 0usize..6,
        ) {
            let sent = [data(7, &bytes), data(8, b"next"), data(9, b"last")];
            let mut console: Vec<u8> =
                sent.iter().flat_map(|line| line.encode(SESSION)).collect();
            let at = at.index(console.len());
            let end = (at + lost).min(console.len());
            console.splice(at..end, damage);
            let mut found = Vec::new();
            Scanner::new(SESSION).scan(&console, |line| found.push(line), |_| {});
            prop_assert!(found.iter().all(|line| sent.contains(line)), "{:?}", found);
            // Damage of so few bytes ends with the line that follows.
            prop_assert!(found.len() + 2 >= sent.len(), "{:?}", found);
        }

        #[test]
        fn a_hostile_console_never_panics(text in "(<%:|[A-Za-z0-9+/]{0,8}|\n|.){0,60}") {
            let bytes = text.as_bytes();
            Scanner::new(0).scan(bytes, |_| {}, |_| {});
        }
    }
}
