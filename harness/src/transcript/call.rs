//! Syscalls: the lines of a transcript that are not indented.

use std::fmt;

use perfsec_wire::{Step, with_arguments};

use super::CallResult;

/// A line of a transcript that is not indented.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallHead {
    /// `NAME(ARGUMENTS) = RESULT`
    Syscall(Syscall),
    /// `(no step NUMBER) = VALUE`: the guest reports a step that the case does not have.
    NoStep {
        /// Index of the step.
        step: u32,
        /// Its raw result.
        value: i64,
    },
    /// `(outside every step)`: the heading of effects that no syscall caused.
    Outside,
    /// `+++ killed by SIGNAL +++`
    Killed(String),
    /// A line of a record that is none of these.
    Verbatim(String),
}

/// A syscall as strace prints it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Syscall {
    /// Its name.
    pub name: String,
    /// Its arguments, without the parentheses.
    pub arguments: String,
    /// Its result.
    pub result: CallResult,
}

const OUTSIDE: &str = "(outside every step)";
const NO_STEP: &str = "(no step ";
const KILLED: [&str; 2] = ["+++ killed by ", " +++"];

/// Stands for a step's own arguments, so that a file need not repeat a long call.
pub(crate) const ELIDED: &str = "...";

/// Longest line that [`CallHead::abbreviated`] does not change: a mail wraps longer ones.
const MAIL_WIDTH: usize = 78;

impl Syscall {
    /// A step with its result.
    #[must_use]
    pub fn new(step: &Step, result: CallResult) -> Self {
        let arguments = with_arguments!(step, arguments => arguments.to_string());
        Self { name: step.name().to_owned(), arguments, result }
    }

    /// True if it is this step, whatever its result.
    #[must_use]
    pub fn is_of(&self, step: &Step) -> bool {
        self.name == step.name()
            && with_arguments!(step, arguments => arguments.to_string()) == self.arguments
    }
}

impl CallHead {
    /// Reads a line. Displaying it returns exactly that line again.
    #[must_use]
    pub fn read(line: &str) -> Self {
        let head = Self::parse(line).filter(|head| head.to_string() == line);
        head.unwrap_or_else(|| Self::Verbatim(line.to_owned()))
    }

    fn parse(line: &str) -> Option<Self> {
        if line == OUTSIDE {
            return Some(Self::Outside);
        }
        if let Some(rest) = line.strip_prefix(NO_STEP) {
            let (step, value) = rest.split_once(") = ")?;
            return Some(Self::NoStep { step: step.parse().ok()?, value: value.parse().ok()? });
        }
        if let Some(rest) = line.strip_prefix(KILLED[0]) {
            return Some(Self::Killed(rest.strip_suffix(KILLED[1])?.to_owned()));
        }
        let (call, result) = split_result(line)?;
        let (name, arguments) = call.split_once('(')?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let valid = !name.is_empty() && name.chars().all(word);
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        valid.then(|| Self::Syscall(Syscall { name, arguments, result: result.into() }))
    }

    /// The syscall, if it is one.
    #[must_use]
    pub fn syscall(&self) -> Option<&Syscall> {
        match self {
            Self::Syscall(syscall) => Some(syscall),
            _ => None,
        }
    }

    /// The result of a syscall.
    #[must_use]
    pub fn result(&self) -> Option<&CallResult> {
        self.syscall().map(|syscall| &syscall.result)
    }

    /// True if both lines are of the same step; results are ignored. `...` in `self` matches any
    /// arguments.
    #[must_use]
    pub fn is_step(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Syscall(one), Self::Syscall(other)) => {
                one.name == other.name
                    && (one.arguments == other.arguments || one.arguments == ELIDED)
            }
            _ => self == other,
        }
    }

    /// True if `observed` has the same step and a result that is accepted. `...` in `self` matches
    /// any arguments.
    #[must_use]
    pub fn matches(&self, observed: &Self) -> bool {
        let is_result = match (self.result(), observed.result()) {
            (Some(written), Some(seen)) => written.accepts(seen),
            (written, seen) => written == seen,
        };
        self.is_step(observed) && is_result
    }

    /// The line as a case file may contain it: without the arguments of a long call.
    #[must_use]
    pub fn abbreviated(&self) -> String {
        let line = self.to_string();
        match self {
            Self::Syscall(call) if line.len() > MAIL_WIDTH => {
                format!("{}({ELIDED}) = {}", call.name, call.result)
            }
            _ => line,
        }
    }
}

