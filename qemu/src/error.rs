//! Errors of starting a virtual machine.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::Accel;

/// All the ways a virtual machine can fail to start. The text fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file of that name exists, or none on the search path.
    #[error("start QEMU: no program `{}`", .path.display())]
    NoProgram {
        /// The program, as in [`crate::Machine::qemu`].
        path: PathBuf,
    },
    /// The file exists but may not be executed.
    #[error("start QEMU: no permission to execute `{}`", .path.display())]
    NotExecutable {
        /// The program, as in [`crate::Machine::qemu`].
        path: PathBuf,
    },
    /// Executing the program failed for another reason (wrong architecture, no memory).
    #[error("execute `{}`", .path.display())]
    Spawn {
        /// The program, as in [`crate::Machine::qemu`].
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// QEMU refuses the kernel image.
    #[error("boot `{}`: {}", .kernel.display(), words(.said))]
    KernelRejected {
        /// The kernel image.
        kernel: PathBuf,
        /// Its standard error.
        said: String,
    },
    /// QEMU cannot use the accelerator.
    #[error("use the accelerator {accel}: {}", words(.said))]
    NoAccelerator {
        /// The accelerator asked for.
        accel: Accel,
        /// QEMU's exit status.
        status: ExitStatus,
        /// Its standard error.
        said: String,
    },
    /// QEMU ended before the guest's first instruction.
    #[error("start QEMU (`{}`, {status}): {}", .path.display(), words(.said))]
    EndedAtOnce {
        /// The program, as in [`crate::Machine::qemu`].
        path: PathBuf,
        /// QEMU's exit status.
        status: ExitStatus,
        /// Its standard error.
        said: String,
    },
    /// QEMU runs but does not answer on its control channel.
    #[error("start QEMU: `{}` gave no answer for {} s", .path.display(), .waited.as_secs())]
    NoAnswer {
        /// The program, as in [`crate::Machine::qemu`].
        path: PathBuf,
        /// The time limit that it exceeded.
        waited: Duration,
    },
    /// A preparation of this process failed.
    #[error("{what} for a virtual machine")]
    Setup {
        /// The preparation, as in "create a socket pair".
        what: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// QEMU's message without the program name in front, or a note that there was no message.
fn words(said: &str) -> &str {
    let said = said.trim();
    let said = match said.split_once(": ") {
        Some((program, rest)) if program.starts_with("qemu") && !program.contains(' ') => rest,
        _ => said,
    };
    if said.is_empty() { "it said nothing" } else { said }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("qemu-system-x86_64: -M x: no such machine\n", "-M x: no such machine")]
    #[case("could not open disk: gone", "could not open disk: gone")]
    #[case(" \n", "it said nothing")]
    fn the_words_of_qemu_are_shown_without_its_name(#[case] said: &str, #[case] shown: &str) {
        assert_eq!(super::words(said), shown);
    }
}
