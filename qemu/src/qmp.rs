//! QEMU's control channel, as little of it as is needed: the lines it sends and how a run ended.

use std::io::{self, BufRead, Write};

use serde::Deserialize;

pub(crate) const LEAVE_NEGOTIATION: &str = r#"{"execute":"qmp_capabilities"}"#;
pub(crate) const QUERY_STATUS: &str = r#"{"execute":"query-status"}"#;
pub(crate) const QUIT: &str = r#"{"execute":"quit"}"#;

/// One line from QEMU. Fields that are not needed are not read, so that a newer QEMU may add some.
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
    },
    Error {
        error: ErrorData,
    },
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct EventData {
    /// Of a SHUTDOWN event: why, as in QEMU's qapi/run-state.json (ShutdownCause).
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Return {
    /// Of `query-status`: RunState of qapi/run-state.json.
    pub(crate) status: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ErrorData {
    pub(crate) desc: String,
}

pub(crate) fn parse(line: &str) -> Result<Message, serde_json::Error> {
    serde_json::from_str(line)
}

/// Waits until QEMU's main loop answers, which it does only after the machine was made and the
/// kernel image accepted. `false`: it closed the channel instead.
pub(crate) fn negotiate(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<bool> {
    send(to, LEAVE_NEGOTIATION)?;
    let mut line = String::new();
    while { from.read_line(&mut line)? } > 0 {
        match parse(&line) {
            Ok(Message::Return { .. }) => return Ok(true),
            Ok(Message::Error { error }) => return Err(io::Error::other(error.desc)),
            Ok(Message::Greeting { .. } | Message::Event { .. }) => line.clear(),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

pub(crate) fn send(to: &mut impl Write, command: &str) -> io::Result<()> {
    to.write_all(format!("{command}\n").as_bytes())
}

/// What QEMU said about the end of its guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The reason of its SHUTDOWN event.
    pub(crate) shutdown: Option<String>,
    /// The state in which QEMU stopped the guest for good without ending itself.
    pub(crate) stuck: Option<String>,
}

/// Reads events until QEMU closes the channel.
///
/// A guest that QEMU can carry on no further (KVM's "internal error: emulation failure" is the
/// common case) is only stopped, and the process would stay for ever: so a stop is asked about,
/// and answered with `quit`.
pub(crate) fn watch(from: &mut impl BufRead, to: &mut impl Write) -> Seen {
    let mut seen = Seen::default();
    let mut line = String::new();
    while from.read_line(&mut line).is_ok_and(|n| n > 0) {
        let answer = match parse(&line) {
            Ok(Message::Event { event, data }) if event == "SHUTDOWN" => {
                seen.shutdown = data.reason;
                None
            }
            Ok(Message::Event { event, .. }) if event == "STOP" => Some(QUERY_STATUS),
            Ok(Message::Return { value: Return { status: Some(status) } })
                if is_for_good(&status) =>
            {
                seen.stuck = Some(status);
                Some(QUIT)
            }
            _ => None,
        };
        // A failed write means that QEMU is on its way out, which the next read will tell.
        if let Some(command) = answer {
            let _ = send(to, command);
        }
        line.clear();
    }
    seen
}

fn is_for_good(status: &str) -> bool {
    matches!(status, "internal-error" | "io-error" | "guest-panicked" | "watchdog")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GREETING: &str = r#"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}"#;
    const OK: &str = r#"{"return": {}}"#;
    const STOP: &str = r#"{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "STOP"}"#;

    fn shutdown(reason: &str) -> String {
        format!(
            r#"{{"timestamp": {{"seconds": 1, "microseconds": 2}}, "event": "SHUTDOWN", "data": {{"guest": true, "reason": "{reason}"}}}}"#
        )
    }

    fn watched(lines: &[&str]) -> (Seen, String) {
        let mut sent = Vec::new();
        let seen = watch(&mut lines.join("\r\n").as_bytes(), &mut sent);
        (seen, String::from_utf8(sent).expect("what we send is text"))
    }

    #[rstest]
    #[case(&[GREETING, OK], true)]
    #[case(&[GREETING, STOP, OK], true)]
    #[case(&[GREETING], false)]
    #[case(&[], false)]
    fn the_machine_is_there_when_the_first_command_is_answered(
        #[case] lines: &[&str],
        #[case] there: bool,
    ) {
        let mut sent = Vec::new();
        let answer = negotiate(&mut lines.join("\r\n").as_bytes(), &mut sent);
        assert_eq!(answer.ok(), Some(there));
        assert_eq!(sent, b"{\"execute\":\"qmp_capabilities\"}\n");
    }

    #[rstest]
    #[case(r#"{"error": {"class": "GenericError", "desc": "no"}}"#)]
    #[case("SSH-2.0-OpenSSH")]
    fn anything_else_is_not_qemu(#[case] line: &str) {
        assert!(negotiate(&mut line.as_bytes(), &mut Vec::new()).is_err());
    }

    #[rstest]
    #[case("guest-shutdown")]
    #[case("guest-reset")]
    #[case("host-signal")]
    fn the_reason_of_a_shutdown_is_kept(#[case] reason: &str) {
        let (seen, sent) = watched(&[r#"{"event": "RESUME"}"#, &shutdown(reason), STOP]);
        assert_eq!(seen.shutdown.as_deref(), Some(reason));
        assert_eq!(sent, "{\"execute\":\"query-status\"}\n");
    }

    #[test]
    fn a_guest_stopped_for_good_is_asked_about_and_ended() {
        let answer = r#"{"return": {"status": "internal-error", "running": false}}"#;
        let (seen, sent) = watched(&[STOP, answer]);
        assert_eq!(seen.stuck.as_deref(), Some("internal-error"));
        assert_eq!(sent, "{\"execute\":\"query-status\"}\n{\"execute\":\"quit\"}\n");
    }

    #[test]
    fn a_guest_that_runs_on_is_left_alone() {
        let (seen, sent) = watched(&[r#"{"return": {"status": "running", "running": true}}"#]);
        assert_eq!((seen, sent), (Seen::default(), String::new()));
    }
}
