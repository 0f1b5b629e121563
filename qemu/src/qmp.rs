//! The parts of QEMU's control channel (QMP) that this library needs.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::mpsc::Sender;

use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) const LEAVE_NEGOTIATION: &str = r#"{"execute":"qmp_capabilities"}"#;
pub(crate) const QUERY_STATUS: &str = r#"{"execute":"query-status"}"#;
/// The number of the command that [`watch`] gives on its own account. Others count from 1.
const DUMP: u64 = 0;
pub(crate) const QUIT: &str = r#"{"execute":"quit"}"#;

/// One line from QEMU. Unknown fields are ignored: a newer QEMU may add some.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Message {
    Greeting {
        #[serde(rename = "QMP")]
        _greeting: serde::de::IgnoredAny,
    },
    Event {
        event: String,
        #[serde(default)]
        data: EventData,
    },
    Return {
        #[serde(rename = "return")]
        value: Return,
        /// The command's own, so [`watch`] can tell its answers from those for others.
        id: Option<u64>,
    },
    Error {
        error: ErrorData,
        id: Option<u64>,
    },
}

/// A message for whoever gives QEMU numbered commands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The answer to a command: its result, or QEMU's own words.
    Answer(u64, Result<Return, String>),
    /// A MigrationStatus (qapi/migration.json) that was reached.
    Migration(String),
}

impl Message {
    /// True for the answer to this numbered command.
    fn answers(&self, number: u64) -> bool {
        match self {
            Self::Return { id, .. } | Self::Error { id, .. } => *id == Some(number),
            Self::Event { .. } | Self::Greeting { .. } => false,
        }
    }