/// Splits `NAME(ARGUMENTS) = RESULT` at the first `) = ` outside quotes: both sides can have one
/// in a quoted text.
fn split_result(line: &str) -> Option<(&str, &str)> {
    let (mut quoted, mut escaped) = (false, false);
    let end = line.char_indices().find(|(at, letter)| {
        let ends = !quoted && line[*at..].starts_with(") = ");
        quoted ^= *letter == '"' && !escaped;
        escaped = *letter == '\\' && quoted && !escaped;
        ends
    });
    let (at, _) = end?;
    Some((&line[..at], &line[at + ") = ".len()..]))
}

impl fmt::Display for CallHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syscall(call) => write!(f, "{}({}) = {}", call.name, call.arguments, call.result),
            Self::NoStep { step, value } => write!(f, "{NO_STEP}{step}) = {value}"),
            Self::Outside => f.write_str(OUTSIDE),
            Self::Killed(signal) => write!(f, "{}{signal}{}", KILLED[0], KILLED[1]),
            Self::Verbatim(line) => f.write_str(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::errno::Errno;

    #[rstest]
    #[case("open(a = b) = EACCES", Some(("open", "a = b", CallResult::Error(Errno::EACCES))))]
    #[case("read(fd, 8) = 8", Some(("read", "fd, 8", CallResult::Number(8))))]
    #[case("clone() = child", Some(("clone", "", CallResult::Name("child".to_owned()))))]
    #[case(
        r#"write(fd, "f(x) = \"y") = 7"#,
        Some(("write", r#"fd, "f(x) = \"y""#, CallResult::Number(7)))
    )]
    #[case(
        r#"read(fd, 64) = "f(x) = y""#,
        Some(("read", "fd, 64", CallResult::Name(r#""f(x) = y""#.to_owned())))
    )]
    #[case("(no step 7) = -13", None)]
    #[case("+++ killed by SIGKILL +++", None)]
    #[case("= = (", None)]
    fn a_syscall_has_a_name_arguments_and_a_result(
        #[case] line: &str,
        #[case] parts: Option<(&str, &str, CallResult)>,
    ) {
        let parts = parts.map(|(name, arguments, result)| {
            let (name, arguments) = (name.to_owned(), arguments.to_owned());
            Syscall { name, arguments, result }
        });
        assert_eq!(CallHead::read(line).syscall(), parts.as_ref());
    }

    #[rstest]
    #[case("open(...) = EPERM", "open(software/dummy, pid=0) = EPERM", true)]
    #[case("open(...) = EPERM", "open(software/dummy) = EACCES", false)]
    #[case("read(...) = 8", "readlink(x) = 8", false)]
    #[case("read(x) = 8", "read(...) = 8", false)]
    #[case("run(perf) = exit *", "run(perf) = exit 161", true)]
    #[case("run(perf) = exit *", "run(perf) = killed by SIGSEGV", false)]
    fn a_line_matches_all_that_it_leaves_open(
        #[case] written: &str,
        #[case] observed: &str,
        #[case] matches: bool,
    ) {
        assert_eq!(CallHead::read(written).matches(&CallHead::read(observed)), matches);
    }

    #[test]
    fn only_a_line_too_long_for_a_mail_is_abbreviated() {
        let short = "perf_event_open(software/dummy, pid=0, cpu=-1) = fd";
        assert_eq!(CallHead::read(short).abbreviated(), short);
        let long = format!("perf_event_open({}, pid=0) = EACCES", "x".repeat(80));
        assert_eq!(CallHead::read(&long).abbreviated(), "perf_event_open(...) = EACCES");
    }
}
