//! Parses configuration fragments.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::built_in;
use crate::foreign;
use crate::kernel::{Config, KernelVersion};

/// The default fragments.
pub const DEFAULT: [&str; 4] = ["base", "selinux", "perf", "tracing"];

/// The fragment for real machines, merged after the default ones.
pub const METAL: &str = "metal";

/// Prefix of option names in a fragment.
const PREFIX: &str = "CONFIG_";

/// The line at the head of a `.config` that the kernel's build wrote.
const GENERATED: &str = "# Automatically generated file; DO NOT EDIT.";

/// Number of characters of an invalid line that an error shows.
const SHOWN: usize = 60;

/// A configuration fragment, merged over the kernel's `tinyconfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Name or path, as given by the user.
    pub name: String,
    /// The text of the file.
    pub text: String,
    /// The requests, in order, each option once.
    pub requests: Vec<Request>,
    /// Its author.
    pub author: Author,
}

/// The author of a fragment, which decides the requests that a tree may leave unmet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// A person, who meant each request.
    Person,
    /// The kernel's build, which wrote a complete `.config`. Nobody asked for most of it, so
    /// options that a tree does not have or does not prompt for are not reported.
    Build,
    /// perfsec, which mixed two configurations. What comes of the mixture is up to Kconfig.
    Mixture,
}

/// One option that a fragment sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The option's name without `CONFIG_`.
    pub symbol: String,
    /// The requested value.
    pub wanted: RequestedValue,
    /// Line, from 1.
    pub line: usize,
    /// Says which trees may lack the option.
    pub mark: Option<TreeMark>,
    /// The comment above it, joined to one line; empty if there is none.
    pub comment: String,
}

/// A requested value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestedValue {
    /// Built in: `=y`.
    BuiltIn,
    /// As a module: `=m`.
    Module,
    /// Off: `# CONFIG_NAME is not set`, or `=n`.
    Unset,
    /// A number in the fragment's notation, decimal or `0x…`.
    Number(String),
    /// A string, as written between its quotes.
    Text(String),
}

/// A mark in the comment directly above an option: the trees that may lack the option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeMark {
    /// `# since 6.4`: trees of older versions.
    Since(KernelVersion),
    /// `# until 6.5`: trees of that version and newer ones.
    Until(KernelVersion),
    /// `# optional`: any tree.
    Optional,
}

/// A fragment that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FragmentError {
    /// Neither a built-in fragment nor a file.
    #[error("find fragment `{name}`: it is neither a file nor one of {known}{close}")]
    Unknown {
        /// As given by the user.
        name: String,
        /// A suggestion as a clause, or empty.
        close: String,
        /// The names of the built-in fragments.
        known: String,
    },
    /// The file cannot be read.
    #[error("read fragment {}", .path.display())]
    Read {
        /// As given by the user.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line is invalid.
    #[error("read fragment {name}:{line}: {reason}")]
    Line {
        /// Name of the fragment.
        name: String,
        /// Line, from 1.
        line: usize,
        /// The mistake and its cure.
        reason: String,
    },
}

impl Fragment {
    /// Loads the built-in fragment with this name, else the file at this path.
    ///
    /// # Errors
    ///
    /// Neither exists, the file cannot be read, or a line is invalid.
    pub fn load(wanted: &str) -> Result<Self, FragmentError> {
        if let Some(text) = built_in::text(wanted) {
            return Self::parse(wanted, text);
        }
        let path = Path::new(wanted);
        let like_a_path = wanted.contains('/') || path.extension().is_some();
        if !like_a_path && !path.exists() {
            return Err(FragmentError::Unknown {
                name: wanted.to_owned(),
                close: crate::suggest::closest(wanted, built_in::names()),
                known: built_in::names().collect::<Vec<_>>().join(", "),
            });
        }
        let failed = |source| FragmentError::Read { path: path.to_owned(), source };
        let text = foreign::read_named_text(path, &foreign::FRAGMENT).map_err(failed)?;
        Self::parse(wanted, &text)
    }

