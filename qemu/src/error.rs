//! Errors of starting and saving a virtual machine.

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
    /// QEMU cannot continue the saved state: it is damaged, of another machine or of another QEMU,
    /// or loading it takes too long. The machine may well boot.
    #[error("restore a saved guest: {}", words(.said))]
    NotRestored {
        /// QEMU's words on its control channel and its standard error.
        said: String,
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

/// All the ways saving a guest's state can fail. The text fits after "failed to". The guest goes on
/// unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// QEMU cannot save this machine.
    #[error("save the guest's state: {said}")]
    Refused {
        /// Its own words.
        said: String,
    },
    /// The caller's writer failed.
    #[error("write the guest's state")]
    Write(#[source] io::Error),
    /// QEMU took too long.
    #[error("save the guest's state within {} s", crate::migration::LIMIT.as_secs())]
    TimedOut,
    /// The machine ended before its state was saved.
    #[error("save the guest's state: the machine has ended")]
    Ended,
    /// The guest could not be continued, so the machine was ended.
    #[error("continue the guest after saving its state: {said}")]
    Stuck {
        /// QEMU's own words.
        said: String,
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
