//! Standard output and standard error. Nothing else in perfsec writes to them.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use nix::errno::Errno;
use terminal_size::{Height, Width, terminal_size_of};

use super::{Text, closed, fold};

/// Writes to standard output. A reader that stops early (`| head`) is not an error.
///
/// # Errors
///
/// If standard output cannot be written, as on a full disk.
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn print(text: &Text) -> io::Result<()> {
    to_stdout(|| {
        let text = fitted(text, terminal_size_of(io::stdout()));
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    })
}

/// Prints the help of a command, which is all perfsec's own, in clap's styles.
///
/// # Errors
///
/// As [`print`].
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn print_help(command: &mut clap::Command) -> io::Result<()> {
    to_stdout(|| command.print_long_help())
}

/// Prints help, or a mistake in a command line that has no hidden characters, in clap's styles.
///
/// # Errors
///
/// As [`print`].
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn print_usage(error: &clap::Error) -> io::Result<()> {
    if error.use_stderr() { error.print() } else { to_stdout(|| error.print()) }
}

fn to_stdout(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if closed::closed_stdout() {
        return Err(Errno::EBADF.into());
    }
    match write() {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes to standard error. If that fails, nobody can be told.
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn eprint(text: &Text) {
    let text = fitted(text, terminal_size_of(io::stderr()));
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}

/// A text as it is written to a terminal of this size, or to something else.
fn fitted(text: &Text, size: Option<(Width, Height)>) -> Cow<'_, str> {
    match size {
        // A terminal that does not know its width says 0.
        Some((Width(width), _)) if width > 0 => fold::folded(text.ansi(), width.into()).into(),
        _ => text.ansi().into(),
    }
}

/// Writes to standard error, below what is there, while the terminal is in raw mode: without a
/// carriage return, a line would begin where the last one ended.
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn eprint_raw(text: &Text) {
    let lines = format!("\r\n{}", text.ansi().replace('\n', "\r\n"));
    let _ = anstream::stderr().lock().write_all(lines.as_bytes());
}

/// True if standard error is a terminal.
#[expect(clippy::disallowed_methods, reason = "asks, and does not print")]
pub(crate) fn is_stderr_a_terminal() -> bool {
    io::stderr().is_terminal()
}
