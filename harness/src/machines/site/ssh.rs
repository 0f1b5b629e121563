//! The machine's own system, over the system's `ssh` and the user's configuration of it.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::command::{CommandError, run};
use super::file::Site;

/// Options that every connection needs: no question to a user, and a connection that is lost ends.
const OPTIONS: [&str; 8] = [
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",
    "-o",
    "ServerAliveCountMax=3",
];

/// Time limit of a command that only looks.
pub(super) const LOOK: Duration = Duration::from_secs(30);
/// Time limit of a transfer.
pub(super) const TRANSFER: Duration = Duration::from_secs(600);

/// Runs a command of the machine's shell, with this standard input. Returns its standard output.
pub(super) fn ssh(
    site: &Site,
    command: &str,
    input: Option<&[u8]>,
    limit: Duration,
) -> Result<Vec<u8>, CommandError> {
    let mut program = Command::new(&site.program);
    program.args(OPTIONS).args(&site.ssh).arg("--").arg(command);
    let shown = format!("ssh {} …", site.ssh.join(" "));
    let stdin = match input {
        None => Stdio::null(),
        Some(bytes) => {
            let start = |source| CommandError::Start { command: shown.clone(), source };
            in_file(bytes).map_err(start)?.into()
        }
    };
    run(program, stdin, &shown, limit)
}

/// A file without a name, at its start.
fn in_file(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
