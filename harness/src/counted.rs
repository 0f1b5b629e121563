//! Pluralises counts.

/// Formats a count with its noun: `1 cell`, `2 cells`.
#[must_use]
pub(crate) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
