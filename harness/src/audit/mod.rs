//! Audit records as people have them: a line of audit.log, of the kernel's log, of the journal.
//!
//! A log is not trusted: it holds what programs call themselves. Every text that is taken from it is made
//! printable here.

mod denial;
mod log;
mod syscall;

pub(crate) use denial::is_name;
pub use denial::{Context, Denial, NotADenial};
pub use log::{Kind, Log};
pub use syscall::{Call, Outcome};

/// The text with every character written out that a terminal or an editor would act on.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        // Besides control characters those that change the direction of what follows.
        let acts = letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if acts {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}
