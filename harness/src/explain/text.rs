//! Paragraphs of an explanation.

use crate::prose::{MAIL_WIDTH, lines, options};
use crate::text::{Text, line};

/// Writes a text with this indent in columns, and two columns more from the second line on.
pub(super) fn paragraph(out: &mut Text, indent: usize, text: &str) {
    for (number, line) in lines(text, options(MAIL_WIDTH - indent - 2)).iter().enumerate() {
        let indent = if number == 0 { indent } else { indent + 2 };
        line!(out, "{:indent$}{line}", "");
    }
}
