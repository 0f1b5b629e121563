//! A kernel's configuration, and the code that it leaves out.

use std::collections::HashMap;
use std::ops::Range;

use crate::scan;

/// The options of a `.config`. The default knows no options, and leaves no code out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `None` if nothing is known; otherwise an option that is not listed is not set.
    options: Option<HashMap<String, String>>,
}

/// The value of a preprocessor condition, as far as the configuration decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    /// It depends on more than the configuration.
    Unknown,
}

impl Config {
    /// Reads a `.config`.
    pub fn parse(text: &str) -> Self {
        let options = text.lines().filter_map(|line| {
            let (name, value) = line.trim().split_once('=')?;
            name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
        });
        Self { options: Some(options.collect()) }
    }

    /// The directives of `text`, and the ranges of code between them that is not compiled.
    pub(crate) fn left_out(&self, text: &str, directives: &[Range<usize>]) -> Vec<Range<usize>> {
        struct Group {
            /// True if the surrounding code is compiled.
            outer: bool,
            /// True once a branch certainly is compiled.
            taken: bool,
        }
        let mut left_out = Vec::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut compiled = true;
        let mut from = 0;
        for directive in directives {
            if !compiled {
                left_out.push(from..directive.start);
            }
            from = directive.end;
            let line = scan::collapse(&text[directive.clone()].replace("\\\n", " "));
            let line = line.trim_start_matches('#').trim_start();
            let (word, rest) =
                line.split_at(line.find(|c: char| !c.is_alphanumeric()).unwrap_or(line.len()));
            match word {
                "if" | "ifdef" | "ifndef" => {
                    let truth = match word {
                        "if" => self.evaluate(rest),
                        "ifdef" => self.defined(rest.trim()),
                        _ => self.defined(rest.trim()).not(),
                    };
                    groups.push(Group { outer: compiled, taken: truth == Truth::Yes });
                    compiled &= truth != Truth::No;
                }
                "elif" | "else" => {
                    if let Some(group) = groups.last_mut() {
                        let truth = if word == "else" { Truth::Yes } else { self.evaluate(rest) };
                        compiled = group.outer && !group.taken && truth != Truth::No;
                        group.taken |= truth == Truth::Yes;
                    }
                }
                "endif" => compiled = groups.pop().is_none_or(|group| group.outer),
                _ => {}
            }
        }
        if !compiled {
            left_out.push(from..text.len());
        }
        left_out
    }

    fn defined(&self, name: &str) -> Truth {
        match &self.options {
            Some(options) if name.starts_with("CONFIG_") => {
                Truth::from(options.get(name).is_some_and(|value| value != "m"))
            }
            _ => Truth::Unknown,
        }
    }

    fn enabled(&self, name: &str) -> Truth {
        match &self.options {
            Some(options) if name.starts_with("CONFIG_") => {
                Truth::from(options.get(name).is_some_and(|value| value == "y" || value == "m"))
            }
            _ => Truth::Unknown,
        }
    }

    /// The condition of an `#if`.
    fn evaluate(&self, condition: &str) -> Truth {
        let mut tokens = Vec::new();
        let mut rest = condition.trim();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                c if c.is_ascii() && scan::is_word(c as u8) => {
                    rest.bytes().take_while(|&b| scan::is_word(b)).count()
                }
                '&' | '|' if rest[1..].starts_with(first) => 2,
                c => c.len_utf8(),
            };
            tokens.push(&rest[..length]);
            rest = rest[length..].trim_start();
        }
        let mut tokens = &tokens[..];
        let truth = self.any(&mut tokens);
        if tokens.is_empty() { truth } else { Truth::Unknown }
    }

    fn any(&self, tokens: &mut &[&str]) -> Truth {
        let mut truth = self.all(tokens);
        while tokens.first() == Some(&"||") {
            *tokens = &tokens[1..];
            truth = truth.not().and(self.all(tokens).not()).not();
        }
        truth
    }

    fn all(&self, tokens: &mut &[&str]) -> Truth {
        let mut truth = self.term(tokens);
        while tokens.first() == Some(&"&&") {
            *tokens = &tokens[1..];
            truth = truth.and(self.term(tokens));
        }
        truth
    }

    /// Leaves the tokens of a term that it does not know.
    fn term(&self, tokens: &mut &[&str]) -> Truth {
        match **tokens {
            ["!", ref rest @ ..] => {
                *tokens = rest;
                self.term(tokens).not()
            }
            ["(", ref rest @ ..] => {
                *tokens = rest;
                let truth = self.any(tokens);
                if tokens.first() == Some(&")") {
                    *tokens = &tokens[1..];
                }
                truth
            }
            ["defined", "(", name, ")", ref rest @ ..] | ["defined", name, ref rest @ ..] => {
                *tokens = rest;
                self.defined(name)
            }
            ["IS_ENABLED" | "IS_REACHABLE", "(", name, ")", ref rest @ ..] => {
                *tokens = rest;
                self.enabled(name)
            }
            ["IS_BUILTIN", "(", name, ")", ref rest @ ..] => {
                *tokens = rest;
                self.defined(name)
            }
            [number @ ("0" | "1"), ref rest @ ..] => {
                *tokens = rest;
                Truth::from(number == "1")
            }
            [_, ref rest @ ..] => {
                *tokens = rest;
                Truth::Unknown
            }
            [] => Truth::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::Yes } else { Self::No }
    }
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::option("defined(CONFIG_AUDIT)", Truth::Yes)]
    #[case::not("!defined(CONFIG_AUDIT)", Truth::No)]
    #[case::module_is_not_defined("defined(CONFIG_KVM)", Truth::No)]
    #[case::module_is_enabled("IS_ENABLED(CONFIG_KVM)", Truth::Yes)]
    #[case::unlisted("defined CONFIG_OTHER", Truth::No)]
    #[case::no_option("defined(MODULE)", Truth::Unknown)]
    #[case::and("defined(CONFIG_AUDIT) && defined(CONFIG_OTHER)", Truth::No)]
    #[case::or("(defined(CONFIG_OTHER) || defined(CONFIG_AUDIT))", Truth::Yes)]
    #[case::or_unknown("defined(MODULE) || defined(CONFIG_AUDIT)", Truth::Yes)]
    #[case::and_unknown("defined(MODULE) && defined(CONFIG_AUDIT)", Truth::Unknown)]
    #[case::zero("0", Truth::No)]
    #[case::comparison("BITS_PER_LONG == 32", Truth::Unknown)]
    #[case::comparison_of_one("1 == BITS", Truth::Unknown)]
    #[case::empty("", Truth::Unknown)]
    fn a_condition_is_evaluated(#[case] condition: &str, #[case] expected: Truth) {
        let config = Config::parse("CONFIG_AUDIT=y\nCONFIG_KVM=m\n# CONFIG_OTHER is not set\n");
        assert_eq!(config.evaluate(condition), expected);
        if expected != Truth::Unknown && condition != "0" {
            assert_eq!(Config::default().evaluate(condition), Truth::Unknown);
        }
    }
}
