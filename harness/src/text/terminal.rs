//! Standard output and standard error. Nothing else in perfsec writes to them.

use std::io::{self, IsTerminal as _, Write as _};

use nix::errno::Errno;

use super::{Text, closed};

/// Writes to standard output. A reader that stops early (`| head`) is not an error.
///
/// # Errors
///
/// If standard output cannot be written, as on a full disk.
#[expect(clippy::disallowed_methods, reason = "the one place that prints")]
pub(crate) fn print(text: &Text) -> io::Result<()> {
    to_stdout(|| {
        let mut stdout = anstream::stdout().lock();
        stdout.write_all(text.ansi().as_bytes())?;
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
    let _ = anstream::stderr().lock().write_all(text.ansi().as_bytes());
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
