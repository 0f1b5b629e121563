//! The result of a syscall.

use std::fmt;

use perfsec_wire::Step;
use perfsec_wire::step::ResultForm;

use crate::errno::Errno;

/// The result of a `recvmsg` that brought no descriptor.
pub(crate) const NOTHING: &str = "nothing";
/// The result of a `read` whose length varies.
const SOME: &str = "some";

/// In a case, the end of a program whose exit code differs between its versions.
const ANY_EXIT: &str = "exit *";

/// The result of a syscall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallResult {
    /// The syscall failed.
    Error(Errno),
    /// A number that is the same in every boot, such as 0.
    Number(i64),
    /// A number that varies, under a name: the one that the case gives to the new object (`fd`),
    /// `addr` for an address, `some` for a length, `nothing` for a `recvmsg` that brought no
    /// descriptor; or a text, such as what was read. A case may give any of these names to an object, so only the step tells which it
    /// is.
    Name(String),
}

/// A text that is not a result of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultError {
    /// An error number that does not exist.
    Errno(String),
    /// A success that the step cannot have; what its success looks like.
    Form(String),
}

impl CallResult {
    /// The result of a step that returned `value`, which is `-errno` on failure, and `text`.
    #[must_use]
    pub fn observed(step: &Step, value: i64, text: Option<&str>) -> Self {
        if let Ok(errno @ 1..4096) = i32::try_from(value.wrapping_neg()) {
            return Self::Error(Errno(errno));
        }
        match (step.result_form(), value) {
            (ResultForm::Text, _) => text.unwrap_or_default().into(),
            (ResultForm::Zero, _) => Self::Number(0),
            (ResultForm::Received(_), 0) => NOTHING.into(),
            (ResultForm::Word(word) | ResultForm::Received(word), _) => word.into(),
            (ResultForm::Number, _) | (ResultForm::Length, 0) => Self::Number(value),
            (ResultForm::Length, _) => SOME.into(),
        }
    }

    /// The result of the step when it succeeds; 0 if it returns a number.
    #[must_use]
    pub fn success(step: &Step) -> Self {
        match step.result_form() {
            ResultForm::Zero | ResultForm::Number => Self::Number(0),
            ResultForm::Word(word) | ResultForm::Received(word) => word.into(),
            ResultForm::Length => SOME.into(),
            // An unknown text, which no step returns.
            ResultForm::Text => "".into(),
        }
    }

    /// Reads the result of a step that a person wrote.
    ///
    /// # Errors
    ///
    /// If it is not one that [`Self::observed`] can return.
    pub fn of_step(step: &Step, text: &str) -> Result<Self, ResultError> {
        if text.starts_with('E') {
            return text.parse().map(Self::Error).map_err(ResultError::Errno);
        }
        let form = step.result_form();
        let valid = match form {
            ResultForm::Received(word) => [word, NOTHING].contains(&text),
            ResultForm::Word(word) => text == word,
            ResultForm::Length => [SOME, "0"].contains(&text),
            ResultForm::Zero => text == "0",
            ResultForm::Number => text.parse::<u32>().is_ok(),
            ResultForm::Text if matches!(step, Step::Read(_)) => is_quoted(text),
            ResultForm::Text if matches!(step, Step::Run(_)) => is_end(text),
            ResultForm::Text => !text.is_empty(),
        };
        valid.then(|| text.into()).ok_or_else(|| {
            ResultError::Form(match form {
                ResultForm::Word(word) | ResultForm::Received(word) => format!("`{word}`"),
                ResultForm::Length => format!("`{SOME}`"),
                ResultForm::Zero => "`0`".to_owned(),
                ResultForm::Number => "a number".to_owned(),
                ResultForm::Text if matches!(step, Step::Run(_)) => {
                    "`exit CODE`, `exit *`, `killed by SIGNAL`".to_owned()
                }
                ResultForm::Text => "a text in quotes, such as `\"2\\n\"`,".to_owned(),
            })
        })
    }

    /// True if it says that the step, a `recvmsg`, brought no descriptor.
    #[must_use]
    pub fn is_nothing(&self, step: &Step) -> bool {
        matches!(step.result_form(), ResultForm::Received(_)) && *self == NOTHING.into()
    }

    /// True if `observed` is this result; of a program, `exit *` is every exit code.
    #[must_use]
    pub fn accepts(&self, observed: &Self) -> bool {
        match (self, observed) {
            (Self::Name(written), Self::Name(seen)) if written == ANY_EXIT => {
                seen.starts_with("exit ")
            }
            _ => self == observed,
        }
    }

    /// True if it is an error that means that the caller lacks a privilege.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        matches!(self, Self::Error(errno) if errno.is_denial())
    }
}

