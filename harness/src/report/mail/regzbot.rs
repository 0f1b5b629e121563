//! Commands for regzbot, the kernel's regression tracking bot.
//!
//! They follow Documentation/admin-guide/reporting-regressions.rst and the bot's own reference: a
//! separate paragraph, each command on a line that begins with `#regzbot`.

use std::sync::LazyLock;

use regex::Regex;

use crate::text::{Text, line};

/// The mailing list that gets every report of a regression.
pub(super) const LIST: &str = "regressions@lists.linux.dev";

/// Longest title, in characters: it becomes the subject of a mail.
const TITLE: usize = 200;

/// Commands for the bot, each checked to be in a form that it accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regzbot {
    introduced: Option<Introduced>,
    title: Option<String>,
    links: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Introduced {
    /// True if the parent mail is the report, false if this one is.
    by_parent: bool,
    range: String,
}

/// A command is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegzbotError {
    /// It does not have the form KEY=VALUE.
    #[error("--regzbot {0:?}: expected KEY=VALUE, such as introduced=v6.12..v6.13-rc1")]
    NoValue(String),
    /// The key is unknown, or not for reports.
    #[error(
        "--regzbot {key:?}: known keys are introduced, ^introduced, title, link and monitor{close}"
    )]
    Key {
        /// The key.
        key: String,
        /// Suggests the closest known key, or empty.
        close: String,
    },
    /// The bot would not find these versions or commits.
    #[error(
        "--regzbot introduced={0:?}: expected a commit of 8 to 40 hexadecimal digits, or a range of \
         tags or commits without spaces, such as v6.12..v6.13-rc1"
    )]
    Range(String),
    /// The title is empty, too long, or has control characters or another command in it.
    #[error("--regzbot title={0:?}: expected one line of at most {TITLE} characters")]
    Title(String),
    /// The value is not a link.
    #[error("--regzbot {key}={link:?}: expected a link that begins with https://")]
    Link {
        /// The key.
        key: String,
        /// The value.
        link: String,
    },
    /// A command that is allowed once is given twice.
    #[error("--regzbot {0}=… is given twice")]
    Twice(String),
}

impl Regzbot {
    /// Reads commands of the form KEY=VALUE.
    ///
    /// # Errors
    ///
    /// If the bot would not accept one of them.
    pub fn parse<S: AsRef<str>>(commands: &[S]) -> Result<Self, RegzbotError> {
        let mut all = Self::default();
        for command in commands {
            let command = command.as_ref();
            let Some((key, value)) = command.split_once('=') else {
                return Err(RegzbotError::NoValue(command.to_owned()));
            };
            all.take(key.trim(), value.trim())?;
        }
        Ok(all)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), RegzbotError> {
        let twice = || RegzbotError::Twice(key.to_owned());
        match key {
            "introduced" | "^introduced" => {
                if !is_range(value) {
                    return Err(RegzbotError::Range(value.to_owned()));
                }
                let by_parent = key.starts_with('^');
                let introduced = Introduced { by_parent, range: value.to_owned() };
                self.introduced.replace(introduced).map_or(Ok(()), |_| Err(twice()))
            }
            "title" => {
                let plain = !value.contains(char::is_control) && !value.contains("#regzbot");
                if value.is_empty() || value.chars().count() > TITLE || !plain {
                    return Err(RegzbotError::Title(value.to_owned()));
                }
                self.title.replace(value.to_owned()).map_or(Ok(()), |_| Err(twice()))
            }
            "link" | "monitor" => {
                let key = if key == "link" { "link" } else { "monitor" };
                let link = value.strip_prefix("https://").or(value.strip_prefix("http://"));
                let visible = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_graphic());
                if !link.is_some_and(|rest| !rest.is_empty() && rest.len() < 500 && visible(rest)) {
                    return Err(RegzbotError::Link { key: key.to_owned(), link: value.to_owned() });
                }
                self.links.push((key, value.to_owned()));
                Ok(())
            }
            _ => {
                let known = ["introduced", "^introduced", "title", "link", "monitor"];
                let close = crate::suggest::closest(key, known);
                Err(RegzbotError::Key { key: key.to_owned(), close })
            }
        }
    }

    /// True if there are no commands.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// True if this mail is the report of a regression.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.introduced.as_ref().is_some_and(|introduced| !introduced.by_parent)
    }

    /// True if the commands only make sense in a reply to another mail.
    #[must_use]
    pub fn answers(&self) -> bool {
        !self.is_empty() && !self.reports()
    }

    /// True if the regression is within a stable series, so that the stable list should get the
    /// report.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        let range = self.introduced.as_ref().map(|introduced| introduced.range.as_str());
        let last = range.and_then(|range| range.rsplit("..").next()).unwrap_or_default();
        last.starts_with('v') && last.matches('.').count() == 2
    }

    /// The title of the regression.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The paragraph, with `introduced` first, as the bot requires; empty without commands.
    #[must_use]
    pub fn paragraph(&self) -> Text {
        let mut text = Text::new();
        if let Some(introduced) = &self.introduced {
            let parent = if introduced.by_parent { "^" } else { "" };
            line!(text, "#regzbot {parent}introduced: {}", introduced.range);
        }
        self.title.iter().for_each(|title| line!(text, "#regzbot title: {title}"));
        self.links.iter().for_each(|(key, link)| line!(text, "#regzbot {key}: {link}"));
        text
    }
}

