//! Promises: what a command must print and how it must end.

use std::fmt::Write as _;

use perfsec_wire::Typed;
use serde::{Deserialize, Deserializer};

use super::outcome::{Finding, Verdict};
use super::pattern::Pattern;
use crate::kernel::KernelVersion;

/// A promise of the how-to, or of its documents. All parts that are given must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Promise {
    /// The promise in words.
    pub(super) claim: String,
    /// The exit code.
    exit: Option<u8>,
    /// True if the exit code must not be 0.
    #[serde(default)]
    fails: bool,
    /// Patterns that must match a line each.
    #[serde(default)]
    pub(super) prints: Vec<Pattern>,
    /// Patterns that no line may match.
    #[serde(default)]
    never: Vec<Pattern>,
    /// The number of lines that match the first pattern.
    lines: Option<usize>,
    /// True if nothing may be printed.
    #[serde(default)]
    silent: bool,
    /// Systems on which the promise is known not to hold, each with the reason.
    #[serde(default)]
    differs: Vec<Difference>,
}

/// A known difference between the how-to and a system.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    /// The first kernel that differs, such as `6.3`.
    #[serde(default, deserialize_with = "version")]
    since: Option<KernelVersion>,
    /// The first kernel that no longer differs.
    #[serde(default, deserialize_with = "version")]
    before: Option<KernelVersion>,
    /// The reason: a sentence without a full stop.
    why: String,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<KernelVersion>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

impl Promise {
    /// Compares the promise with a command that was typed.
    pub(super) fn check(&self, kernel: KernelVersion, typed: &Typed) -> Finding {
        let broken = self.broken(typed);
        let known = self.differs.iter().find(|it| it.applies(kernel));
        let verdict = match (broken, known) {
            (None, _) => Verdict::Kept,
            (Some(but), Some(known)) => Verdict::Differs { but, why: known.why.clone() },
            (Some(but), None) => Verdict::Broken { but },
        };
        Finding { claim: self.claim.clone(), verdict }
    }

    /// The parts that do not hold, as a clause.
    fn broken(&self, typed: &Typed) -> Option<String> {
        let mut but = String::new();
        let mut add = |words: String| {
            let separator = if but.is_empty() { "" } else { "; " };
            let _ = write!(but, "{separator}{words}");
        };
        let code = match typed.exit {
            Some(code) => format!("it exited with {code}"),
            None => "it did not end, or was not typed".to_owned(),
        };
        let wrong = |wanted: bool| !wanted;
        if typed.exit.is_none()
            || self.exit.is_some_and(|exit| wrong(typed.exit == Some(exit)))
            || (self.fails && typed.exit == Some(0))
        {
            add(code);
        }
        for pattern in self.prints.iter().filter(|it| !it.matches(&typed.output)) {
            add(format!("no line matches `{}`", pattern.as_str()));
        }
        for pattern in self.never.iter().filter(|it| it.matches(&typed.output)) {
            add(format!("a line matches `{}`", pattern.as_str()));
        }
        if let (Some(wanted), Some(pattern)) = (self.lines, self.prints.first()) {
            let got = pattern.count(&typed.output);
            if got != wanted {
                add(format!("{got} lines match `{}` instead of {wanted}", pattern.as_str()));
            }
        }
        if self.silent && !typed.output.trim().is_empty() {
            add("it printed something".to_owned());
        }
        (!but.is_empty()).then_some(but)
    }
}

impl Difference {
    fn applies(&self, kernel: KernelVersion) -> bool {
        self.since.is_none_or(|since| kernel >= since)
            && self.before.is_none_or(|before| kernel < before)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn promise(text: &str) -> Promise {
        toml::from_str(&format!("claim = 'c'\n{text}")).unwrap()
    }

    fn typed(exit: Option<u8>, output: &str) -> Typed {
        Typed { exit, output: output.to_owned(), ..Typed::default() }
    }

    const KERNEL: KernelVersion = KernelVersion::new(6, 12, 0);

    #[rstest]
    #[case::exit("exit = 0", Some(0), "")]
    #[case::fails("fails = true", Some(255), "")]
    #[case::line("prints = ['^b$']", Some(0), "a\nb\n")]
    #[case::no_line("never = ['^c$']", Some(0), "a\nbc\n")]
    #[case::number("prints = ['^p']\nlines = 2", Some(0), "p\np\nq\n")]
    #[case::silent("silent = true", Some(0), "\n")]
    fn a_promise_is_kept(#[case] text: &str, #[case] exit: Option<u8>, #[case] output: &str) {
        assert_eq!(promise(text).check(KERNEL, &typed(exit, output)).verdict, Verdict::Kept);
    }

    #[rstest]
    #[case::exit("exit = 0", Some(1), "", "it exited with 1")]
    #[case::succeeds("fails = true", Some(0), "", "it exited with 0")]
    #[case::overdue("prints = ['a']", None, "a", "it did not end, or was not typed")]
    #[case::no_line("prints = ['^b$']", Some(0), "bc\n", "no line matches `^b$`")]
    #[case::line("never = ['b']", Some(0), "abc\n", "a line matches `b`")]
    #[case::number("prints = ['^p']\nlines = 2", Some(0), "p\n", "1 lines match `^p` instead of 2")]
    #[case::loud("silent = true", Some(0), "x", "it printed something")]
    #[case::two("exit = 0\nprints = ['b']", Some(1), "", "it exited with 1; no line matches `b`")]
    fn a_promise_is_broken(
        #[case] text: &str,
        #[case] exit: Option<u8>,
        #[case] output: &str,
        #[case] but: &str,
    ) {
        let verdict = promise(text).check(KERNEL, &typed(exit, output)).verdict;
        assert_eq!(verdict, Verdict::Broken { but: but.to_owned() });
    }

    #[rstest]
    #[case::inside("since = '6.3'", 1, "differs")]
    #[case::before_it("since = '6.13'", 1, "broken")]
    #[case::after_it("before = '6.12'", 1, "broken")]
    #[case::everywhere("", 1, "differs")]
    #[case::kept_all_the_same("", 0, "kept")]
    fn a_known_difference_explains_a_broken_promise_where_it_applies(
        #[case] range: &str,
        #[case] exit: u8,
        #[case] wanted: &str,
    ) {
        let promise = promise(&format!("exit = 0\n[[differs]]\n{range}\nwhy = 'w'"));
        let got = match promise.check(KERNEL, &typed(Some(exit), "")).verdict {
            Verdict::Kept => "kept",
            Verdict::Differs { why, .. } if why == "w" => "differs",
            Verdict::Differs { .. } | Verdict::Broken { .. } => "broken",
        };
        assert_eq!(got, wanted);
    }
}