    /// A fragment that sets all options of a configuration and unsets all others, as far as the
    /// tree allows.
    #[must_use]
    pub fn mixture(name: &str, config: &Config) -> Self {
        let lines = config.options().map(|(option, value)| format!("{option}={value}\n"));
        let text: String = lines.collect();
        let requests = config.options().enumerate().filter_map(|(index, (option, value))| {
            let symbol = option.strip_prefix(PREFIX)?.to_owned();
            let wanted = RequestedValue::parse(value)?;
            let (line, mark, comment) = (index + 1, None, String::new());
            Some(Request { symbol, wanted, line, mark, comment })
        });
        let requests = requests.collect();
        Self { name: name.to_owned(), text, requests, author: Author::Mixture }
    }

    /// Parses the text of a fragment.
    ///
    /// # Errors
    ///
    /// The first invalid line, with its number and the cure.
    pub fn parse(name: &str, text: &str) -> Result<Self, FragmentError> {
        let mut requests: Vec<Request> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut above = PendingComment::default();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let line = line.trim_end();
            let error = |reason: String| FragmentError::Line {
                name: name.to_owned(),
                line: number,
                reason,
            };
            match read_line(line).map_err(&error)? {
                FragmentLine::Empty => above = PendingComment::default(),
                FragmentLine::Comment(words) => above.add(words).map_err(error)?,
                FragmentLine::Request(symbol, wanted) => {
                    if let Some(first) = seen.insert(symbol.clone(), number) {
                        return Err(error(format!(
                            "CONFIG_{symbol} is already set on line {first}; keep one of them"
                        )));
                    }
                    let PendingComment { mark, comment } = std::mem::take(&mut above);
                    requests.push(Request { symbol, wanted, line: number, mark, comment });
                }
            }
        }
        let generated = text.lines().take(3).any(|line| line.trim_end() == GENERATED);
        let author = if generated { Author::Build } else { Author::Person };
        Ok(Self { name: name.to_owned(), text: text.to_owned(), requests, author })
    }
}

/// A line of a fragment.
enum FragmentLine<'a> {
    Empty,
    Comment(&'a str),
    Request(String, RequestedValue),
}

fn read_line(line: &str) -> Result<FragmentLine<'_>, String> {
    if line.trim().is_empty() {
        return Ok(FragmentLine::Empty);
    }
    if let Some(words) = line.strip_prefix('#') {
        if let Some(symbol) = words.trim().strip_suffix(" is not set")
            && let Some(symbol) = symbol.trim().strip_prefix(PREFIX)
            && is_name(symbol)
        {
            // Kconfig parses this comment, but only with exactly these spaces.
            if line == format!("# {PREFIX}{symbol} is not set") {
                return Ok(FragmentLine::Request(symbol.to_owned(), RequestedValue::Unset));
            }
            return Err(format!("write `# {PREFIX}{symbol} is not set`, with these spaces"));
        }
        return Ok(FragmentLine::Comment(words.trim()));
    }
    let neither = || {
        format!(
            "{:?} is neither CONFIG_NAME=VALUE, nor `# CONFIG_NAME is not set`, nor a comment",
            line.chars().take(SHOWN).collect::<String>()
        )
    };
    let (symbol, value) = line
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('='))
        .filter(|(symbol, _)| is_name(symbol))
        .ok_or_else(neither)?;
    let wanted = RequestedValue::parse(value).ok_or_else(|| {
        format!(
            "the value {:?} of CONFIG_{symbol} is neither y, m, n, a number, nor a string in \
             double quotes",
            value.chars().take(SHOWN).collect::<String>()
        )
    })?;
    Ok(FragmentLine::Request(symbol.to_owned(), wanted))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The comment lines directly above a request.
#[derive(Default)]
struct PendingComment {
    mark: Option<TreeMark>,
    comment: String,
}

impl PendingComment {
    fn add(&mut self, words: &str) -> Result<(), String> {
        if let Some(mark) = TreeMark::parse(words)? {
            if self.mark.is_some() {
                return Err("a second mark above one option; keep one of them".to_owned());
            }
            self.mark = Some(mark);
        }
        if !self.comment.is_empty() {
            self.comment.push(' ');
        }
        self.comment.push_str(words);
        Ok(())
    }
}

