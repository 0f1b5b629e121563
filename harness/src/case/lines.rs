//! Lines of a text and where they are.

use std::ops::Range;

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

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
