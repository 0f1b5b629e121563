//! The text itself.

use std::fmt;

use anstyle::Style;

use super::hidden;

/// Text for people, and for programs that read lines.
///
/// It holds visible characters, the newlines of its own methods, the newlines and tabs of blocks,
/// and the styles that it was given as styles. Everything else is written out: `\u{1b}`. Nothing
/// else can be put into it, so whoever takes a `Text` can print it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// With SGR sequences.
    ansi: String,
}

impl Text {
    /// An empty text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A text of one line.
    #[must_use]
    pub fn of_line(words: impl fmt::Display) -> Self {
        let mut text = Self::new();
        text.line(words);
        text
    }

    /// A text of several lines, as by [`Text::block`].
    #[must_use]
    pub fn of_block(lines: impl fmt::Display) -> Self {
        let mut text = Self::new();
        text.block(lines);
        text
    }

    /// Adds a piece of a line. A newline in it is written out, too.
    pub fn span(&mut self, words: impl fmt::Display) -> &mut Self {
        hidden::write(&mut self.ansi, words, |_| false);
        self
    }

    /// Adds a piece of a line in a style.
    pub fn paint(&mut self, style: Style, words: impl fmt::Display) -> &mut Self {
        self.ansi.push_str(&style.render().to_string());
        self.span(words);
        self.ansi.push_str(&style.render_reset().to_string());
        self
    }

    /// Ends the line.
    pub fn end(&mut self) -> &mut Self {
        self.ansi.push('\n');
        self
    }

    /// Adds a piece and ends the line.
    pub fn line(&mut self, words: impl fmt::Display) -> &mut Self {
        self.span(words).end()
    }

    /// Adds lines whose newlines and tabs stay: for whole documents, and for text in which a
    /// newline forges nothing.
    pub fn block(&mut self, lines: impl fmt::Display) -> &mut Self {
        hidden::write(&mut self.ansi, lines, |c| matches!(c, '\n' | '\t'));
        self
    }

    /// Adds another text.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.ansi.push_str(&other.ansi);
        self
    }

    /// Adds the lines of another text, each with this prefix.
    pub fn append_with_prefix(&mut self, prefix: &str, other: &Self) -> &mut Self {
        for line in other.ansi.lines() {
            self.span(prefix);
            self.ansi.push_str(line);
            self.end();
        }
        self
    }

    /// Removes empty lines from the end.
    pub fn trim_end(&mut self) -> &mut Self {
        let end = self.ansi.trim_end_matches('\n').len();
        self.ansi.truncate(end);
        if end > 0 { self.end() } else { self }
    }

    /// True if nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ansi.is_empty()
    }

    /// The text without styles.
    #[must_use]
    pub fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.ansi).to_string()
    }

    /// The text with its styles as SGR sequences.
    #[must_use]
    pub fn ansi(&self) -> &str {
        &self.ansi
    }
}

impl FromIterator<Text> for Text {
    fn from_iter<I: IntoIterator<Item = Text>>(texts: I) -> Self {
        texts.into_iter().fold(Self::new(), |mut all, text| {
            all.append(&text);
            all
        })
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;
    use proptest::prelude::*;

    use super::super::is_hidden;
    use super::*;

    const RED: Style = AnsiColor::Red.on_default();

    #[test]
    fn only_a_style_makes_an_escape_sequence() {
        let mut text = Text::new();
        text.paint(RED, "bad\u{1b}[32m").line(": a\nb");
        assert_eq!(text.ansi(), "\u{1b}[31mbad\\u{1b}[32m\u{1b}[0m: a\\nb\n");
        assert_eq!(text.plain(), "bad\\u{1b}[32m: a\\nb\n");
    }

    #[test]
    fn a_block_keeps_its_lines_and_tabs_and_no_carriage_return() {
        assert_eq!(Text::of_block("a\n\tb\r\n").plain(), "a\n\tb\\r\n");
    }

    #[test]
    fn every_line_of_an_appended_text_has_the_prefix() {
        let mut text = Text::new();
        text.append_with_prefix("> ", Text::of_line("a").paint(RED, "b").end());
        assert_eq!(text.plain(), "> a\n> b\n");
    }

    #[test]
    fn a_trimmed_text_ends_with_its_last_line() {
        assert_eq!(Text::of_block("a\n\n\n").trim_end().plain(), "a\n");
        assert_eq!(Text::of_block("\n").trim_end().plain(), "");
    }

    proptest! {
        #[test]
        fn no_hidden_character_of_a_source_stays(words in any::<String>()) {
            let mut text = Text::new();
            text.span(&words).paint(RED, &words).line(&words).block(&words);
            let plain = text.plain();
            prop_assert!(!plain.contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
            let lines = 1 + words.matches('\n').count();
            prop_assert_eq!(plain.matches('\n').count(), lines);
        }
    }
}