/// True for `<commit>`, `<from>..<to>` and `<from>..`, which the bot looks up in mainline, stable
/// and next.
fn is_range(text: &str) -> bool {
    static RANGE: LazyLock<Regex> = LazyLock::new(|| {
        let commit = "[0-9a-f]{8,40}";
        let point =
            format!(r"(?:{commit}|v[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-rc[0-9]+)?|next-[0-9]{{8}})");
        Regex::new(&format!("^(?:{commit}|{point}\\.\\.(?:{point})?)$")).expect("a pattern of ours")
    });
    RANGE.is_match(text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("v5.13..v5.14-rc1")]
    #[case("1f2e3d4c5d")]
    #[case("v5.13..")]
    #[case("v5.13..1f2e3d4c5d")]
    #[case("v5.13.8..v5.13.10")]
    #[case("next-20211006..next-20211008")]
    fn every_range_of_the_bots_documentation_is_accepted(#[case] range: &str) {
        let regzbot = Regzbot::parse(&[format!("introduced={range}")]).unwrap();
        assert_eq!(regzbot.paragraph().plain(), format!("#regzbot introduced: {range}\n"));
        assert!(regzbot.reports());
    }

    #[rstest]
    #[case("introduced", "expected KEY=VALUE")]
    #[case("introduced=", "expected a commit")]
    #[case("introduced=1f2e3d", "expected a commit")]
    #[case("introduced=v6.12 .. v6.13", "expected a commit")]
    #[case("introduced=v6.12", "expected a commit")]
    #[case("introduced=6.12..6.13", "expected a commit")]
    #[case("introduced=v6.12..v6.13\n#regzbot fix: x", "expected a commit")]
    #[case("introdused=v6.12..v6.13", "did you mean `introduced`?")]
    #[case("title=", "expected one line")]
    #[case("title=a\nb", "expected one line")]
    #[case("title=a #regzbot invalid: b", "expected one line")]
    #[case("link=ftp://example.org/", "expected a link")]
    #[case("monitor=https://example.org/ x", "expected a link")]
    fn a_command_that_the_bot_would_not_accept_is_refused(
        #[case] command: &str,
        #[case] words: &str,
    ) {
        let error = Regzbot::parse(&[command]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn introduced_comes_first_and_only_once() {
        let commands = ["title=a", "link=https://example.org/1", "^introduced=1f2e3d4c5d"];
        let regzbot = Regzbot::parse(&commands).unwrap();
        assert_eq!(
            regzbot.paragraph().plain(),
            "#regzbot ^introduced: 1f2e3d4c5d\n#regzbot title: a\n\
             #regzbot link: https://example.org/1\n"
        );
        assert!(regzbot.answers() && !regzbot.reports());
        let twice = ["introduced=1f2e3d4c5d", "^introduced=1f2e3d4c5d"];
        assert!(matches!(Regzbot::parse(&twice), Err(RegzbotError::Twice(_))));
    }

    #[rstest]
    #[case("v6.12.3..v6.12.9", true)]
    #[case("v6.12..v6.13", false)]
    #[case("1f2e3d4c5d", false)]
    fn a_regression_of_a_stable_series_is_recognised(#[case] range: &str, #[case] expected: bool) {
        let regzbot = Regzbot::parse(&[format!("introduced={range}")]).unwrap();
        assert_eq!(regzbot.is_stable(), expected);
    }
}
