//! Paragraphs of an explanation.

use std::fmt::Write as _;

use crate::prose::{MAIL_WIDTH, lines, options};

/// Writes a text with this indent in columns, and two columns more from the second line on.
pub(super) fn paragraph(out: &mut String, indent: usize, text: &str) {
    for (number, line) in lines(text, options(MAIL_WIDTH - indent - 2)).iter().enumerate() {
        let indent = if number == 0 { indent } else { indent + 2 };
        let _ = writeln!(out, "{:indent$}{line}", "");
    }
}
