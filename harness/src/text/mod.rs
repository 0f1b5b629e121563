//! Text that leaves perfsec: for a terminal, a log, or a report that is read line by line.
//!
//! Guests, records, archives, mailboxes and command lines are not trusted: a terminal obeys some of
//! their characters, hides others, and a newline forges a line. [`Text`] is the only thing that
//! standard output, standard error and report files take, and all that goes into it is escaped.

mod bar;
mod closed;
mod fold;
mod hidden;
mod json;
mod page;
mod styled;
mod terminal;

pub(crate) use bar::Bar;
pub(crate) use hidden::{escaped, is_hidden};
pub(crate) use json::{json, json_line};
pub(crate) use page::page;
pub use styled::Text;
pub(crate) use terminal::{
    eprint, eprint_raw, is_stderr_a_terminal, print, print_help, print_usage,
};

/// Adds a line to a [`Text`], formatted as by `format!`; without a format, an empty line.
macro_rules! line {
    ($text:expr) => {{
        $text.end();
    }};
    ($text:expr, $($words:tt)+) => {{
        $text.line(format_args!($($words)+));
    }};
}

/// Adds a piece of a line to a [`Text`], formatted as by `format!`.
macro_rules! span {
    ($text:expr, $($words:tt)+) => {{
        $text.span(format_args!($($words)+));
    }};
}

/// Prints a line to standard error, formatted as by `format!`.
macro_rules! eprint_line {
    ($($words:tt)+) => {
        $crate::text::eprint(&$crate::text::Text::of_line(format_args!($($words)+)))
    };
}

pub(crate) use {eprint_line, line, span};
