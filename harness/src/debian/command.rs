//! Runs apt's programs and reports their failures.

use std::io;
use std::process::{Command, Output, Stdio};

use crate::cache::CacheError;
use crate::host::DEBIAN_KEYRING;

/// A failure of apt.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The host does not have apt.
    #[error(
        "run {program}: it is not installed; Debian's kernels are fetched with apt, \
         so on this host give --kernel FILE, or a source tree of your own"
    )]
    Missing {
        /// Name of the program.
        program: String,
    },
    /// The program cannot be started.
    #[error("run {program}")]
    Start {
        /// Name of the program.
        program: String,
        /// The system's error.
        source: io::Error,
    },
    /// The program failed.
    #[error("run {command}: {words}")]
    Failed {
        /// The command line.
        command: String,
        /// The program's error messages.
        words: String,
    },
    /// No keys to verify signatures with.
    #[error(
        "verify Debian's signatures: {DEBIAN_KEYRING} does not exist; \
         install debian-archive-keyring"
    )]
    NoKeyring,
    /// The host's apt has no Debian archive.
    #[error(
        "find a Debian mirror: apt on this host has none configured \
         (see /etc/apt/sources.list and /etc/apt/sources.list.d)"
    )]
    NoMirror,
    /// The cache directory failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Runs a command and returns its standard output.
pub(super) fn run(command: &mut Command) -> Result<String, AptError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output();
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => AptError::Missing { program: program.clone() },
        _ => AptError::Start { program, source },
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let mut line = vec![command.get_program().to_string_lossy()];
    line.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    Err(AptError::Failed { command: line.join(" "), words: error_messages(&output) })
}

/// apt's errors, else its warnings, else its last line.
fn error_messages(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let with = |mark: &str| {
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(mark)).collect();
        Some(lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; "))
            .filter(|words| !words.is_empty())
    };
    with("E:")
        .or_else(|| with("W:"))
        .or_else(|| text.lines().rfind(|line| !line.trim().is_empty()).map(str::to_owned))
        .unwrap_or_else(|| output.status.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Reading...\nW: careful\nE: first\nE: second\n", "first; second")]
    #[case("W: careful\n", "careful")]
    #[case("gone wrong\n\n", "gone wrong")]
    #[case("", "exit status: 1")]
    fn a_failure_is_reported_with_the_messages_of_apt(#[case] stderr: &str, #[case] words: &str) {
        let stderr = stderr.as_bytes().to_vec();
        let output = Output { status: ExitStatus::from_raw(1 << 8), stdout: Vec::new(), stderr };
        assert_eq!(error_messages(&output), words);
    }

    #[test]
    fn the_error_on_a_host_without_apt_suggests_a_file() {
        let error = run(&mut Command::new("perfsec-no-such-apt")).unwrap_err();
        assert!(error.to_string().contains("--kernel FILE"), "{error}");
    }
}
