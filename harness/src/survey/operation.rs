//! The operations of a survey, `cases/survey.toml`.

use perfsec_wire::Mode;
use serde::Deserialize;

use crate::case::{Case, Coordinates, Level, Library};

/// The operations of a survey, in the order of its columns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// The operations.
    #[serde(rename = "operation")]
    pub all: Vec<Operation>,
}

/// Something that a person does with perf, and the case that does it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Its name, in the infinitive.
    pub name: String,
    /// The case.
    pub case: String,
    /// `kernel.perf_event_paranoid`
    pub level: i32,
}

/// A mistake in the list of operations.
#[derive(Debug, thiserror::Error)]
#[error("read cases/survey.toml")]
pub struct OperationsError(#[from] toml::de::Error);

impl Operations {
    /// The built-in list.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub fn built_in() -> Result<Self, OperationsError> {
        Ok(toml::from_str(perfsec_cases::survey())?)
    }
}

impl Operation {
    /// Its case in a library.
    pub(super) fn case<'a>(&self, library: &'a Library) -> Option<&'a Case> {
        library.cases.iter().find(|case| case.name == self.case)
    }

    /// Its cells in a domain, in enforcing mode: one for each grant of the case.
    pub(super) fn cells(&self, case: &Case, domain: &str) -> Vec<Coordinates> {
        let cell = |grant| Coordinates {
            domain: domain.to_owned(),
            paranoid: Level::Set(self.level),
            grant,
            mode: Mode::Enforcing,
        };
        case.axes.grant.iter().copied().map(cell).collect()
    }

    /// A glob of the names of its cells, in any domain.
    #[must_use]
    pub fn glob(&self) -> String {
        format!("{}/*/paranoid={}/*/*", self.case, self.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_a_case_of_the_suite_that_runs_under_any_policy_at_its_level() {
        let library = Library::built_in().unwrap();
        for operation in Operations::built_in().unwrap().all {
            let case = operation.case(&library).unwrap_or_else(|| panic!("{}", operation.case));
            assert!(case.axes.paranoid.contains(&Level::Set(operation.level)), "{}", case.name);
            assert!(case.axes.mode.contains(&Mode::Enforcing), "{}", case.name);
            assert_eq!(case.bound_to_our_policies(), None, "{}", case.name);
        }
    }
}