impl TreeMark {
    /// Parses a mark at the beginning of a comment. Prose can begin with `since` and `until` too:
    /// it is a comment if no number, but more than one word follows.
    fn parse(words: &str) -> Result<Option<Self>, String> {
        let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
        if first == "optional:" || words == "optional" {
            return Ok(Some(Self::Optional));
        }
        let keyword = first.trim_end_matches(':');
        let mark: fn(KernelVersion) -> Self = match keyword {
            "since" => Self::Since,
            "until" => Self::Until,
            _ => return Ok(None),
        };
        let (version, after) = rest.split_at(rest.find([':', ' ', ',']).unwrap_or(rest.len()));
        let is_number = version.starts_with(|letter: char| letter.is_ascii_digit());
        if !is_number && after.starts_with([' ', ',']) {
            return Ok(None);
        }
        match KernelVersion::parse_exact(version) {
            Ok(parsed) if is_number && keyword == first => Ok(Some(mark(parsed))),
            _ => Err(format!(
                "{:?} names no kernel version: write a mark like `# {keyword} 6.4`, or begin a \
                 comment with another word",
                words.chars().take(SHOWN).collect::<String>()
            )),
        }
    }

    /// True if a tree of this version may lack the option.
    ///
    /// `until` excuses every version: between two releases a tree has the version of the older
    /// one, but may already lack an option that the newer one removes.
    #[must_use]
    pub fn excuses(self, version: KernelVersion) -> bool {
        match self {
            Self::Since(since) => version < since,
            Self::Until(_) | Self::Optional => true,
        }
    }
}

impl RequestedValue {
    fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "y" => Self::BuiltIn,
            "m" => Self::Module,
            "n" => Self::Unset,
            _ if number(value).is_some() => Self::Number(value.to_owned()),
            _ => {
                let inner = value.strip_prefix('"')?.strip_suffix('"')?;
                // Quotes and backslashes inside are escaped with a backslash.
                let unescaped = inner.replace("\\\\", "").replace("\\\"", "");
                if unescaped.contains(['"', '\\']) {
                    return None;
                }
                Self::Text(inner.to_owned())
            }
        })
    }

    /// True if this value, `None` for an option that is not set, meets the request.
    #[must_use]
    pub fn is_met_by(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Self::BuiltIn, Some(value)) => value == "y",
            (Self::Module, Some(value)) => value == "m",
            (Self::Unset, value) => value.is_none(),
            (Self::Number(wanted), Some(value)) => {
                wanted == value
                    || number(wanted).is_some_and(|wanted| number(value) == Some(wanted))
            }
            (Self::Text(wanted), Some(value)) => wanted == value,
            // Kconfig does not write an option whose prompt is invisible; its string is empty.
            (Self::Text(wanted), None) => wanted.is_empty(),
            (Self::BuiltIn | Self::Module | Self::Number(_), None) => false,
        }
    }
}

/// Parses a decimal or hexadecimal number of a configuration.
pub(super) fn number(text: &str) -> Option<i128> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => i128::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

