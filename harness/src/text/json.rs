//! JSON that a terminal can show.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Text, is_hidden};

/// A JSON document, with indentation.
///
/// # Panics
///
/// If a map in the value has keys that are not strings, as no type of perfsec does.
#[must_use]
pub(crate) fn json(value: &impl Serialize) -> Text {
    visible(&serde_json::to_string_pretty(value).expect("string keys only"))
}

/// The same on one line.
#[must_use]
pub(crate) fn json_line(value: &impl Serialize) -> Text {
    visible(&serde_json::to_string(value).expect("string keys only"))
}

/// Escapes hidden characters, most of which JSON allows unescaped. They occur in strings only,
/// where an escape means the same.
fn visible(json: &str) -> Text {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A `String` takes all.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    let mut text = Text::of_block(out);
    text.end();
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_string_is_visible_and_means_the_same(
            value in "(\\PC|[\u{1b}\u{7f}\u{9b}\u{202e}\u{200b}\u{feff}\u{e0041}\u{ffff}\r\n\t])*"
        ) {
            for text in [json(&value), json_line(&value)] {
                let text = text.plain();
                prop_assert!(!text.trim_end().contains(is_hidden), "{:?}", text);
                prop_assert_eq!(&serde_json::from_str::<String>(&text).unwrap(), &value);
            }
        }
    }
}
