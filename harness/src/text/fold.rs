//! Breaks long lines between words, for a terminal that would break them within.

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Marks at the start of lines that are compared, copied or aligned: of diffs and consoles.
const VERBATIM: [char; 4] = ['-', '+', '|', '^'];

/// Further indentation of what does not fit into the line.
const HANGING: &str = "  ";

/// Wraps lines of prose at `width` columns; a longer word stays whole. So do lines of diffs,
/// consoles and tables: their columns mean something, and people copy them.
pub(super) fn folded(ansi: &str, width: usize) -> String {
    ansi.split_inclusive('\n').map(|line| folded_line(line, width)).collect()
}

fn folded_line(line: &str, width: usize) -> String {
    let words = line.trim_start_matches(' ');
    let plain = anstream::adapter::strip_str(words).to_string();
    let is_verbatim = plain.starts_with(VERBATIM) || plain.trim_end().contains("  ");
    if display_width(line.trim_end_matches('\n')) <= width || is_verbatim {
        return line.to_owned();
    }
    let indent = &line[..line.len() - words.len()];
    let hanging = format!("{indent}{HANGING}");
    let options = Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(&hanging)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    let (words, end) = words.strip_suffix('\n').map_or((words, ""), |words| (words, "\n"));
    textwrap::wrap(words, options).join("\n") + end
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::fits("one two\n", "one two\n")]
    #[case::prose("note: one two three\n", "note: one\n  two three\n")]
    #[case::indented("  note: one two\n", "  note: one\n    two\n")]
    #[case::long_word("a/name/that/is/long and\n", "a/name/that/is/long\n  and\n")]
    #[case::last_line("note: one two three", "note: one\n  two three")]
    #[case::styled("\u{1b}[31mFAIL\u{1b}[0m one\n", "\u{1b}[31mFAIL\u{1b}[0m one\n")]
    #[case::diff("  -avc denied { open }\n", "  -avc denied { open }\n")]
    #[case::console("  | [ 2.02] Call Trace:\n", "  | [ 2.02] Call Trace:\n")]
    #[case::table("PASS  12  of 14\n", "PASS  12  of 14\n")]
    fn only_prose_is_broken_and_only_between_words(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(folded(text, 12), expected);
    }
}
