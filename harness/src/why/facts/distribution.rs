//! Data about the kernels of distributions.

use std::sync::LazyLock;

use serde::Deserialize;

use super::DataError;

/// The distributions that perfsec knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distributions {
    #[serde(rename = "distribution")]
    all: Vec<Distribution>,
    unknown: Unknown,
}

/// Names of distributions without data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unknown {
    names: Vec<String>,
}

/// The kernels of a distribution.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// ID in os-release(5).
    pub id: String,
    /// Other words for it.
    #[serde(default)]
    pub names: Vec<String>,
    /// `kernel.perf_event_paranoid` at boot.
    pub level: Option<i32>,
    /// The level from which `perf_event_open()` is for CAP_SYS_ADMIN alone.
    pub gate: Option<i32>,
    /// `kernel.kptr_restrict` at boot.
    pub kptr: Option<i32>,
    /// `kernel.unprivileged_bpf_disabled` at boot.
    pub bpf: Option<i32>,
    /// A caveat.
    pub note: Option<String>,
    /// The patch, option, file or report behind it.
    pub source: String,
}

/// The ID of the kernel without patches.
pub(crate) const UPSTREAM: &str = "upstream";

impl Distributions {
    /// The data that is compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub fn built_in() -> Result<&'static Self, &'static DataError> {
        static DATA: LazyLock<Result<Distributions, DataError>> = LazyLock::new(|| {
            let file = "distributions.toml";
            toml::from_str(include_str!("distributions.toml"))
                .map_err(|error| DataError { file, error })
        });
        DATA.as_ref()
    }

    /// The distribution with this ID.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Distribution> {
        self.all.iter().find(|one| one.id == id)
    }

    /// The ID of the distribution that a word names, in any case.
    #[must_use]
    pub fn named(&self, word: &str) -> Option<&str> {
        let word = word.to_lowercase();
        let known = self.all.iter().find(|one| one.id == word || one.names.contains(&word));
        let other = || self.unknown.names.iter().find(|name| **name == word);
        known.map(|one| one.id.as_str()).or_else(|| other().map(String::as_str))
    }

    /// The IDs of the distributions with data.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|one| one.id.as_str())
    }

    /// The distribution whose kernels reserve a level for CAP_SYS_ADMIN, and no other's do.
    #[must_use]
    pub fn only_with_level(&self, level: i32) -> Option<&Distribution> {
        self.all.iter().find(|one| one.gate == Some(level) && level > 2)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Debian", Some("debian"))]
    #[case("noble", Some("ubuntu"))]
    #[case("vanilla", Some("upstream"))]
    #[case("Fedora", Some("fedora"))]
    #[case("Windows", None)]
    fn a_word_names_a_distribution(#[case] word: &str, #[case] id: Option<&str>) {
        assert_eq!(Distributions::built_in().unwrap().named(word), id);
    }

    #[test]
    fn only_distributions_with_data_have_rules() {
        let data = Distributions::built_in().unwrap();
        assert!(data.get("fedora").is_none());
        assert_eq!(data.get("debian").and_then(|it| it.gate), Some(3));
        assert_eq!(data.only_with_level(4).map(|it| it.id.as_str()), Some("ubuntu"));
        assert!(data.only_with_level(2).is_none());
        assert!(data.all.iter().all(|it| !it.source.is_empty()));
    }
}
