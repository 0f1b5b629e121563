//! Wraps prose. The one place that knows how: reports, explanations and the reference of steps use
//! it.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use crate::text::Text;

/// Columns that a mail shows without breaking the line.
pub(crate) const MAIL_WIDTH: usize = 78;

/// How perfsec wraps: at blanks only, never at a hyphen, so that a name can be copied. A word that
/// is wider than `width` has a line of its own; set `break_words` where lines may not be wider.
pub(crate) fn options<'a>(width: usize) -> Options<'a> {
    Options::new(width)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit)
}

/// The lines of a text. Newlines and repeated blanks in it count as one blank; an empty text has no
/// line.
pub(crate) fn lines(text: &str, options: Options<'_>) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() {
        return Vec::new();
    }
    textwrap::wrap(&words.join(" "), options).into_iter().map(|line| line.into_owned()).collect()
}

/// Writes a text, wrapped to the width of a mail, `indent` columns right of the margin.
pub(crate) fn paragraph(out: &mut Text, indent: usize, text: &str) {
    let pad = " ".repeat(indent);
    let options = options(MAIL_WIDTH).initial_indent(&pad).subsequent_indent(&pad);
    for line in lines(text, options) {
        out.line(line);
    }
}

/// Removes the links from a doc comment: ``[`Fail`](Self::Fail)`` is `` `Fail` ``.
pub(crate) fn unlinked(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("[`") {
        let Some((name, after)) = after.split_once("`]") else { break };
        out.push_str(before);
        out.push_str(&format!("`{name}`"));
        rest = match after.strip_prefix('(').and_then(|after| after.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("a b c", 3, &["a b", "c"])]
    #[case("a \n b", 9, &["a b"])]
    #[case("longer than", 3, &["longer", "than"])]
    #[case("a well-known name", 7, &["a", "well-known", "name"])]
    #[case(" ", 3, &[])]
    fn text_is_broken_at_blanks(
        #[case] text: &str,
        #[case] width: usize,
        #[case] wrapped: &[&str],
    ) {
        assert_eq!(lines(text, options(width)), wrapped);
    }

    #[test]
    fn a_paragraph_is_as_wide_as_a_mail_with_its_indent() {
        let mut out = Text::new();
        paragraph(&mut out, 4, &"word ".repeat(20));
        let out = out.plain();
        assert!(out.lines().all(|line| line.starts_with("    word") && line.len() <= MAIL_WIDTH));
        assert_eq!(out.lines().count(), 2);
    }

    #[rstest]
    #[case("by [`Fail`](Self::Fail).", "by `Fail`.")]
    #[case("[`FORMAT`]", "`FORMAT`")]
    #[case("a [`b", "a [`b")]
    #[case("none", "none")]
    fn a_description_has_no_links(#[case] text: &str, #[case] plain: &str) {
        assert_eq!(unlinked(text), plain);
    }
}
