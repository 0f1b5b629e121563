//! Access vectors: the answers about all permissions of a class, on one line.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answer;

/// An access: a domain, the type of an object, and the object's class. In a policy that is not ours,
/// a domain is a whole context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Access {
    /// The domain.
    pub source: String,
    /// The object's type.
    pub target: String,
    /// The object's class.
    pub class: String,
}

impl Access {
    /// The access of `source` to an object.
    #[must_use]
    pub fn new(source: &str, target: &str, class: &str) -> Self {
        let [source, target, class] = [source, target, class].map(str::to_owned);
        Self { source, target, class }
    }
}

/// The answers about every permission that a policy defines in a class; empty for a class that it
/// does not define.
///
/// Its text is `SOURCE TARGET CLASS`, then what is not empty of `permissive`, `allow { … }`,
/// `deny { … }`, `auditallow { … }` and `dontaudit { … }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AccessVector {
    /// The access.
    pub access: Access,
    /// The answers by permission.
    pub answers: BTreeMap<String, Answer>,
}

impl AccessVector {
    /// The parts of two vectors that differ; `None` if they are equal.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<(Self, Self)> {
        let differs = |name: &&String| self.answers.get(*name) != other.answers.get(*name);
        let names: BTreeSet<&String> =
            self.answers.keys().chain(other.answers.keys()).filter(differs).collect();
        let part = |vector: &Self| {
            let answers = vector.answers.iter().filter(|(name, _)| names.contains(name));
            let answers = answers.map(|(name, answer)| (name.clone(), *answer)).collect();
            Self { access: vector.access.clone(), answers }
        };
        (!names.is_empty()).then(|| (part(self), part(other)))
    }

    fn list(
        &self,
        f: &mut fmt::Formatter<'_>,
        word: &str,
        has: impl Fn(&Answer) -> bool,
    ) -> fmt::Result {
        let names = self.answers.iter().filter(|(_, answer)| has(answer));
        let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " {word} {{ {} }}", names.join(" ")) }
    }
}

impl fmt::Display for AccessVector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Access { source, target, class } = &self.access;
        write!(f, "{source} {target} {class}")?;
        if self.answers.values().any(|answer| answer.permissive) {
            f.write_str(" permissive")?;
        }
        self.list(f, "allow", |answer| answer.allowed)?;
        self.list(f, "deny", |answer| !answer.allowed)?;
        self.list(f, "auditallow", |answer| answer.audit_granted)?;
        self.list(f, "dontaudit", |answer| !answer.audit_denied)
    }
}

impl From<AccessVector> for String {
    fn from(vector: AccessVector) -> Self {
        vector.to_string()
    }
}

impl TryFrom<String> for AccessVector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for AccessVector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mistake = |what: &str| format!("an access vector {what}: `{text}`");
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let mut name =
            || words.next().ok_or_else(|| mistake("needs a source, a target and a class"));
        let [source, target, class] = [name()?, name()?, name()?];
        let is_party = |text: &str| is_name(text) || is_context(text);
        if !(is_party(source) && is_party(target) && is_name(class)) {
            return Err(mistake("needs a source, a target and a class"));
        }
        let access = Access::new(source, target, class);
        let mut words = words.peekable();
        let permissive = words.next_if_eq(&"permissive").is_some();
        let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
        while let Some(list) = words.next() {
            if words.next() != Some("{") {
                return Err(mistake("needs a list in braces"));
            }
            for permission in words.by_ref().take_while(|word| *word != "}") {
                let known = answers.get_mut(permission);
                match (list, known) {
                    ("allow" | "deny", None) if is_name(permission) => {
                        let answer = Answer {
                            allowed: list == "allow",
                            audit_denied: true,
                            audit_granted: false,
                            permissive,
                        };
                        answers.insert(permission.to_owned(), answer);
                    }
                    ("auditallow", Some(answer)) => answer.audit_granted = true,
                    ("dontaudit", Some(answer)) => answer.audit_denied = false,
                    _ => return Err(mistake("names a permission out of place")),
                }
            }
        }
        Ok(Self { access, answers })
    }
}

/// True for a whole context: user, role and type, and in a policy with levels a range.
#[must_use]
pub fn is_context(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
    text.len() <= 1024 && text.split(':').count() >= 3 && text.bytes().all(fits)
}

/// User, role, type and range of a context; the range is empty in a policy without levels.
#[must_use]
pub fn context_parts(context: &str) -> [&str; 4] {
    let mut parts = context.splitn(4, ':');
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// True for the name of a type, a class or a permission.
pub(super) fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= 128 && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const LINES: [&str; 4] = [
        "all_t kernel_t perf_event allow { cpu open }",
        "none_t none_t perf_event deny { cpu open } dontaudit { open }",
        "a_t b_t file permissive allow { read } deny { write } auditallow { read }",
        "a_t b_t perf_event",
    ];

    #[test]
    fn a_vector_is_one_line() {
        for line in LINES {
            assert_eq!(line.parse::<AccessVector>().unwrap().to_string(), line);
        }
    }

    #[rstest]
    #[case("a_t b_t", "needs a source")]
    #[case("a_t b_t file allow read", "needs a list")]
    #[case("a_t b_t file grant { read }", "out of place")]
    #[case("a_t b_t file auditallow { read }", "out of place")]
    #[case("a_t b_t file allow { read } deny { read }", "out of place")]
    #[case("a_t b_t \u{1b}[31m", "needs a source")]
    fn anything_else_is_refused(#[case] line: &str, #[case] words: &str) {
        let error = line.parse::<AccessVector>().unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_difference_names_only_what_differs() {
        let [one, other] = ["allow { cpu open }", "allow { open } deny { cpu }"]
            .map(|lists| format!("a_t a_t perf_event {lists}").parse::<AccessVector>().unwrap());
        let (one, other) = one.difference(&other).unwrap();
        assert_eq!(one.to_string(), "a_t a_t perf_event allow { cpu }");
        assert_eq!(other.to_string(), "a_t a_t perf_event deny { cpu }");
        assert_eq!(one.difference(&one), None);
    }
}
