//! The end of an agent, as its guardian tells it.

use nix::sys::signal::Signal;
use perfsec_wire::here;

use crate::machines::End;

/// The end of a worker, from the exit code of its guardian.
pub(in crate::machines) fn ended(code: Option<u8>) -> End {
    let killed = code.and_then(|code| code.checked_sub(here::KILLED_BY));
    let detail = match (code, killed) {
        (Some(0), _) => return End::Killed,
        (_, Some(signal)) => format!("the agent was killed {}", by(signal.into())),
        (Some(here::NOT_STARTED), _) => "the agent did not start: it says why".to_owned(),
        _ => "the agent could not put the machine back".to_owned(),
    };
    End::Crashed { detail, said: String::new() }
}

/// The end of a worker whose guardian a signal has killed.
pub(in crate::machines) fn guardian_killed(signal: i32) -> End {
    let detail = format!("the agent's guardian was killed {}", by(signal));
    End::Crashed { detail, said: String::new() }
}

fn by(signal: i32) -> String {
    let name = Signal::try_from(signal).map_or("", |signal| signal.as_str());
    format!("by a signal ({signal}, {name})")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn crashed(detail: &str) -> End {
        End::Crashed { detail: detail.to_owned(), said: String::new() }
    }

    #[rstest]
    #[case::done(Some(0), End::Killed)]
    #[case::signal(Some(64 + 9), crashed("the agent was killed by a signal (9, SIGKILL)"))]
    #[case::left(Some(1), crashed("the agent could not put the machine back"))]
    #[case::not_started(Some(2), crashed("the agent did not start: it says why"))]
    #[case::unknown(None, crashed("the agent could not put the machine back"))]
    fn the_exit_code_of_the_guardian_tells_how_the_worker_ended(
        #[case] code: Option<u8>,
        #[case] end: End,
    ) {
        assert_eq!(ended(code), end);
    }
}
