//! Container runtimes: the capabilities of their root, their seccomp filter and their options.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use perfsec_wire::CapSet;
use perfsec_wire::caps::{BPF, PERFMON, SYS_ADMIN};
use serde::Deserialize;

use super::DataError;
use crate::errno::Errno;

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The name of its runtime; `None` if only the container is known.
    pub runtime: Option<String>,
    /// The version of the runtime, as far as it is known.
    pub version: Option<Vec<u32>>,
    /// Started by an ordinary user.
    pub rootless: bool,
}

/// The reason why a text is not a container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// The runtime is not known.
    #[error("no runtime `{name}`{close}: one of {known}, or `container`")]
    Runtime {
        /// The name.
        name: String,
        /// The closest one.
        close: String,
        /// All names.
        known: String,
    },
    /// The version is not a number.
    #[error("`{0}` is not a version: write `docker:24` or `docker:23.0.1`")]
    Version(String),
    /// The data is wrong.
    #[error("read the data about runtimes")]
    Data,
}

/// The runtimes that perfsec knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Containers {
    #[serde(rename = "runtime")]
    all: Vec<Runtime>,
}

/// A container runtime.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Runtime {
    /// Its name.
    pub name: String,
    /// Other words for it.
    #[serde(default)]
    pub names: Vec<String>,
    /// Capabilities of root in a container by default.
    pub caps: CapSet,
    /// When a container has a user namespace of its own.
    pub user_ns: Option<UserNamespace>,
    /// The rule of its default seccomp profile.
    pub filter: FilterRule,
    /// The first version with the rule.
    pub since: Option<String>,
    /// A caveat.
    pub note: Option<String>,
    /// The option that adds a capability.
    pub add: String,
    /// The option that replaces the filter.
    pub profile: Option<String>,
    /// The option that raises RLIMIT_MEMLOCK.
    pub memlock: String,
    /// The place where this was found.
    pub source: String,
}

/// When a container has a user namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserNamespace {
    /// Only if an ordinary user starts it.
    Rootless,
    /// In the runtime's usual set-up.
    Often,
}

/// The rule of a default seccomp profile for `perf_event_open()` and `bpf()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterRule {
    /// CAP_PERFMON or CAP_SYS_ADMIN lets `perf_event_open()` through, CAP_BPF or CAP_SYS_ADMIN
    /// `bpf()`; before the version that brought this, CAP_SYS_ADMIN alone.
    Caps,
    /// Both capabilities together.
    Both,
    /// Nothing does.
    Never,
    /// No rule.
    None,
}

/// A seccomp filter, as far as perf depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompFilter {
    /// The errno of `perf_event_open()`, if the filter refuses it.
    pub perf: Option<Errno>,
    /// The errno of `bpf()`, if the filter refuses it.
    pub bpf: Option<Errno>,
    /// True if there is a filter, and nothing shows its rules.
    pub unknown: bool,
}

impl Containers {
    /// The data that is compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub fn built_in() -> Result<&'static Self, &'static DataError> {
        static DATA: LazyLock<Result<Containers, DataError>> = LazyLock::new(|| {
            let file = "containers.toml";
            toml::from_str(include_str!("containers.toml"))
                .map_err(|error| DataError { file, error })
        });
        DATA.as_ref()
    }

    /// The runtime that a word names, in any case.
    #[must_use]
    pub fn named(&self, word: &str) -> Option<&Runtime> {
        let word = word.to_lowercase();
        self.all.iter().find(|one| one.name == word || one.names.contains(&word))
    }
}

impl Runtime {
    /// The option that adds a capability, by the name in SELinux.
    #[must_use]
    pub fn adding(&self, cap: &str) -> String {
        self.add.replace("{CAP}", &cap.to_uppercase())
    }

    /// Its default filter for a container with these capabilities. A version that is not known is
    /// taken as a new one.
    #[must_use]
    pub fn filter(&self, version: Option<&[u32]>, caps: CapSet) -> SeccompFilter {
        let sys_admin = caps.has(SYS_ADMIN);
        let knows = match (version, &self.since) {
            (Some(version), Some(since)) => version >= numbers(since).as_slice(),
            _ => true,
        };
        let open = |cap: u32| match self.filter {
            FilterRule::None => true,
            FilterRule::Never => false,
            FilterRule::Caps => sys_admin || knows && caps.has(cap),
            FilterRule::Both => sys_admin && caps.has(cap),
        };
        let refused = |cap: u32| (!open(cap)).then_some(Errno::EPERM);
        SeccompFilter { perf: refused(PERFMON), bpf: refused(BPF), unknown: false }
    }
}

