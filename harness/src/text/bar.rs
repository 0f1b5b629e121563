//! A progress bar on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Text, eprint, is_stderr_a_terminal};

/// A progress bar with a message behind it.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar without a length, if standard error is a terminal.
    pub(crate) fn on_terminal() -> Option<Self> {
        is_stderr_a_terminal().then(|| {
            let bar = ProgressBar::new(0);
            // A line that wraps cannot be cleared, so the message ends where the terminal does.
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {bar:16} {pos}/{len} cells {wide_msg}")
            {
                bar.set_style(style);
            }
            // So that the spinner turns while a kernel boots.
            bar.enable_steady_tick(Duration::from_millis(200));
            Self(bar)
        })
    }

    /// Starts again at 0, with this length.
    pub(crate) fn restart(&self, length: usize) {
        self.0.reset();
        self.0.set_length(length as u64);
    }

    /// Moves on by one.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// Shows a line behind the bar. There may be another run after one that has ended.
    #[expect(clippy::disallowed_methods, reason = "the line is a `Text`")]
    pub(crate) fn show(&self, line: &Text) {
        if self.0.is_finished() {
            self.0.reset();
        }
        self.0.set_message(line.plain().trim_end().to_owned());
    }

    /// Prints a text that stays above the bar.
    #[expect(clippy::disallowed_methods, reason = "the text is a `Text`")]
    pub(crate) fn print_above(&self, text: &Text) {
        self.0.suspend(|| eprint(text));
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
