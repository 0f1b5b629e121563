//! The result of a syscall: how transcripts write it, and how they are read.

use perfsec_wire::Step;
use perfsec_wire::step::ResultForm;

use crate::errno::Errno;

/// The result of a `recvmsg` that brought no descriptor.
const NOTHING: &str = "nothing";
/// The result of a `read` whose length varies.
const SOME: &str = "some";

/// A result in a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// The syscall succeeded, and made the descriptor or mapping that it is there to make.
    Success,
    /// A `recvmsg` brought no descriptor.
    Nothing,
    /// The syscall failed.
    Error(Errno),
}

/// A text that is not a result of the step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResultError {
    /// An error number that does not exist.
    Errno(String),
    /// A success that the step cannot have; what its success looks like.
    Form(String),
}

/// Writes what the step returned: `-errno` on failure.
#[must_use]
pub fn format_result(step: &Step, value: i64) -> String {
    if let Ok(errno @ 1..4096) = i32::try_from(value.wrapping_neg()) {
        return Errno(errno).to_string();
    }
    match (step.result_form(), value) {
        (ResultForm::Zero, _) => "0".to_owned(),
        (ResultForm::Received(_), 0) => NOTHING.to_owned(),
        (ResultForm::Word(word) | ResultForm::Received(word), _) => word.to_owned(),
        (ResultForm::Number, _) | (ResultForm::Length, 0) => value.to_string(),
        (ResultForm::Length, _) => SOME.to_owned(),
    }
}

/// Reads the result of a step.
///
/// # Errors
///
/// If it is not one that [`format_result`] can write.
pub fn parse_result(step: &Step, text: &str) -> Result<CallResult, ResultError> {
    if text.starts_with('E') {
        return text.parse().map(CallResult::Error).map_err(ResultError::Errno);
    }
    let expected = match step.result_form() {
        ResultForm::Received(_) if text == NOTHING => return Ok(CallResult::Nothing),
        ResultForm::Word(word) | ResultForm::Received(word) if text == word => {
            return Ok(CallResult::Success);
        }
        ResultForm::Length if [SOME, "0"].contains(&text) => return Ok(CallResult::Success),
        ResultForm::Zero if text == "0" => return Ok(CallResult::Success),
        ResultForm::Number if text.parse::<u32>().is_ok() => return Ok(CallResult::Success),
        ResultForm::Word(word) | ResultForm::Received(word) => format!("`{word}`"),
        ResultForm::Length => format!("`{SOME}`"),
        ResultForm::Zero => "`0`".to_owned(),
        ResultForm::Number => "a number".to_owned(),
    };
    Err(ResultError::Form(expected))
}

#[cfg(test)]
mod tests {
    use perfsec_wire::step::{Close, Mmap, Open, Read, Recvmsg, Setexeccon};
    use rstest::rstest;

    use super::*;

    fn close() -> Step {
        Step::Close(Close { fd: "fd".to_owned() })
    }

    fn open() -> Step {
        Step::Open(Open { path: "/".to_owned(), write: false, bind: "root".to_owned() })
    }

    fn read(some: bool) -> Step {
        Step::Read(Read { fd: "fd".to_owned(), count: 8, some })
    }

    fn mmap() -> Step {
        let (fd, bind) = ("fd".to_owned(), "map".to_owned());
        Step::Mmap(Mmap { fd, pages: 1, private: false, aux: None, bind })
    }

    fn recvmsg() -> Step {
        Step::Recvmsg(Recvmsg { fd: "peer".to_owned(), bind: "fd".to_owned() })
    }

    fn setexeccon() -> Step {
        Step::Setexeccon(Setexeccon { fd: "exec".to_owned(), domain: "all_t".to_owned() })
    }

    #[rstest]
    #[case(close(), 0, "0", CallResult::Success)]
    #[case(close(), -13, "EACCES", CallResult::Error(Errno::EACCES))]
    #[case(open(), 0, "root", CallResult::Success)]
    #[case(open(), 7, "root", CallResult::Success)]
    #[case(read(false), 8, "8", CallResult::Success)]
    #[case(read(false), 0, "0", CallResult::Success)]
    #[case(read(true), 8, "some", CallResult::Success)]
    #[case(read(true), 0, "0", CallResult::Success)]
    #[case(mmap(), 0x7f00_0000_0000, "addr", CallResult::Success)]
    #[case(recvmsg(), 1, "fd", CallResult::Success)]
    #[case(recvmsg(), 0, "nothing", CallResult::Nothing)]
    #[case(setexeccon(), 20, "0", CallResult::Success)]
    fn a_result_is_read_as_it_is_written(
        #[case] step: Step,
        #[case] value: i64,
        #[case] text: &str,
        #[case] result: CallResult,
    ) {
        assert_eq!(format_result(&step, value), text);
        assert_eq!(parse_result(&step, text), Ok(result));
    }

    #[rstest]
    #[case(close(), "fd", "a number")]
    #[case(open(), "fd", "`root`")]
    #[case(open(), "7", "`root`")]
    #[case(open(), "nothing", "`root`")]
    #[case(read(true), "8", "`some`")]
    #[case(mmap(), "map", "`addr`")]
    #[case(recvmsg(), "0", "`fd`")]
    #[case(setexeccon(), "20", "`0`")]
    fn a_result_that_is_never_written_is_refused(
        #[case] step: Step,
        #[case] text: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(parse_result(&step, text), Err(ResultError::Form(expected.to_owned())));
    }
}
