//! A listener for programs without a progress display.

use super::Listener;
use crate::record::Event;
use crate::text::eprint_line;

/// Prints each line to standard error as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainListener {
    /// Leaves out what the engine does now.
    pub quiet: bool,
}

impl Listener for PlainListener {
    fn say(&self, text: &str) {
        if !self.quiet {
            eprint_line!("{text}");
        }
    }

    fn note(&self, text: &str) {
        eprint_line!("{text}");
    }

    fn event(&self, _event: &Event) {}
}
