//! Lines on a machine's console that no kernel printed: of its firmware or of a management
//! controller. Some look like a kernel's last words.

use std::borrow::Cow;
use std::str::FromStr;

use regex::Regex;

use crate::console::printable;

/// Longest line that is compared, in bytes. The rest of a longer one goes where its beginning goes.
const LONGEST_LINE: usize = 4096;

/// A regular expression that lines of a console may match.
#[derive(Clone, Debug)]
pub struct LinePattern(Regex);

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinePatternError {
    /// Not a regular expression.
    #[error("`{pattern}` is not a regular expression: {reason}")]
    Syntax {
        /// As it was written.
        pattern: String,
        /// The fault.
        reason: String,
    },
    /// It matches an empty line, as one does that matches every line.
    #[error("`{0}` matches an empty line, and so perhaps every line")]
    Empty(String),
}

impl FromStr for LinePattern {
    type Err = LinePatternError;

    fn from_str(pattern: &str) -> Result<Self, LinePatternError> {
        let parsed = Regex::new(pattern).map_err(|error| {
            // Behind the pattern with a mark at the place.
            let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
            let reason = reason.trim_start_matches("error: ").to_owned();
            LinePatternError::Syntax { pattern: pattern.to_owned(), reason }
        })?;
        match parsed.is_match("") {
            true => Err(LinePatternError::Empty(pattern.to_owned())),
            false => Ok(Self(parsed)),
        }
    }
}

impl PartialEq for LinePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for LinePattern {}

/// Takes lines that match a pattern out of a console.
#[derive(Debug, Default)]
pub(super) struct Noise {
    patterns: Vec<LinePattern>,
    /// The beginning of a line that has not ended.
    held: Vec<u8>,
    /// A line that was in part returned or dropped: true if it is noise.
    rest: Option<bool>,
}

impl Noise {
    pub(super) fn new(patterns: Vec<LinePattern>) -> Self {
        Self { patterns, ..Self::default() }
    }

    /// Takes a piece of the console. Returns the lines that have ended and match no pattern.
    pub(super) fn strip<'a>(&mut self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if self.patterns.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut kept = Vec::new();
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(part);
            let is_end = part.ends_with(b"\n");
            // The last words of a kernel have no newline: "Rebooting in 10 seconds..".
            let is_enough = is_end || self.held.ends_with(b"..") || self.held.len() >= LONGEST_LINE;
            if is_enough || self.rest.is_some() {
                kept.append(&mut self.decide());
            }
            if is_end {
                self.rest = None;
            }
        }
        Cow::Owned(kept)
    }

    /// The beginning of a line that never ends, unless it matches a pattern: the console is gone.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        if self.held.is_empty() { Vec::new() } else { self.decide() }
    }

    /// Takes what is held of a line. Returns nothing of noise.
    fn decide(&mut self) -> Vec<u8> {
        let is_noise = self.rest.unwrap_or_else(|| self.is_noise());
        self.rest = Some(is_noise);
        let line = std::mem::take(&mut self.held);
        if is_noise { Vec::new() } else { line }
    }

    fn is_noise(&self) -> bool {
        let text = String::from_utf8_lossy(&self.held);
        let line = printable(&text);
        self.patterns.iter().any(|LinePattern(pattern)| pattern.is_match(&line))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const BMC: &str = "\x1b[1m<BMC> Kernel panic - not syncing: fan 3\x1b[0m\r\n";
    const PANIC: &str = "[ 1.0] Kernel panic - not syncing: BMC> lost\r\n";

    #[rstest]
    #[case::lines(&["a\r\n", BMC, PANIC], &["a\r\n", PANIC])]
    #[case::last_words(&[BMC, "Rebooting in 10 seconds.."], &["Rebooting in 10 seconds.."])]
    #[case::rest_of_words(&["Rebooting..", BMC], &["Rebooting..", BMC])]
    #[case::long_noise(&["<BMC> ", &"x".repeat(3 * LONGEST_LINE), "\n", "b\n"], &["b\n"])]
    #[case::long_line(&[&"x".repeat(3 * LONGEST_LINE), "<BMC> \n", BMC],
        &[&"x".repeat(3 * LONGEST_LINE), "<BMC> \n"])]
    fn lines_that_match_are_taken_out_whole(#[case] console: &[&str], #[case] kept: &[&str]) {
        let console = console.concat();
        for size in [1, 7, 100_000] {
            let mut noise = Noise::new(vec!["^<BMC> ".parse().unwrap()]);
            let pieces = console.as_bytes().chunks(size);
            let got: Vec<u8> = pieces.flat_map(|piece| noise.strip(piece).into_owned()).collect();
            assert_eq!(String::from_utf8(got).unwrap(), kept.concat(), "{size}");
        }
    }

    #[rstest]
    #[case("[ 1.0] Kernel panic - not sync", "[ 1.0] Kernel panic - not sync")]
    #[case("<BMC> Kernel panic - not sync", "")]
    #[case("<BMC> a\n", "")]
    fn the_beginning_of_a_line_is_there_when_the_console_ends(
        #[case] console: &str,
        #[case] kept: &str,
    ) {
        let mut noise = Noise::new(vec!["^<BMC> ".parse().unwrap()]);
        assert_eq!(*noise.strip(console.as_bytes()), *b"");
        assert_eq!(noise.finish(), kept.as_bytes());
    }

    #[test]
    fn without_patterns_nothing_waits_for_the_end_of_its_line() {
        assert_eq!(*Noise::new(Vec::new()).strip(b"login: "), *b"login: ");
    }

    #[rstest]
    #[case("(", "`(` is not a regular expression: unclosed group")]
    #[case("", "matches an empty line")]
    #[case(".*", "matches an empty line")]
    fn a_pattern_is_a_regular_expression_for_some_lines(
        #[case] pattern: &str,
        #[case] words: &str,
    ) {
        let error = pattern.parse::<LinePattern>().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
