//! Runs the site's commands, with a time limit, and keeps secrets out of what they say.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::process;

/// Longest text of a command in an error, in bytes.
const QUOTED: usize = 400;
/// Shorter values of variables are words that occur by chance.
const SECRET: usize = 4;

/// A command that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("`{command}` does not start: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` took longer than {seconds} s")]
    Overdue { command: String, seconds: u64 },
    #[error("`{command}` failed ({status}){said}")]
    Failed { command: String, status: ExitStatus, said: String },
}

/// Runs a command of `sh`. Returns its standard output.
pub(super) fn shell(text: &str, limit: Duration) -> Result<String, CommandError> {
    shell_with(text, &[], limit)
}

/// The same with more variables in its environment.
pub(super) fn shell_with(
    text: &str,
    variables: &[(&str, String)],
    limit: Duration,
) -> Result<String, CommandError> {
    let mut command = Command::new("sh");
    command.args(["-c", text]).envs(variables.iter().map(|(name, value)| (name, value)));
    let stdout = run(command, Stdio::null(), text, limit)?;
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a program that people know by this text. Returns its standard output.
pub(super) fn run(
    command: Command,
    stdin: Stdio,
    text: &str,
    limit: Duration,
) -> Result<Vec<u8>, CommandError> {
    let text = hidden(text, std::env::vars());
    let (stop, late) = (Interrupt::default(), Interrupt::default());
    let (done, waits) = channel::<()>();
    let timer = {
        let (stop, late) = (stop.clone(), late.clone());
        move || {
            if waits.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                late.raise();
                stop.raise();
            }
        }
    };
    let start = |source| CommandError::Start { command: text.clone(), source };
    thread::Builder::new().name("limit".to_owned()).spawn(timer).map_err(start)?;
    let output = process::output(command, stdin, &stop);
    drop(done);
    if late.is_raised() {
        return Err(CommandError::Overdue { command: text, seconds: limit.as_secs() });
    }
    let output = output.map_err(start)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = match (stderr.trim(), stdout.trim()) {
        ("", said) | (said, _) => hidden(said, std::env::vars()),
    };
    let said = match said.floor_char_boundary(QUOTED) {
        0 => String::new(),
        end => format!(": {}", said[..end].replace('\n', " / ")),
    };
    Err(CommandError::Failed { command: text, status: output.status, said })
}

/// A text without the values of variables that hold secrets.
fn hidden(text: &str, variables: impl Iterator<Item = (String, String)>) -> String {
    const MARKS: [&str; 5] = ["PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL"];
    let is_secret = |(name, value): &(String, String)| {
        value.len() >= SECRET && MARKS.iter().any(|mark| name.to_uppercase().contains(mark))
    };
    let secrets = variables.filter(is_secret);
    secrets.fold(text.to_owned(), |text, (_, value)| text.replace(&value, "***"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_returns_what_it_prints() {
        assert_eq!(shell("echo a; echo b >&2", LIMIT).unwrap(), "a\n");
    }

    #[rstest]
    #[case("echo no route >&2; exit 3", "failed (exit status: 3): no route")]
    #[case("echo one; echo two; false", "failed (exit status: 1): one / two")]
    fn a_failed_command_is_quoted(#[case] text: &str, #[case] words: &str) {
        let error = shell(text, LIMIT).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let error = shell("sleep 600", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, CommandError::Overdue { .. }), "{error}");
    }

    #[test]
    fn secrets_of_the_environment_are_hidden() {
        let variables = [("IPMI_PASSWORD", "hunter22"), ("HOME", "/home/me"), ("KEY", "no")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = hidden("login with hunter22 in /home/me, no", variables.into_iter());
        assert_eq!(text, "login with *** in /home/me, no");
    }
}
