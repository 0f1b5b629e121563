//! The interface of all kinds of steps.

use std::fmt;

use super::Task;

/// The arguments of one kind of step.
///
/// `Display` writes them as strace would, with only what differs from the default. The defaults
/// here are those of a syscall that refers to nothing, makes nothing and returns a number.
pub trait Syscall: fmt::Display {
    /// The text before the parenthesis in a transcript: the syscall's name, as in its man page.
    fn name(&self) -> &'static str;

    /// Names of the file descriptors, mappings and threads that must exist: without one of them
    /// the step is not performed.
    fn needs(&self) -> Vec<&str> {
        Vec::new()
    }

    /// The name given to the file descriptor, mapping or thread that the step makes.
    fn binds(&self) -> Option<&str> {
        None
    }

    /// The task that the step is about.
    fn task(&self) -> Option<&Task> {
        None
    }

    /// How a transcript writes a success.
    fn result_form(&self) -> ResultForm<'_> {
        self.binds().map_or(ResultForm::Number, ResultForm::Word)
    }
}

/// How a transcript writes the result of a syscall that succeeded. An error is always written by
/// its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultForm<'a> {
    /// As the number that it is.
    Number,
    /// As this word, because the number varies from boot to boot: a descriptor, an address.
    Word(&'a str),
    /// As `some`, because the length of a text that the kernel writes varies; at its end, as `0`.
    Length,
    /// As this word if the message brought a descriptor, as `nothing` if it did not: then the
    /// agent reports 0 instead of the length of the message.
    Received(&'a str),
    /// As the text that the agent reports beside the number ([`Call::text`]).
    ///
    /// [`Call::text`]: crate::observation::Call::text
    Text,
    /// As `0`: setexeccon(3) returns 0 where the write(2) behind it returns the length written.
    Zero,
}