impl Container {
    /// Its runtime.
    #[must_use]
    pub fn data(&self) -> Option<&'static Runtime> {
        Containers::built_in().ok()?.named(self.runtime.as_deref()?)
    }

    /// True if its usual set-up has a user namespace of its own.
    #[must_use]
    pub fn has_user_namespace(&self) -> bool {
        let often = |runtime: &Runtime| runtime.user_ns == Some(UserNamespace::Often);
        self.rootless || self.data().is_some_and(often)
    }
}

/// The numbers of a version.
fn numbers(text: &str) -> Vec<u32> {
    text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

impl FromStr for Container {
    type Err = ContainerError;

    /// `RUNTIME`, `RUNTIME:VERSION` or `container`; with `rootless-` before it, one of an ordinary
    /// user.
    fn from_str(text: &str) -> Result<Self, ContainerError> {
        let (name, version) = match text.split_once(':') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let (rootless, name) = match name.strip_prefix("rootless-") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let data = Containers::built_in().map_err(|_| ContainerError::Data)?;
        let runtime = match name {
            "container" | "rootless" => None,
            name => {
                Some(data.named(name).map(|runtime| runtime.name.clone()).ok_or_else(|| {
                    let names: Vec<_> = data.all.iter().map(|it| it.name.as_str()).collect();
                    ContainerError::Runtime {
                        name: name.to_owned(),
                        close: crate::suggest::closest(name, names.iter().copied()),
                        known: names.join(", "),
                    }
                })?)
            }
        };
        let version = version.map(|text| match numbers(text.trim_start_matches('v')) {
            empty if empty.is_empty() => Err(ContainerError::Version(text.to_owned())),
            numbers => Ok(numbers),
        });
        let rootless = rootless || name == "rootless";
        Ok(Self { runtime, version: version.transpose()?, rootless })
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rootless {
            f.write_str("rootless ")?;
        }
        f.write_str(self.runtime.as_deref().unwrap_or("a container"))?;
        if let Some(version) = &self.version {
            if version == &[0] {
                let since = self.data().and_then(|runtime| runtime.since.as_deref());
                return write!(f, ", older than {}", since.unwrap_or("its rule"));
            }
            let numbers: Vec<_> = version.iter().map(u32::to_string).collect();
            write!(f, " {}", numbers.join("."))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn perf(text: &str, caps: &str) -> Option<Errno> {
        let container: Container = text.parse().unwrap();
        let runtime = container.data().unwrap();
        runtime.filter(container.version.as_deref(), caps.parse().unwrap()).perf
    }

    #[rstest]
    #[case("docker:24", "perfmon", None)]
    #[case("docker:23.0.1", "perfmon", None)]
    #[case("docker:20.10", "perfmon", Some(Errno::EPERM))]
    #[case("docker:20.10", "sys_admin", None)]
    #[case("docker", "none", Some(Errno::EPERM))]
    #[case("podman", "perfmon", Some(Errno::EPERM))]
    #[case("podman", "perfmon+sys_admin", None)]
    #[case("containerd:1.7.2", "perfmon", None)]
    #[case("systemd-nspawn", "all", Some(Errno::EPERM))]
    #[case("lxd", "none", None)]
    #[case("k8s", "none", None)]
    fn a_filter_lets_through_by_version_and_capability(
        #[case] container: &str,
        #[case] caps: &str,
        #[case] refused: Option<Errno>,
    ) {
        assert_eq!(perf(container, caps), refused);
    }

    #[rstest]
    #[case("dockr", "did you mean `docker`?")]
    #[case("docker:new", "is not a version")]
    fn another_text_is_no_container(#[case] text: &str, #[case] words: &str) {
        let error = text.parse::<Container>().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn a_container_of_an_ordinary_user_has_a_user_namespace() {
        let has = |text: &str| text.parse::<Container>().unwrap().has_user_namespace();
        assert!(has("rootless-podman") && has("lxd") && has("rootless"));
        assert!(!has("docker") && !has("kubernetes"));
    }
}