impl fmt::Display for Request {
    /// The line of the fragment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = &self.symbol;
        match &self.wanted {
            RequestedValue::BuiltIn => write!(f, "{PREFIX}{symbol}=y"),
            RequestedValue::Module => write!(f, "{PREFIX}{symbol}=m"),
            RequestedValue::Unset => write!(f, "# {PREFIX}{symbol} is not set"),
            RequestedValue::Number(number) => write!(f, "{PREFIX}{symbol}={number}"),
            RequestedValue::Text(text) => write!(f, "{PREFIX}{symbol}=\"{text}\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::causes::with_causes;

    fn parse(text: &str) -> Fragment {
        Fragment::parse("my.config", text).unwrap()
    }

    fn refused(text: &str) -> String {
        Fragment::parse("my.config", text).unwrap_err().to_string()
    }

    #[rstest]
    #[case("CONFIG_A=y", RequestedValue::BuiltIn)]
    #[case("CONFIG_A=m", RequestedValue::Module)]
    #[case("# CONFIG_A is not set", RequestedValue::Unset)]
    #[case("CONFIG_A=18", RequestedValue::Number("18".into()))]
    #[case("CONFIG_A=-1", RequestedValue::Number("-1".into()))]
    #[case("CONFIG_A=0x1000000", RequestedValue::Number("0x1000000".into()))]
    #[case("CONFIG_A=\"\"", RequestedValue::Text(String::new()))]
    #[case(r#"CONFIG_A="a \"b\" \\""#, RequestedValue::Text(r#"a \"b\" \\"#.into()))]
    fn a_line_is_displayed_as_it_was_written(#[case] line: &str, #[case] wanted: RequestedValue) {
        let fragment = parse(line);
        assert_eq!(fragment.requests[0].wanted, wanted);
        assert_eq!(fragment.requests[0].to_string(), line);
    }

    #[test]
    fn a_mixture_asks_for_the_whole_configuration() {
        let text = "CONFIG_A=y\nCONFIG_HZ=250\nCONFIG_LSM=\"a,\\\"b\\\"\"\nCONFIG_M=m\n";
        let config = Config::parse(text);
        let fragment = Fragment::mixture("mixed", &config);
        assert_eq!(fragment.requests, Fragment::parse("mixed", &fragment.text).unwrap().requests);
        assert_eq!(Config::parse(&fragment.text), config);
    }

    #[test]
    fn off_has_two_spellings() {
        assert_eq!(parse("CONFIG_A=n").requests[0].wanted, RequestedValue::Unset);
    }

    #[rstest]
    #[case("CONFIG_A", "is neither CONFIG_NAME=VALUE")]
    #[case(" CONFIG_A=y", "is neither CONFIG_NAME=VALUE")]
    #[case("CONFIG_A =y", "is neither CONFIG_NAME=VALUE")]
    #[case("A=y", "is neither CONFIG_NAME=VALUE")]
    #[case("CONFIG_A=yes", "the value \"yes\" of CONFIG_A")]
    #[case("CONFIG_A=", "the value \"\" of CONFIG_A")]
    #[case("CONFIG_A=\"a\"b\"", "of CONFIG_A is neither")]
    #[case("#CONFIG_A is not set", "write `# CONFIG_A is not set`")]
    #[case("# CONFIG_A  is not set", "write `# CONFIG_A is not set`")]
    #[case("CONFIG_A=y\n\u{1b}[2J", r#""\u{1b}[2J" is neither"#)]
    #[case("# since 6.\nCONFIG_A=y", "1: \"since 6.\" names no kernel version: write a mark like")]
    #[case("\n# since six\nCONFIG_A=y", "2: \"since six\" names no kernel version")]
    #[case("# until six: a reason\nCONFIG_A=y", "write a mark like `# until 6.4`")]
    #[case("# since 6.4x\nCONFIG_A=y", "\"since 6.4x\" names no kernel version")]
    #[case("# since v6.4\nCONFIG_A=y", "\"since v6.4\" names no kernel version")]
    #[case("# since: 6.4\nCONFIG_A=y", "\"since: 6.4\" names no kernel version")]
    #[case("# since\nCONFIG_A=y", "\"since\" names no kernel version")]
    #[case("# since 6.4\n# until 6.5\nCONFIG_A=y", "a second mark")]
    #[case("CONFIG_A=y\nCONFIG_B=y\n# CONFIG_A is not set", "already set on line 1")]
    fn the_error_for_an_invalid_line_has_its_location(#[case] text: &str, #[case] reason: &str) {
        let shown = refused(text);
        assert!(shown.contains("my.config:"), "{shown}");
        assert!(shown.contains(reason), "{shown}");
    }

    #[test]
    fn the_error_for_a_long_line_is_short() {
        let shown = refused(&format!("CONFIG_A=y\n\n{}", "x".repeat(100_000)));
        assert!(shown.contains("my.config:3: "), "{shown}");
        assert!(shown.len() < 300, "{}", shown.len());
    }

    #[test]
    fn a_mark_and_a_comment_belong_to_the_next_line_only() {
        let fragment = parse(
            "# What it is for,\n# since 6.4: in two lines.\nCONFIG_A=y\nCONFIG_B=y\n\
             # until 6.5\n\nCONFIG_C=y\n# since it is prose\nCONFIG_D=y\n\
             # optional: compilers\nCONFIG_E=y\n",
        );
        let marks: Vec<_> = fragment.requests.iter().map(|request| request.mark).collect();
        let since = TreeMark::Since(KernelVersion::new(6, 4, 0));
        assert_eq!(marks, [Some(since), None, None, None, Some(TreeMark::Optional)]);
        assert_eq!(fragment.requests[0].comment, "What it is for, since 6.4: in two lines.");
        assert_eq!(fragment.requests[1].comment, "");
    }

    #[rstest]
    #[case(TreeMark::Since(KernelVersion::new(6, 4, 0)), "6.3.9", true)]
    #[case(TreeMark::Since(KernelVersion::new(6, 4, 0)), "6.4", false)]
    #[case(TreeMark::Until(KernelVersion::new(6, 4, 0)), "6.3", true)]
    #[case(TreeMark::Optional, "6.4", true)]
    fn a_mark_excuses_trees_by_version(
        #[case] mark: TreeMark,
        #[case] version: KernelVersion,
        #[case] excused: bool,
    ) {
        assert_eq!(mark.excuses(version), excused);
    }

    #[rstest]
    #[case(RequestedValue::BuiltIn, Some("y"), true)]
    #[case(RequestedValue::BuiltIn, Some("m"), false)]
    #[case(RequestedValue::BuiltIn, None, false)]
    #[case(RequestedValue::Module, Some("y"), false)]
    #[case(RequestedValue::Unset, None, true)]
    #[case(RequestedValue::Unset, Some("y"), false)]
    #[case(RequestedValue::Number("0x10".into()), Some("16"), true)]
    #[case(RequestedValue::Number("4".into()), Some("3"), false)]
    #[case(RequestedValue::Text("a,b".into()), Some("a,b"), true)]
    #[case(RequestedValue::Text("a,b".into()), Some("a"), false)]
    #[case(RequestedValue::Text(String::new()), None, true)]
    fn values_meet_requests(
        #[case] wanted: RequestedValue,
        #[case] value: Option<&str>,
        #[case] met: bool,
    ) {
        assert_eq!(wanted.is_met_by(value), met);
    }

    #[test]
    fn the_built_in_fragments_parse() {
        for name in built_in::names() {
            let fragment = Fragment::load(name).unwrap();
            assert!(!fragment.requests.is_empty() && fragment.author == Author::Person, "{name}");
        }
        assert!(DEFAULT.iter().all(|name| built_in::text(name).is_some()));
    }

    #[test]
    fn every_option_of_the_built_in_fragments_has_a_comment() {
        for name in built_in::names() {
            let text = built_in::text(name).unwrap();
            let mut commented = false;
            for line in text.lines() {
                commented = !line.is_empty() && (commented || line.starts_with("# "));
                assert!(line.is_empty() || commented, "{name}: no comment above {line:?}");
            }
        }
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion_and_the_list() {
        let error = Fragment::load("selinx").unwrap_err().to_string();
        assert!(error.contains("did you mean `selinux`?"), "{error}");
        assert!(error.contains("base, selinux, perf, tracing"), "{error}");
    }

    #[test]
    fn a_path_is_read_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine");
        let path = path.to_str().unwrap();
        assert!(matches!(Fragment::load(path), Err(FragmentError::Read { .. })));
        std::fs::write(path, "CONFIG_A=y\n").unwrap();
        assert_eq!(Fragment::load(path).unwrap(), {
            let mut fragment = parse("CONFIG_A=y\n");
            fragment.name = path.to_owned();
            fragment
        });
        std::fs::write(path, b"# a\n# \xff\n").unwrap();
        let error = Fragment::load(path).unwrap_err();
        assert!(with_causes(&error).contains("line 2 is not text in UTF-8"), "{error:?}");
    }

    #[test]
    fn a_generated_configuration_is_recognised() {
        let head =
            "#\n# Automatically generated file; DO NOT EDIT.\n# Linux/x86 6.1.192 Kernel\n#\n";
        assert_eq!(parse(&format!("{head}CONFIG_A=y\n")).author, Author::Build);
        assert_eq!(parse("CONFIG_A=y\n").author, Author::Person);
    }
}
