//! What perfsec knows of the places that decide: `cases/points.toml`.

use std::fmt;

use serde::Deserialize;

use super::Ask;
use crate::case::Circumstances;
use crate::kernel::FixedIn;

/// Every point, in the order in which they are shown.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// The points.
    #[serde(rename = "point")]
    pub all: Vec<Point>,
}

/// A function of the kernel that decides who may use perf; it may ask several times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// What is decided.
    pub what: String,
    /// The source file, or the directory when there are several.
    pub file: String,
    /// The function by the names that it has, or is inlined into, in the source.
    pub functions: Vec<String>,
    /// What it asks.
    pub asks: Vec<Ask>,
    /// What else it asks, which does not decide about perf.
    #[serde(default)]
    pub aside: Vec<Ask>,
    /// The releases that first had it.
    pub since: Option<FixedIn>,
    /// The releases that first lacked it.
    pub until: Option<FixedIn>,
    /// The option that builds it.
    pub config: Option<String>,
    /// Why no cell can get there.
    pub unreachable: Option<Unreachable>,
    /// Answers that it cannot get.
    #[serde(default)]
    pub never: Vec<Never>,
}

/// Why a guest cannot get somewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreachable {
    /// The kind of reason.
    pub because: Because,
    /// The reason.
    pub reason: String,
}

/// A kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// An emulated machine does not have it.
    Hardware,
    /// It is of another architecture.
    Architecture,
}

/// An answer that a point cannot get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Never {
    /// To which question.
    pub ask: Ask,
    /// Which answer.
    pub answer: Answer,
    /// The releases since which it is so; without, all.
    pub since: Option<FixedIn>,
    /// Why.
    pub reason: String,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Allowed,
    /// No, from whomever.
    Refused,
}

/// The list is wrong.
#[derive(Debug, thiserror::Error)]
#[error("read the list of decision points")]
pub struct PointsError(#[from] toml::de::Error);

impl Points {
    /// The list that travels inside the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it; a test of the project shows that there are none.
    pub fn built_in() -> Result<Self, PointsError> {
        Self::parse(perfsec_cases::points())
    }

    pub(super) fn parse(text: &str) -> Result<Self, PointsError> {
        Ok(toml::from_str(text)?)
    }

    /// The point that a function belongs to, by the function's name in the source.
    #[must_use]
    pub fn of_function(&self, function: &str) -> Option<&Point> {
        self.all.iter().find(|point| point.functions.iter().any(|name| name == function))
    }

    /// Every symbol that a function of a point can have, for the agent to look for.
    #[must_use]
    pub fn symbols(&self) -> Vec<String> {
        let functions = self.all.iter().flat_map(|point| &point.functions);
        let prefixes = SYSCALL_PREFIXES.iter().copied().chain([""]);
        functions
            .flat_map(|name| prefixes.clone().map(move |prefix| format!("{prefix}{name}")))
            .collect()
    }
}

impl Point {
    /// An answer that the point cannot get to this question on this kernel, and why.
    #[must_use]
    pub fn never(&self, ask: Ask, kernel: &Circumstances<'_>) -> Option<(Answer, &str)> {
        let holds = |never: &&Never| {
            never.ask == ask && never.since.as_ref().is_none_or(|since| since.has(kernel.version))
        };
        self.never.iter().find(holds).map(|never| (never.answer, never.reason.as_str()))
    }
}

/// What `SYSCALL_DEFINE` makes of a system call's name (`include/linux/syscalls.h`).
const SYSCALL_PREFIXES: [&str; 3] = ["__do_sys_", "__se_sys_", "__x64_sys_"];

/// A function's name in the source, from its symbol: compilers append `.isra.0`, `.cold`.
#[must_use]
pub(super) fn source_name(symbol: &str) -> &str {
    let base = symbol.split('.').next().unwrap_or_default();
    SYSCALL_PREFIXES.iter().find_map(|prefix| base.strip_prefix(prefix)).unwrap_or(base)
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hardware => "hardware",
            Self::Architecture => "architecture",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    #[test]
    fn the_list_is_read_and_no_name_or_function_is_in_it_twice() {
        let points = Points::built_in().unwrap();
        let names: BTreeSet<_> = points.all.iter().map(|point| &point.name).collect();
        assert_eq!(names.len(), points.all.len());
        let functions: Vec<_> = points.all.iter().flat_map(|point| &point.functions).collect();
        assert_eq!(functions.iter().collect::<BTreeSet<_>>().len(), functions.len());
        for point in &points.all {
            assert!(
                point.name.len() + point.what.len() <= 96,
                "{} is too long for a line",
                point.name
            );
            assert!(point.never.iter().all(|never| point.asks.contains(&never.ask)), "{point:?}");
        }
    }

    #[test]
    fn a_key_with_a_typo_is_refused() {
        let text =
            "[[point]]\nname = \"a\"\nwhat = \"b\"\nfile = \"c\"\nfunctions = []\nasks = []\n";
        assert!(Points::parse(text).is_ok());
        assert!(Points::parse(&format!("{text}sinc = \"6.1\"\n")).is_err());
    }

    #[rstest]
    #[case("__do_sys_perf_event_open", "perf_event_open")]
    #[case("__x64_sys_perf_event_open.cold", "perf_event_open")]
    #[case("intel_pmu_hw_config.part.0", "intel_pmu_hw_config")]
    #[case("", "")]
    fn a_symbol_tells_the_functions_name(#[case] symbol: &str, #[case] name: &str) {
        assert_eq!(source_name(symbol), name);
    }
}
