//! All the ways a virtual machine can fail to start.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::Accel;

/// Why there is no virtual machine. The text fits after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No file of that name, or none of that name on the search path.
    #[error("start QEMU: no program `{}`", .path.display())]
    NoProgram {
        /// The program as it was asked for.
        path: PathBuf,
    },
    /// The file is there, and may not be executed.
    #[error("start QEMU: no permission to execute `{}`", .path.display())]
    NotExecutable {
        /// The program as it was asked for.
        path: PathBuf,
    },
    /// The program could not be executed for any other reason (wrong architecture, no memory).
    #[error("execute `{}`", .path.display())]
    Spawn {
        /// The program as it was asked for.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// QEMU refuses the kernel image.
    #[error("boot `{}`: {}", .kernel.display(), words(.said))]
    KernelRejected {
        /// The kernel image.
        kernel: PathBuf,
        /// QEMU's own words.
        said: String,
    },
    /// QEMU cannot use the accelerator.
    #[error("use the accelerator {accel}: {}", words(.said))]
    NoAccelerator {
        /// The accelerator asked for.
        accel: Accel,
        /// QEMU's own words.
        said: String,
    },
    /// QEMU ended before the guest's first instruction.
    #[error("start QEMU (`{}`, {status}): {}", .path.display(), words(.said))]
    EndedAtOnce {
        /// The program as it was asked for.
        path: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// QEMU's own words.
        said: String,
    },
    /// QEMU runs, and does not answer on its control channel.
    #[error("start QEMU: `{}` gave no answer for {} s", .path.display(), .waited.as_secs())]
    NoAnswer {
        /// The program as it was asked for.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// This side's own preparations failed.
    #[error("{what} for a virtual machine")]
    Setup {
        /// What was being done, as in "create a socket pair".
        what: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
}

/// QEMU's words without the program name it begins each line with, or a word for its silence.
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
