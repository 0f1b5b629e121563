//! The steps of the how-to, as data: `steps.toml`.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::error::HowtoError;
use super::promise::Promise;
use crate::foreign;

/// The steps.
const STEPS: &str = include_str!("steps.toml");
/// The files that commands write, by name.
const FILES: &[(&str, &str)] = &[("before.py", include_str!("before.py"))];

/// The steps of the how-to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The steps, in order.
    #[serde(rename = "step")]
    pub(super) steps: Vec<Step>,
}

/// A step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Its title.
    pub(super) title: String,
    /// The paragraph of the how-to that it automates, in our words.
    pub(super) says: String,
    /// The boot that it begins with; `None` to go on in the guest of the step before.
    pub(super) boot: Option<BootKind>,
    /// The commands.
    #[serde(rename = "command")]
    pub(super) commands: Vec<Command>,
}

/// A way to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BootKind {
    /// With SELinux, permissive.
    Selinux,
    /// With `selinux=0`.
    NoSelinux,
}

/// A command, and what it must do.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    /// The user who types it.
    #[serde(default)]
    pub(super) user: User,
    /// The lines that are typed.
    #[serde(rename = "type", default)]
    pub(super) typed: String,
    /// Instead of that: write this file, one of [`FILES`].
    pub(super) write: Option<String>,
    /// Instead of that: write a module with `perfsec allow`.
    pub(super) allow: Option<Allow>,
    /// Instead of that: extend the module in this file of the guest, with `perfsec policy extend`.
    pub(super) extend: Option<String>,
    /// The reason why it is typed, if the how-to does not have it.
    #[serde(default)]
    pub(super) why: String,
    /// Time limit in seconds.
    #[serde(default = "default_limit")]
    limit: u64,
    /// The promises.
    #[serde(default, rename = "promise")]
    pub(super) promises: Vec<Promise>,
}

/// `perfsec allow` on a log of the guest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Allow {
    /// The command that prints the records.
    pub(super) log: String,
    /// The module's name, and its file in the guest without `.te`.
    pub(super) name: String,
    /// The source of another module, which must allow as much or more.
    pub(super) than: String,
}

/// A user of the guest system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum User {
    /// root, in `unconfined_t`.
    #[default]
    Root,
    /// A login user, in `user_t`.
    User,
}

fn default_limit() -> u64 {
    120
}

impl Script {
    /// The built-in steps.
    ///
    /// # Errors
    ///
    /// If they have a mistake.
    pub fn built_in() -> Result<Self, toml::de::Error> {
        Self::parse(STEPS)
    }

    /// The built-in steps as they are written, in TOML.
    #[must_use]
    pub fn source() -> &'static str {
        STEPS
    }

    /// Steps from a file of the user's.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or has a mistake.
    pub fn load(path: &Path) -> Result<Self, HowtoError> {
        let text = foreign::read_text(path, &foreign::STEPS);
        let text = text.map_err(|source| HowtoError::Read { path: path.to_owned(), source })?;
        let script = Self::parse(&text);
        script.map_err(|source| HowtoError::Steps { path: path.to_owned(), source })
    }

    pub(super) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

impl Command {
    pub(super) fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// The lines to type, which may write a file.
    pub(super) fn keys(&self) -> String {
        let file = self.write.as_deref().and_then(|name| Some((name, content(name)?)));
        match file {
            Some((name, content)) => write_file(name, content),
            None => self.typed.trim().to_owned(),
        }
    }
}

/// The content of a file.
fn content(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, content)| *content)
}

/// A command that writes a file.
pub(super) fn write_file(name: &str, content: &str) -> String {
    format!("cat >{name} <<'END-OF-FILE'\n{}\nEND-OF-FILE", content.trim_end())
}

impl User {
    /// The login name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::User => "user",
        }
    }

    /// The end of the prompt.
    pub(super) fn prompt(self) -> &'static str {
        match self {
            Self::Root => "#",
            Self::User => "$",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_commands_and_a_promise() {
        let script = Script::built_in().unwrap();
        assert_eq!(script.steps[0].boot, Some(BootKind::Selinux));
        for step in &script.steps {
            assert!(step.commands.iter().any(|it| !it.promises.is_empty()), "{}", step.title);
            for command in &step.commands {
                let given = [!command.typed.is_empty(), command.write.is_some()];
                let ours = [command.allow.is_some(), command.extend.is_some()];
                let given = given.into_iter().chain(ours);
                assert_eq!(given.filter(|it| *it).count(), 1, "{command:?}");
                assert!(command.write.as_deref().is_none_or(|it| content(it).is_some()));
            }
        }
    }

    #[test]
    fn a_line_fits_into_the_buffer_of_a_terminal() {
        // A terminal drops what exceeds it in one line (`N_TTY_BUF_SIZE`).
        for command in Script::built_in().unwrap().steps.iter().flat_map(|step| &step.commands) {
            assert!(command.keys().lines().all(|line| line.len() < 4000), "{command:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text =
            "[[step]]\ntitle = 'a'\nsays = 'b'\n[[step.command]]\ntype = 'c'\npromised = 1\n";
        let error = Script::parse(text).unwrap_err().to_string();
        assert!(error.contains("promised"), "{error}");
    }
}