    pub(crate) fn reply(self) -> Option<Reply> {
        match self {
            Self::Return { value, id } => Some(Reply::Answer(id?, Ok(value))),
            Self::Error { error, id } => Some(Reply::Answer(id?, Err(error.desc))),
            Self::Event { event, data } if event == "MIGRATION" => {
                data.status.map(Reply::Migration)
            }
            Self::Event { .. } | Self::Greeting { .. } => None,
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct EventData {
    /// The ShutdownCause (QEMU's qapi/run-state.json) of a SHUTDOWN event.
    pub(crate) reason: Option<String>,
    /// The MigrationStatus of a MIGRATION event.
    pub(crate) status: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Return {
    /// The RunState (qapi/run-state.json) that `query-status` returns.
    pub(crate) status: Option<String>,
    /// Why a migration failed, from `query-migrate`.
    #[serde(rename = "error-desc")]
    pub(crate) error_desc: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ErrorData {
    pub(crate) desc: String,
}

/// The longest line in bytes. The longest that QEMU sends here, its greeting, has 200.
const LONGEST: u64 = 1 << 20;

/// Reads a line; returns false at the end.
pub(crate) fn read_line(from: &mut impl BufRead, line: &mut String) -> io::Result<bool> {
    line.clear();
    let count = from.take(LONGEST).read_line(line)?;
    if count as u64 == LONGEST && !line.ends_with('\n') {
        let reason = format!("a line on its control channel is longer than {} KiB", LONGEST >> 10);
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(count > 0)
}

pub(crate) fn parse(line: &str) -> Result<Message, serde_json::Error> {
    serde_json::from_str(line)
}

/// Waits until QEMU's main loop answers, which it does only once the machine exists and the kernel
/// image is accepted. Returns `false` if QEMU closed the channel instead.
pub(crate) fn negotiate(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<bool> {
    send(to, LEAVE_NEGOTIATION)?;
    let mut line = String::new();
    while read_line(from, &mut line)? {
        match parse(&line) {
            Ok(Message::Return { .. }) => return Ok(true),
            Ok(Message::Error { error, .. }) => return Err(io::Error::other(error.desc)),
            Ok(Message::Greeting { .. } | Message::Event { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

pub(crate) fn send(to: &mut impl Write, command: &str) -> io::Result<()> {
    to.write_all(format!("{command}\n").as_bytes())
}

/// QEMU's report of the end of its guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EndReport {
    /// The reason in its first SHUTDOWN event.
    pub(crate) shutdown: Option<String>,
    /// The result of writing the guest's memory, if that was tried.
    pub(crate) dump: Option<Result<(), String>>,
    /// The state in which QEMU stopped the guest for good without exiting.
    pub(crate) stuck: Option<String>,
    /// QEMU sent nonsense, and nothing else is known.
    pub(crate) broken: Option<String>,
}

/// Reads events until QEMU closes the channel, and forwards what answers numbered commands.
///
/// When QEMU cannot continue a guest (usually KVM's "internal error: emulation failure"), it only
/// stops it, and the process would stay for ever. So after a STOP this asks for the state, and
/// sends `quit` if the guest cannot go on.
///
/// With a file for the guest's memory, QEMU stays after every end, and this sends `quit`: at once,
/// or after a reset, which is how a kernel that panics ends, when the memory is written.
pub(crate) fn watch(
    from: &mut impl BufRead,
    to: &mut impl Write,
    dump: Option<&Path>,
    replies: &Sender<Reply>,
) -> EndReport {
    let mut seen = EndReport::default();
    let mut line = String::new();
    loop {
        match read_line(from, &mut line) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                seen.broken = Some(error.to_string());
                break;
            }
            // QEMU exits.
            Ok(false) | Err(_) => break,
        }
        let answer = match parse(&line) {
            Ok(Message::Event { event, data }) if event == "SHUTDOWN" => {
                // The second is that of our own `quit`.
                let is_first = seen.shutdown.is_none();
                let reason = seen.shutdown.get_or_insert(data.reason.unwrap_or_default());
                match dump.filter(|_| is_first) {
                    Some(file) if reason == "guest-reset" => Some(dump_command(file)),
                    Some(_) => Some(QUIT.to_owned()),
                    None => None,
                }
            }
            Ok(message) if message.answers(DUMP) => {
                seen.dump = Some(match message {
                    Message::Error { error, .. } => Err(error.desc),
                    _ => Ok(()),
                });
                Some(QUIT.to_owned())
            }
            Ok(Message::Event { event, .. }) if event == "STOP" => Some(QUERY_STATUS.to_owned()),
            Ok(Message::Return { value: Return { status: Some(status), .. }, id: None })
                if is_for_good(&status) =>
            {
                seen.stuck = Some(status);
                Some(QUIT.to_owned())
            }
            Ok(message) => {
                if let Some(reply) = message.reply() {
                    // Nobody listens once the `Vm` is gone.
                    let _ = replies.send(reply);
                }
                None
            }
            Err(_) => None,
        };
        // A failed write means that QEMU is exiting, which the next read notices.
        if let Some(command) = answer {
            let _ = send(to, &command);
        }
    }
    seen
}

fn dump_command(file: &Path) -> String {
    json!({"execute": DUMP_MEMORY, "arguments": dump_arguments(file), "id": DUMP}).to_string()
}

/// The command that writes a guest's memory.
pub(crate) const DUMP_MEMORY: &str = "dump-guest-memory";

/// Its arguments for a file: an ELF core of the physical memory, which crash(8) reads.
pub(crate) fn dump_arguments(file: &Path) -> Value {
    json!({"paging": false, "protocol": format!("file:{}", file.display())})
}

fn is_for_good(status: &str) -> bool {
    matches!(status, "internal-error" | "io-error" | "guest-panicked" | "watchdog")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GREETING: &str = concat!(
        r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "#,
        r#""package": "Debian"}, "capabilities": ["oob"]}}"#
    );
    const OK: &str = r#"{"return": {}}"#;
    const STOP: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}"#;

    fn shutdown(reason: &str) -> String {
        let time = r#"{"seconds": 1, "microseconds": 2}"#;
        let data = format!(r#"{{"guest": true, "reason": "{reason}"}}"#);
        format!(r#"{{"timestamp": {time}, "event": "SHUTDOWN", "data": {data}}}"#)
    }

    fn watched(lines: &[&str]) -> (EndReport, String) {
        let (seen, sent, _) = overheard(lines);
        (seen, sent)
    }

    fn overheard(lines: &[&str]) -> (EndReport, String, Vec<Reply>) {
        let mut sent = Vec::new();
        let (replies, heard) = std::sync::mpsc::channel();
        let seen = watch(&mut lines.join("\r\n").as_bytes(), &mut sent, None, &replies);
        drop(replies);
        (seen, String::from_utf8(sent).expect("commands are text"), heard.iter().collect())
    }

    #[rstest]
    #[case(&[GREETING, OK], true)]
    #[case(&[GREETING, STOP, OK], true)]
    #[case(&[GREETING], false)]
    #[case(&[], false)]
    fn the_machine_exists_when_qemu_answers_the_first_command(
        #[case] lines: &[&str],
        #[case] exists: bool,
    ) {
        let mut sent = Vec::new();
        let answer = negotiate(&mut lines.join("\r\n").as_bytes(), &mut sent);
        assert_eq!(answer.ok(), Some(exists));
        assert_eq!(sent, b"{\"execute\":\"qmp_capabilities\"}\n");
    }

    #[rstest]
    #[case(r#"{"error": {"class": "GenericError", "desc": "no"}}"#)]
    #[case("SSH-2.0-OpenSSH")]
    fn any_other_answer_is_an_error(#[case] line: &str) {
        assert!(negotiate(&mut line.as_bytes(), &mut Vec::new()).is_err());
    }

    #[rstest]
    #[case("guest-shutdown")]
    #[case("guest-reset")]
    #[case("host-signal")]
    fn the_reason_for_a_shutdown_is_kept(#[case] reason: &str) {
        let (seen, sent) = watched(&[r#"{"event": "RESUME"}"#, &shutdown(reason), STOP]);
        assert_eq!(seen.shutdown.as_deref(), Some(reason));
        assert_eq!(sent, "{\"execute\":\"query-status\"}\n");
    }

    #[test]
    fn a_guest_that_cannot_go_on_is_ended() {
        let answer = r#"{"return": {"status": "internal-error", "running": false}}"#;
        let (seen, sent) = watched(&[STOP, answer]);
        assert_eq!(seen.stuck.as_deref(), Some("internal-error"));
        assert_eq!(sent, "{\"execute\":\"query-status\"}\n{\"execute\":\"quit\"}\n");
    }

    #[rstest]
    #[case::off("guest-shutdown", &[], None, &["quit"])]
    #[case::reset("guest-reset", &[r#"{"return": {}, "id": 0}"#], Some(Ok(())), &[DUMP_MEMORY, "quit"])]
    #[case::full_disk(
        "guest-reset",
        &[r#"{"id": 0, "error": {"class": "GenericError", "desc": "no space"}}"#],
        Some(Err("no space".to_owned())),
        &[DUMP_MEMORY, "quit"]
    )]
    fn the_memory_of_a_guest_that_resets_is_written(
        #[case] reason: &str,
        #[case] answer: &[&str],
        #[case] dump: Option<Result<(), String>>,
        #[case] commands: &[&str],
    ) {
        let (first, last) = ([shutdown(reason)], [shutdown("host-qmp-quit")]);
        let lines = first.iter().map(String::as_str).chain(answer.iter().copied());
        let lines: Vec<&str> = lines.chain(last.iter().map(String::as_str)).collect();
        let (mut sent, file) = (Vec::new(), Path::new("/tmp/vmcore"));
        let (replies, _heard) = std::sync::mpsc::channel();
        let text = lines.join("\r\n");
        let seen = watch(&mut text.as_bytes(), &mut sent, Some(file), &replies);
        assert_eq!((seen.shutdown.as_deref(), seen.dump), (Some(reason), dump));
        let sent = String::from_utf8(sent).expect("commands are text");
        let command = |line: &str| -> String {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["execute"].as_str().expect("a command").to_owned()
        };
        assert_eq!(sent.lines().map(command).collect::<Vec<_>>(), commands);
    }

    #[test]
    fn an_endless_line_breaks_the_channel() {
        let flood = || io::BufReader::new(io::repeat(b'x').take(1 << 30));
        let (replies, _heard) = std::sync::mpsc::channel();
        let seen = watch(&mut flood(), &mut Vec::new(), None, &replies);
        assert!(seen.broken.is_some_and(|why| why.contains("longer than 1024 KiB")));
        assert!(negotiate(&mut flood(), &mut Vec::new()).is_err());
    }

    #[test]
    fn a_guest_that_goes_on_is_left_alone() {
        let (seen, sent) = watched(&[r#"{"return": {"status": "running", "running": true}}"#]);
        assert_eq!((seen, sent), (EndReport::default(), String::new()));
    }

    #[test]
    fn answers_to_numbered_commands_are_forwarded_between_events() {
        let (seen, sent, replies) = overheard(&[
            r#"{"event": "MIGRATION", "data": {"status": "active"}}"#,
            r#"{"return": {"status": "internal-error"}, "id": 7}"#,
            OK,
            r#"{"event": "RESUME"}"#,
            r#"{"id": 8, "error": {"class": "GenericError", "desc": "no"}}"#,
        ]);
        assert_eq!((seen, sent), (EndReport::default(), String::new()));
        let status = Some("internal-error".to_owned());
        let expected = [
            Reply::Migration("active".to_owned()),
            Reply::Answer(7, Ok(Return { status, ..Return::default() })),
            Reply::Answer(8, Err("no".to_owned())),
        ];
        assert_eq!(replies, expected);
    }
}
