//! The characters that a terminal or a browser acts on or does not display.

use std::fmt::{self, Write};

/// True for a character that must not reach a terminal, a browser or a log as it is.
///
/// These are, with their names in the Unicode Character Database (16.0):
///
/// - the control characters (`General_Category=Cc`): C0 with ESC, BEL, CR and LF, DEL, and C1;
/// - the separators of lines and paragraphs (`Zl`, `Zp`);
/// - `Default_Ignorable_Code_Point`, which has no glyph: the bidirectional controls
///   (`Bidi_Control`), joiners, fillers, variation selectors, tags and the byte order mark;
/// - the interlinear annotation characters;
/// - `Noncharacter_Code_Point`.
pub(crate) fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fdd0}'..='\u{fdef}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => true,
        // The last two characters of every plane are noncharacters.
        c => c.is_control() || u32::from(c) & 0xfffe == 0xfffe,
    }
}

/// A text as one line in which every hidden character is written out (`\u{1b}`, `\n`), for a place
/// that is not a [`Text`](super::Text): a comment of a file, a name, a part of a longer value.
#[must_use]
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    write(&mut out, text, |_| false);
    out
}

/// Adds what `words` formats; every hidden character is written out unless `keep` says otherwise.
pub(super) fn write(out: &mut String, words: impl fmt::Display, keep: fn(char) -> bool) {
    // A `String` takes all.
    let _ = write!(Escape { out, keep }, "{words}");
}

struct Escape<'a> {
    out: &'a mut String,
    keep: fn(char) -> bool,
}

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(|c| is_hidden(c) && !(self.keep)(c)) {
            let (shown, tail) = rest.split_at(at);
            self.out.push_str(shown);
            let mut chars = tail.chars();
            self.out.extend(chars.by_ref().take(1).flat_map(char::escape_default));
            rest = chars.as_str();
        }
        self.out.push_str(rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("unchanged: é, 語, \u{fffd}", "unchanged: é, 語, \u{fffd}")]
    #[case("\u{1b}[2J\u{7f}\u{9b}", r"\u{1b}[2J\u{7f}\u{9b}")]
    #[case("a\u{202e}b\u{200b}\u{feff}", r"a\u{202e}b\u{200b}\u{feff}")]
    #[case("\u{ffff}\0", r"\u{ffff}\u{0}")]
    #[case("a\n\tb\r", r"a\n\tb\r")]
    #[case("\u{2066}x\u{2069}\u{fe0f}\u{e0041}", r"\u{2066}x\u{2069}\u{fe0f}\u{e0041}")]
    fn hidden_characters_are_written_out(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(escaped(text), shown);
        // So that text may pass the boundary twice.
        assert_eq!(escaped(shown), shown);
    }
}
