//! Line numbers and spans in a text.

use std::ops::Range;

/// The number of the line at `offset`, from 1.
pub(crate) fn line_number(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The span of a line, without its indent; `line` counts from 1.
pub(crate) fn line_span(text: &str, line: usize) -> Range<usize> {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let indent = content.len() - content.trim_start().len();
            return start + indent.min(content.trim_end().len())..start + content.trim_end().len();
        }
        start += content.len();
    }
    text.len()..text.len()
}

/// The number of the first line of the contents of a string that starts at `offset`: those of a
/// multi-line string begin on the line after its quotes.
pub(crate) fn first_line(text: &str, offset: usize) -> usize {
    let raw = &text[offset..];
    let skipped = raw.starts_with("'''\n") || raw.starts_with("\"\"\"\n");
    line_number(text, offset) + usize::from(skipped)
}
