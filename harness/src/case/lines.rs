//! Line numbers and spans in a text.

use std::ops::Range;

/// The number of the line at `offset`, from 1.
pub(crate) fn line_number(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The span of a line, without its indent; `line` counts from 1.
pub(super) fn line_span(text: &str, line: usize) -> Range<usize> {
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
