//! What the kernel's regression tracking bot is told.
//!
//! Its commands are those of Documentation/admin-guide/reporting-regressions.rst and of the bot's own
//! reference: a paragraph of its own, each command on a line that begins with `#regzbot`.

use std::sync::LazyLock;

use regex::Regex;

/// The list that must hear of every regression.
pub(super) const LIST: &str = "regressions@lists.linux.dev";

/// The longest title: it becomes the subject of a mail.
const TITLE: usize = 200;

/// Commands for the bot, each known to be of a form that it takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regzbot {
    introduced: Option<Introduced>,
    title: Option<String>,
    links: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Introduced {
    /// Whether the mail that is answered is the report, and not ours.
    by_parent: bool,
    range: String,
}

/// What is wrong with a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegzbotError {
    /// It is not of the form KEY=VALUE.
    #[error("--regzbot {0:?}: expected KEY=VALUE, such as introduced=v6.12..v6.13-rc1")]
    NoValue(String),
    /// There is no such command, or none that a report can have.
    #[error(
        "--regzbot {key:?}: known keys are introduced, ^introduced, title, link and monitor{close}"
    )]
    Key {
        /// As it was given.
        key: String,
        /// The closest that there is.
        close: String,
    },
    /// The bot would not find these versions or commits.
    #[error(
        "--regzbot introduced={0:?}: expected a commit of 8 to 40 hexadecimal digits, or a range of tags \
         or commits without spaces, such as v6.12..v6.13-rc1"
    )]
    Range(String),
    /// Too long, empty, or with characters that no title has.
    #[error("--regzbot title={0:?}: expected one line of at most {TITLE} characters")]
    Title(String),
    /// No link.
    #[error("--regzbot {key}={link:?}: expected a link that begins with https://")]
    Link {
        /// Which command.
        key: String,
        /// As it was given.
        link: String,
    },
    /// A command that can be given once only.
    #[error("--regzbot {0}=… is given twice")]
    Twice(String),
}

impl Regzbot {
    /// Reads commands of the form KEY=VALUE.
    ///
    /// # Errors
    ///
    /// When the bot would not take one.
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

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this mail is the report of a regression.
    #[must_use]
    pub fn reports(&self) -> bool {
        self.introduced.as_ref().is_some_and(|introduced| !introduced.by_parent)
    }

    /// Whether the bot can make sense of it only in an answer to another mail.
    #[must_use]
    pub fn answers(&self) -> bool {
        !self.is_empty() && !self.reports()
    }

    /// Whether the regression is one within a stable series, of which that list wants to hear.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        let range = self.introduced.as_ref().map(|introduced| introduced.range.as_str());
        let last = range.and_then(|range| range.rsplit("..").next()).unwrap_or_default();
        last.starts_with('v') && last.matches('.').count() == 2
    }

    /// The title that the bot gives the regression.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The paragraph, `introduced` first as the bot demands; empty when there is nothing to tell.
    #[must_use]
    pub fn paragraph(&self) -> String {
        let introduced = self.introduced.as_ref().map(|introduced| {
            let parent = if introduced.by_parent { "^" } else { "" };
            format!("#regzbot {parent}introduced: {}\n", introduced.range)
        });
        let title = self.title.as_ref().map(|title| format!("#regzbot title: {title}\n"));
        let links = self.links.iter().map(|(key, link)| format!("#regzbot {key}: {link}\n"));
        introduced.into_iter().chain(title).chain(links).collect()
    }
}

/// `<commit>`, `<from>..<to>` or `<from>..`, as the bot looks them up in mainline, stable and next.
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
    fn every_range_of_the_bots_documentation_is_taken(#[case] range: &str) {
        let regzbot = Regzbot::parse(&[format!("introduced={range}")]).unwrap();
        assert_eq!(regzbot.paragraph(), format!("#regzbot introduced: {range}\n"));
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
    fn what_the_bot_would_not_take_is_refused(#[case] command: &str, #[case] words: &str) {
        let error = Regzbot::parse(&[command]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn introduced_comes_first_and_only_once() {
        let commands = ["title=a", "link=https://example.org/1", "^introduced=1f2e3d4c5d"];
        let regzbot = Regzbot::parse(&commands).unwrap();
        assert_eq!(
            regzbot.paragraph(),
            "#regzbot ^introduced: 1f2e3d4c5d\n#regzbot title: a\n#regzbot link: https://example.org/1\n"
        );
        assert!(regzbot.answers() && !regzbot.reports());
        let twice = ["introduced=1f2e3d4c5d", "^introduced=1f2e3d4c5d"];
        assert!(matches!(Regzbot::parse(&twice), Err(RegzbotError::Twice(_))));
    }

    #[rstest]
    #[case("v6.12.3..v6.12.9", true)]
    #[case("v6.12..v6.13", false)]
    #[case("1f2e3d4c5d", false)]
    fn a_regression_of_a_stable_series_is_known(#[case] range: &str, #[case] expected: bool) {
        let regzbot = Regzbot::parse(&[format!("introduced={range}")]).unwrap();
        assert_eq!(regzbot.is_stable(), expected);
    }
}