/// True for the end of a program, as the agent reports it, and for [`ANY_EXIT`].
fn is_end(text: &str) -> bool {
    let exit = text.strip_prefix("exit ").is_some_and(|code| code.parse::<u8>().is_ok());
    exit || text == ANY_EXIT
        || text.strip_prefix("killed by ").is_some_and(|name| name.starts_with("SIG"))
}

/// True for a text in quotes, as the agent reports what a step read.
fn is_quoted(text: &str) -> bool {
    text.len() > 1 && text.starts_with('"') && text.ends_with('"')
}

impl From<&str> for CallResult {
    /// Reads any text. Displaying it returns exactly that text again.
    fn from(text: &str) -> Self {
        let number = || text.parse::<i64>().ok().filter(|number| number.to_string() == text);
        match text {
            _ if text.starts_with('E') => {
                text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Error)
            }
            _ => match number() {
                // An errno without a name is written as this number.
                Some(number @ -4095..0) if Errno(-number as i32).to_string() == text => {
                    Self::Error(Errno(-number as i32))
                }
                Some(number) => Self::Number(number),
                None => Self::Name(text.to_owned()),
            },
        }
    }
}

impl fmt::Display for CallResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(errno) => errno.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::step::{
        Capget, Close, Mmap, Open, OpenAccess, Read, Recvmsg, Setexeccon, Stat, Task,
    };
    use rstest::rstest;

    use super::*;

    fn close() -> Step {
        Step::Close(Close { fd: "fd".to_owned() })
    }

    fn open() -> Step {
        Step::Open(Open { path: "/".to_owned(), write: OpenAccess::Read, bind: "root".to_owned() })
    }

    fn read(some: bool) -> Step {
        Step::Read(Read { fd: "fd".to_owned(), count: 8, some, text: false })
    }

    fn text() -> Step {
        let fd = "fd".to_owned();
        Step::Read(Read { fd, count: 8, some: false, text: true })
    }

    fn stat() -> Step {
        Step::Stat(Stat { path: "/".to_owned() })
    }

    fn capget() -> Step {
        Step::Capget(Capget { pid: Task::First })
    }

    fn mmap() -> Step {
        let (fd, bind) = ("fd".to_owned(), "map".to_owned());
        Step::Mmap(Mmap {
            fd,
            pages: 1,
            private: false,
            offset: None,
            aux: None,
            aux_offset: None,
            bind,
        })
    }

    fn recvmsg() -> Step {
        Step::Recvmsg(Recvmsg { fd: "peer".to_owned(), bind: "fd".to_owned() })
    }

    fn setexeccon() -> Step {
        Step::Setexeccon(Setexeccon { fd: "exec".to_owned(), domain: "all_t".to_owned() })
    }

    #[rstest]
    #[case(close(), 0, "0")]
    #[case(close(), -13, "EACCES")]
    #[case(open(), 0, "root")]
    #[case(open(), 7, "root")]
    #[case(read(false), 8, "8")]
    #[case(read(false), 0, "0")]
    #[case(read(true), 8, "some")]
    #[case(read(true), 0, "0")]
    #[case(mmap(), 0x7f00_0000_0000, "addr")]
    #[case(recvmsg(), 1, "fd")]
    #[case(recvmsg(), 0, "nothing")]
    #[case(setexeccon(), 20, "0")]
    fn a_result_is_read_as_it_is_written(
        #[case] step: Step,
        #[case] value: i64,
        #[case] text: &str,
    ) {
        let result = CallResult::from(text);
        assert_eq!(CallResult::observed(&step, value, None), result);
        assert_eq!(CallResult::of_step(&step, text), Ok(result));
    }

    #[rstest]
    #[case(text(), 2, r#""2\n""#)]
    #[case(text(), 0, r#""""#)]
    #[case(stat(), 0, "0644 uid=0 gid=0")]
    #[case(capget(), 0, "permitted=all, effective=all, inheritable=none")]
    fn a_text_is_read_as_it_is_written(#[case] step: Step, #[case] value: i64, #[case] text: &str) {
        let result = CallResult::from(text);
        assert_eq!(CallResult::observed(&step, value, Some(text)), result);
        assert_eq!(CallResult::of_step(&step, text), Ok(result));
        assert_eq!(CallResult::observed(&step, -13, None).to_string(), "EACCES");
    }

    #[rstest]
    #[case(close(), "fd", "a number")]
    #[case(open(), "fd", "`root`")]
    #[case(open(), "7", "`root`")]
    #[case(open(), "nothing", "`root`")]
    #[case(read(true), "8", "`some`")]
    #[case(text(), "2", "a text in quotes, such as `\"2\\n\"`,")]
    #[case(mmap(), "map", "`addr`")]
    #[case(recvmsg(), "0", "`fd`")]
    #[case(setexeccon(), "20", "`0`")]
    fn a_result_that_is_never_written_is_refused(
        #[case] step: Step,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(CallResult::of_step(&step, text), Err(ResultError::Form(expected.to_owned())));
    }
}
