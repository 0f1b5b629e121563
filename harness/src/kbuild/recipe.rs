//! How a kernel is built: what decides what comes out.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::kconfig::{DEFAULT, Fragment, FragmentError};
use crate::host::Need;

/// How a kernel is built.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What is merged over `tinyconfig`, the last one last.
    pub fragments: Vec<Fragment>,
    /// What `make` is given beside what perfsec gives it: `LLVM=1`, `CROSS_COMPILE=…`.
    pub variables: Vec<Variable>,
    /// Compilers that run at the same time; does not decide what comes out.
    pub jobs: usize,
}

/// A variable of `make`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What is no variable of a build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// It is not `NAME=VALUE`.
    #[error("expected NAME=VALUE, such as LLVM=1")]
    NotAVariable,
    /// It would make perfsec look for the kernel elsewhere, or build another than it says.
    #[error("{0} is what perfsec sets itself")]
    Reserved(String),
    /// It takes a program away.
    #[error("{0} has to name a program")]
    NoProgram(String),
}

/// What perfsec sets: where things are, which machine it is for, and what would make two builds differ.
const RESERVED: &[&str] = &[
    "O",
    "ARCH",
    "GNUMAKEFLAGS",
    "INSTALL_PATH",
    "KBUILD_OUTPUT",
    "KCONFIG_CONFIG",
    "LOCALVERSION",
    "M",
    "MAKEFLAGS",
    "MFLAGS",
];

/// What names a program that perfsec asks for its version.
const PROGRAMS: &[&str] = &["CC", "LD"];

impl FromStr for Variable {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, VariableError> {
        let (name, value) = text.split_once('=').ok_or(VariableError::NotAVariable)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(letter) {
            return Err(VariableError::NotAVariable);
        }
        if RESERVED.contains(&name) || name.starts_with("KBUILD_BUILD_") {
            return Err(VariableError::Reserved(name.to_owned()));
        }
        if PROGRAMS.contains(&name) && value.trim().is_empty() {
            return Err(VariableError::NoProgram(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

impl Recipe {
    /// With these fragments, the host's compiler, and one job for each CPU.
    #[must_use]
    pub fn new(fragments: Vec<Fragment>) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Self { fragments, variables: Vec::new(), jobs }
    }

    /// The fragments that every case needs, and nothing else.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read.
    pub fn by_default() -> Result<Self, FragmentError> {
        let fragments = DEFAULT.iter().map(|name| Fragment::named_or_file(name));
        Ok(Self::new(fragments.collect::<Result<_, _>>()?))
    }

    /// What the host must have. A compiler of the user's own is looked for by its name.
    pub(super) fn needs(&self) -> Vec<Need> {
        let compiler = match (self.variable("CC"), self.variable("LLVM")) {
            (Some(_), _) => None,
            (None, Some(llvm)) if llvm != "1" => None,
            (None, Some(_)) => Some(Need::Llvm),
            (None, None) if self.variable("CROSS_COMPILE").is_some() => None,
            (None, None) => Some(Need::Gcc),
        };
        std::iter::once(Need::KernelBuild).chain(compiler).collect()
    }

    /// A variable's value, the last one given.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let of_name = self.variables.iter().filter(|variable| variable.name == name);
        of_name.map(|variable| variable.value.as_str()).next_back()
    }

    /// SHA-256 of all of it that decides what comes out, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        self.fragments.iter().for_each(|fragment| part(&fragment.text));
        part("make");
        self.variables.iter().for_each(|variable| part(&variable.to_string()));
        crate::hex(&hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let variables =
            ["LLVM=1", "CC=gcc", "CC=gcc-12"].map(|text| text.parse().unwrap()).to_vec();
        let recipe = Recipe { variables, ..Recipe::new(Vec::new()) };
        assert_eq!(recipe.variable("CC"), Some("gcc-12"));
        assert_eq!(recipe.variable("LD"), None);
    }

    #[rstest]
    #[case("LLVM")]
    #[case("=1")]
    #[case("a b=1")]
    #[case("O=/tmp")]
    #[case("KBUILD_BUILD_USER=me")]
    #[case("MAKEFLAGS=-n")]
    #[case("CC=")]
    fn what_make_could_go_astray_with_is_refused(#[case] text: &str) {
        assert!(text.parse::<Variable>().is_err());
    }

    #[test]
    fn what_decides_what_comes_out_is_hashed_and_the_rest_is_not() {
        let recipe = Recipe::new(Vec::new());
        let more = Recipe { jobs: recipe.jobs + 1, ..recipe.clone() };
        assert_eq!(recipe.sha256(), more.sha256());
        let other = Recipe { variables: vec!["LLVM=1".parse().unwrap()], ..recipe.clone() };
        assert_ne!(recipe.sha256(), other.sha256());
    }
}
