//! Tells code from comments, literals and preprocessor directives, byte by byte.

use std::ops::Range;

/// The part of the language that a byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Code,
    Comment,
    /// A string or a character constant, with its quotes.
    Literal,
    /// A preprocessor line, with its continuation lines.
    Directive,
}

/// The class of each byte of `text`.
pub(crate) fn classify(text: &str) -> Vec<Class> {
    let bytes = text.as_bytes();
    let mut classes = vec![Class::Code; bytes.len()];
    let mut at = 0;
    let mut directive = false;
    let mut line_start = true;
    while at < bytes.len() {
        let here = if directive { Class::Directive } else { Class::Code };
        let (end, class) = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = text[at + 2..].find("*/").map_or(bytes.len(), |n| at + 2 + n + 2);
                (end, Class::Comment)
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                (text[at..].find('\n').map_or(bytes.len(), |n| at + n), Class::Comment)
            }
            quote @ (b'"' | b'\'') if !directive => (literal(bytes, at, quote), Class::Literal),
            b'\\' if directive && bytes.get(at + 1) == Some(&b'\n') => (at + 2, here),
            b'#' if line_start => {
                directive = true;
                (at + 1, Class::Directive)
            }
            b'\n' => {
                directive = false;
                (at + 1, Class::Code)
            }
            _ => (at + 1, here),
        };
        let blank = bytes[at].is_ascii_whitespace() || class == Class::Comment;
        line_start = bytes[at] == b'\n' || (line_start && blank);
        classes[at..end].fill(class);
        at = end;
    }
    classes
}

/// The end of the literal that starts at `start`; an unterminated one ends with its line.
fn literal(bytes: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'\n' {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    at.min(bytes.len())
}

/// Runs of one class.
pub(crate) fn runs(classes: &[Class], class: Class) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in classes.iter().enumerate().filter(|(_, c)| **c == class) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

/// Overwrites `range` with spaces; lines stay lines.
pub(crate) fn blank(bytes: &mut [u8], range: Range<usize>) {
    for byte in &mut bytes[range] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// True for a byte of an identifier.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The identifiers and numbers of `text`, each with its offset.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &text[start..at]))
    })
}

/// True if one of the lines has the word.
pub(crate) fn lists(lines: &[&str], word: &str) -> bool {
    lines.iter().any(|line| line.split(' ').any(|known| known == word))
}

/// `text` on one line, its white space collapsed.
pub(crate) fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_comments_literals_and_directives_are_not_code() {
        let text = "a /* { */ b // {\n\"{\\\"{\" '{'\n # define X { \\\n {\nc {";
        let classes = classify(text);
        let code: String =
            text.char_indices().filter(|&(i, _)| classes[i] == Class::Code).map(|c| c.1).collect();
        assert_eq!(code.matches('{').count(), 1);
        assert_eq!(collapse(&code), "a b c {");
    }

    #[test]
    fn an_unterminated_literal_or_comment_ends_with_the_text() {
        assert_eq!(classify("\"\\").len(), 2);
        assert_eq!(classify("/* *").len(), 4);
        assert_eq!(classify("'").len(), 1);
    }
}
