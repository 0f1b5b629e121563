//! The list of decision points, `cases/points.toml`.

use std::fmt;

use serde::Deserialize;

use super::LsmQuestion;
use crate::case::Circumstances;
use crate::kernel::FixedIn;

/// All decision points, in the order in which they are listed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Points {
    /// The points.
    #[serde(rename = "point")]
    pub all: Vec<Point>,
}

/// A decision point: a kernel function that decides who may use perf. It may ask several
/// questions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// A description of the decision.
    pub what: String,
    /// Its source file, or the directory if there are several.
    pub file: String,
    /// Names of the function, and of those that it is inlined into.
    pub functions: Vec<String>,
    /// Its questions about perf.
    pub asks: Vec<LsmQuestion>,
    /// Its other questions, which do not decide about perf.
    #[serde(default)]
    pub aside: Vec<LsmQuestion>,
    /// The first release with it, in each stable series.
    pub since: Option<FixedIn>,
    /// The first release without it, in each stable series.
    pub until: Option<FixedIn>,
    /// The configuration option that builds it.
    pub config: Option<String>,
    /// The reason why no cell can reach it.
    pub unreachable: Option<Unreachable>,
    /// Answers that it cannot get.
    #[serde(default)]
    pub never: Vec<ImpossibleAnswer>,
}

/// The reason why a guest cannot reach a decision point.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unreachable {
    /// The obstacle.
    pub because: Obstacle,
    /// Details of the obstacle.
    pub reason: String,
}

/// An obstacle to reaching a decision point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// Emulated machines lack the hardware.
    Hardware,
    /// The code is for another architecture.
    Architecture,
}

/// An answer that a decision point cannot get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImpossibleAnswer {
    /// The question.
    pub ask: LsmQuestion,
    /// The answer.
    pub answer: Answer,
    /// The first release in which it is impossible, in each stable series. `None` for all.
    pub since: Option<FixedIn>,
    /// Why it is impossible.
    pub reason: String,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// All security modules allowed it.
    Allowed,
    /// A security module, commoncap included, refused it.
    Refused,
}

/// A mistake in the list.
#[derive(Debug, thiserror::Error)]
#[error("read the list of decision points")]
pub struct PointsError(#[from] toml::de::Error);

impl Points {
    /// The built-in list.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which a test of the project rules out.
    pub fn built_in() -> Result<Self, PointsError> {
        Self::parse(perfsec_cases::points())
    }

    pub(super) fn parse(text: &str) -> Result<Self, PointsError> {
        Ok(toml::from_str(text)?)
    }

    /// The decision point to which a function belongs, by its name in the source.
    #[must_use]
    pub fn find_by_function(&self, function: &str) -> Option<&Point> {
        self.all.iter().find(|point| point.functions.iter().any(|name| name == function))
    }

    /// The symbols that the functions of decision points can have; the agent searches for them.
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
    /// The answer that is impossible for this question on this kernel, and the reason.
    #[must_use]
    pub fn impossible_answer(
        &self,
        ask: LsmQuestion,
        kernel: &Circumstances<'_>,
    ) -> Option<(Answer, &str)> {
        let holds = |never: &&ImpossibleAnswer| {
            never.ask == ask && never.since.as_ref().is_none_or(|since| since.has(kernel.version))
        };
        self.never.iter().find(holds).map(|never| (never.answer, never.reason.as_str()))
    }
}

/// Prefixes that `SYSCALL_DEFINE` adds to a system call's name (`include/linux/syscalls.h`).
const SYSCALL_PREFIXES: [&str; 3] = ["__do_sys_", "__se_sys_", "__x64_sys_"];

/// The function's name in the source. Compilers append `.isra.0` or `.cold` to make a symbol.
#[must_use]
pub(super) fn source_name(symbol: &str) -> &str {
    let base = symbol.split('.').next().unwrap_or_default();
    SYSCALL_PREFIXES.iter().find_map(|prefix| base.strip_prefix(prefix)).unwrap_or(base)
}

impl fmt::Display for Obstacle {
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

    use perfsec_wire::caps::SYS_PTRACE;
    use perfsec_wire::coverage::Check as Asked;
    use rstest::rstest;

    use super::*;
    use crate::asks::{Check, Functions, Question};

    #[test]
    fn the_list_is_valid_and_has_no_name_or_function_twice() {
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

    /// The questions to security modules in a list, and in the lists that it leads to, except those
    /// of another decision point.
    fn asked(functions: &Functions, asks: &[Question]) -> BTreeSet<LsmQuestion> {
        asks.iter().flat_map(|question| asked_by(functions, &question.check)).collect()
    }

    fn asked_by(functions: &Functions, check: &Check) -> BTreeSet<LsmQuestion> {
        match check {
            Check::Capable { caps, .. } => {
                let asked = |cap: &u32| match *cap {
                    // Only cap_ptrace_access_check() asks for it.
                    SYS_PTRACE => LsmQuestion(Asked::Ptrace),
                    cap => LsmQuestion(Asked::Capability(cap)),
                };
                caps.iter().map(asked).collect()
            }
            Check::Selinux(check) => match check.class.as_str() {
                "perf_event" => {
                    let hooks = check.permissions.iter().map(|name| format!("hook {name}"));
                    hooks.map(|text| text.parse().unwrap()).collect()
                }
                "lockdown" => BTreeSet::from([LsmQuestion(Asked::LockedDown)]),
                "file" | "process" => BTreeSet::from([LsmQuestion(Asked::Ptrace)]),
                _ => BTreeSet::new(),
            },
            Check::Function { name, .. } => {
                let list = functions.list(name).unwrap();
                let elsewhere = list.point.is_some();
                if elsewhere { BTreeSet::new() } else { asked(functions, &list.asks) }
            }
            Check::Either(all) | Check::Both(all) => {
                all.iter().flat_map(|check| asked_by(functions, check)).collect()
            }
            Check::Return(_) | Check::Effect(_) => BTreeSet::new(),
        }
    }

    /// The questions of a linked point are those of the lists that name it, no more and no fewer.
    #[test]
    fn a_point_has_the_questions_of_the_functions_that_name_it() {
        let (points, functions) = (Points::built_in().unwrap(), Functions::built_in().unwrap());
        let lists: Vec<_> = functions.names().filter_map(|name| functions.list(name)).collect();
        let linked: BTreeSet<_> = lists.iter().filter_map(|list| list.point.as_ref()).collect();
        assert!(linked.len() > 7, "{linked:?}");
        for name in linked {
            let point = points.all.iter().find(|point| point.name == *name).expect(name);
            let of_point = lists.iter().filter(|list| list.point.as_ref() == Some(name));
            let derived: BTreeSet<_> =
                of_point.flat_map(|list| asked(&functions, &list.asks)).collect();
            let written: BTreeSet<_> = point.asks.iter().chain(&point.aside).copied().collect();
            assert_eq!(derived, written, "{name}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused() {
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
    fn a_symbol_gives_the_functions_name(#[case] symbol: &str, #[case] name: &str) {
        assert_eq!(source_name(symbol), name);
    }
}
