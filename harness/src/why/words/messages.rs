//! The messages of tools, as data.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use crate::errno::Errno;
use crate::why::facts::DataError;

/// The messages that perfsec knows.
pub(super) struct Messages {
    /// The messages.
    pub(super) all: Vec<(Message, Regex)>,
    boilerplate: Vec<Regex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    boilerplate: Vec<String>,
    message: Vec<Message>,
}

/// A message of a tool.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// The form, as the answer names it.
    pub(super) form: String,
    pattern: String,
    /// The command that is asked about, if the text has none.
    pub(super) command: Option<String>,
    /// The errno behind it, by name.
    errno: Option<String>,
    /// The system call that failed.
    focus: Option<String>,
    /// False if the kernel's checks refused nothing.
    #[serde(default = "yes")]
    pub(super) refusal: bool,
    /// It is about the addresses of the kernel.
    #[serde(default)]
    pub(super) kptr: bool,
    /// perf prints it for EACCES and EPERM.
    #[serde(default)]
    pub(super) limited: bool,
    /// The kernel is locked down.
    #[serde(default)]
    pub(super) lockdown: bool,
    /// A paragraph for the answer.
    pub(super) note: Option<String>,
}

fn yes() -> bool {
    true
}

/// The system calls that a message can be about.
const FOCUSES: [&str; 2] = ["mmap", "perf_event_open"];

impl Message {
    /// The errno behind it.
    pub(super) fn errno(&self) -> Option<Errno> {
        self.errno.as_ref()?.parse().ok()
    }

    /// The system call that failed.
    pub(super) fn focus(&self) -> Option<&'static str> {
        let focus = self.focus.as_deref()?;
        FOCUSES.into_iter().find(|name| *name == focus)
    }
}

impl Messages {
    /// The data that is compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub(super) fn built_in() -> Result<&'static Self, &'static DataError> {
        static DATA: LazyLock<Result<Messages, DataError>> = LazyLock::new(Messages::read);
        DATA.as_ref()
    }

    fn read() -> Result<Self, DataError> {
        let wrong = |error| DataError { file: "messages.toml", error };
        let file: File = toml::from_str(include_str!("messages.toml")).map_err(wrong)?;
        let regex = |pattern: &String| {
            RegexBuilder::new(pattern)
                .case_insensitive(true)
                .build()
                .map_err(|error| wrong(serde::de::Error::custom(error)))
        };
        let boilerplate = file.boilerplate.iter().map(regex).collect::<Result<_, _>>()?;
        let pair = |message: Message| Ok((regex(&message.pattern)?, message));
        let all: Result<Vec<_>, DataError> = file.message.into_iter().map(pair).collect();
        let all = all?.into_iter().map(|(regex, message)| (message, regex)).collect();
        Ok(Self { all, boilerplate })
    }

    /// A text without the parts that tell nothing.
    pub(super) fn without_boilerplate(&self, text: &str) -> String {
        let remove = |text: String, regex: &Regex| regex.replace_all(&text, " ").into_owned();
        self.boilerplate.iter().fold(text.to_owned(), remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_well_formed() {
        let messages = Messages::built_in().unwrap();
        for (message, _) in &messages.all {
            assert_eq!(message.errno.is_some(), message.errno().is_some(), "{}", message.form);
            assert_eq!(message.focus.is_some(), message.focus().is_some(), "{}", message.form);
            assert!(message.refusal || message.note.is_some(), "{}", message.form);
        }
    }
}
