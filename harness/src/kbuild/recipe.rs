//! Build recipes: everything that determines a kernel, apart from its source and tools.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use super::kconfig::{DEFAULT, Fragment, FragmentError};
use crate::host::Need;

/// A build recipe.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Fragments merged over `tinyconfig`, in this order.
    pub fragments: Vec<Fragment>,
    /// The user's variables for `make`: `LLVM=1`, `CROSS_COMPILE=…`.
    pub variables: Vec<Variable>,
    /// Number of parallel compilers; does not affect the kernel.
    pub jobs: usize,
    /// The form of the image.
    pub image: ImageForm,
    /// The build directory's name, for recipes that are built one after another and share objects.
    /// `None` for a directory of its own. Does not affect the kernel.
    pub shared: Option<&'static str>,
}

/// The form of the image that is built and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageForm {
    /// The one that QEMU boots soonest: with a PVH entry the uncompressed kernel, because compressing
    /// it would take a third of a small build's time.
    #[default]
    Soonest,
    /// A bzImage, the only one that another kernel loads (`kexec_file_load(2)`).
    BzImage,
}

/// A variable of `make`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Letters, digits and underscores.
    pub name: String,
    /// Any text; may be empty.
    pub value: String,
}

/// A variable that a build cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Not `NAME=VALUE`.
    #[error("expected NAME=VALUE, such as LLVM=1")]
    NotAVariable,
    /// It would move the output or change the kernel in a way that the record does not show.
    #[error("{0} is reserved: perfsec sets it itself")]
    Reserved(String),
    /// An empty program name.
    #[error("{0} must name a program")]
    NoProgram(String),
}

/// Variables that perfsec sets itself: paths, the architecture, and those that would make builds
/// differ.
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

/// Variables with a program that perfsec runs with `--version`.
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
    /// A recipe with these fragments, the host's compiler, and one job per CPU.
    #[must_use]
    pub fn new(fragments: Vec<Fragment>) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let (variables, image) = (Vec::new(), ImageForm::default());
        Self { fragments, variables, jobs, image, shared: None }
    }

    /// The default recipe, with the fragments that every case needs.
    ///
    /// # Errors
    ///
    /// One of the fragments cannot be read.
    pub fn default_recipe() -> Result<Self, FragmentError> {
        let fragments = DEFAULT.iter().map(|name| Fragment::load(name));
        Ok(Self::new(fragments.collect::<Result<_, _>>()?))
    }

    /// The tools that the host must have. A compiler named by the user is checked when it runs.
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

    /// The last value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let named = self.variables.iter().filter(|variable| variable.name == name);
        named.map(|variable| variable.value.as_str()).next_back()
    }

    /// SHA-256, in hexadecimal, of everything that affects the kernel.
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
        if self.image == ImageForm::BzImage {
            part("bzImage");
        }
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
    fn malformed_and_reserved_variables_are_refused(#[case] text: &str) {
        assert!(text.parse::<Variable>().is_err());
    }

    #[test]
    fn the_hash_covers_variables_and_the_form_of_the_image_but_not_jobs() {
        let recipe = Recipe::new(Vec::new());
        let more = Recipe { jobs: recipe.jobs + 1, ..recipe.clone() };
        assert_eq!(recipe.sha256(), more.sha256());
        let other = Recipe { variables: vec!["LLVM=1".parse().unwrap()], ..recipe.clone() };
        assert_ne!(recipe.sha256(), other.sha256());
        let packed = Recipe { image: ImageForm::BzImage, ..recipe.clone() };
        assert_ne!(recipe.sha256(), packed.sha256());
    }
}
