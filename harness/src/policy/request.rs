//! Requests for policies: a name, and changes to the policy.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::DEFAULT;
use super::compile::PolicyError;
use super::extended::Machine;
use super::vector::is_name;
use crate::cache::Cache;
use crate::guest::GuestName;
use crate::interrupt::Interrupt;
use crate::kernel::{ImageOptions, archive_name};

/// The priority that `semodule --install` gives a module.
pub const DEFAULT_PRIORITY: u16 = 400;

/// A policy to obtain, with changes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    /// The policy.
    pub source: PolicySource,
    /// Modules to add.
    pub modules: Vec<ModuleFile>,
    /// Booleans to set.
    pub booleans: Vec<BooleanSetting>,
    /// False to remove all `dontaudit` rules, as `semodule --disable_dontaudit` does.
    pub dontaudit: bool,
}

/// A name of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// The name of a built-in policy, or a path.
    Named(String),
    /// `debian:SUITE` or `debian:VERSION`; `debian-mls:` for the policy with levels.
    Debian {
        /// The suite or version.
        selector: PolicySelector,
        /// The type of the policy.
        flavour: Flavour,
    },
    /// The policy that the kernel of a machine has loaded: its file there, or a copy.
    Loaded(PathBuf),
    /// The policy that a machine has loaded, with our domains in addition.
    Extended(Machine),
    /// The policy of a guest system, which loads it itself.
    Guest {
        /// The system.
        system: GuestName,
        /// The binary policy in its image.
        path: PathBuf,
    },
}

/// A suite of Debian, or a version of its policy package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicySelector {
    /// The newest policy of a suite.
    Suite(String),
    /// The newest policy whose version begins with this.
    Version(String),
}

/// The policies that Debian builds from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// `selinux-policy-default`: categories and one level.
    Default,
    /// `selinux-policy-mls`: categories and levels.
    Mls,
}

/// A file with a module, and its priority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleFile {
    /// CIL source (`.cil`) or a policy package (`.pp`).
    pub path: PathBuf,
    /// From 1 to 999. Of modules with one name, that with the highest priority counts.
    pub priority: u16,
}

/// A name of a policy or a change that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyNameError {
    /// The text after `debian:` is neither a suite nor a version.
    #[error(
        "read policy name {0}: expected debian:SUITE (debian:trixie), debian:VERSION \
         (debian:2.20250213), or the same with debian-mls: (debian-mls:trixie)"
    )]
    Debian(String),
    /// A distribution whose archive perfsec does not read.
    #[error(
        "fetch the policy {name}: perfsec fetches only Debian's; download {distribution}'s policy \
         package and give its file, or give a directory like /etc/selinux/TYPE"
    )]
    NoArchive {
        /// As given by the user.
        name: String,
        /// The distribution.
        distribution: String,
    },
    /// The priority of a module is not a number from 1 to 999.
    #[error("read module {0}: expected FILE or FILE:PRIORITY, with a priority from 1 to 999")]
    Module(String),
    /// The value of a boolean is neither `on` nor `off`.
    #[error("read boolean {0}: expected NAME=on or NAME=off")]
    Boolean(String),
}

/// A boolean of a policy, with the value to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BooleanSetting {
    /// Its name.
    pub name: String,
    /// True for `on`.
    pub value: bool,
}

impl FromStr for ModuleFile {
    type Err = PolicyNameError;

    fn from_str(text: &str) -> Result<Self, PolicyNameError> {
        let (path, priority) = match text.rsplit_once(':') {
            Some((path, number)) => {
                let priority = number.parse().ok().filter(|it| (1..=999).contains(it));
                (path, priority.ok_or_else(|| PolicyNameError::Module(text.to_owned()))?)
            }
            None => (text, DEFAULT_PRIORITY),
        };
        Ok(Self { path: path.into(), priority })
    }
}

impl FromStr for BooleanSetting {
    type Err = PolicyNameError;

    fn from_str(text: &str) -> Result<Self, PolicyNameError> {
        let (name, value) = match text.split_once('=') {
            Some((name, "on")) => (name, true),
            Some((name, "off")) => (name, false),
            _ => return Err(PolicyNameError::Boolean(text.to_owned())),
        };
        if !is_name(name) {
            return Err(PolicyNameError::Boolean(text.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

/// The cache, the archive and the user, as obtaining a policy needs them.
#[derive(Clone, Copy)]
pub struct Obtaining<'a> {
    /// Keeps packages, stores and compiled policies.
    pub cache: &'a Cache,
    /// Options for Debian's archive.
    pub images: ImageOptions,
    /// Ends slow work.
    pub interrupt: &'a Interrupt,
    /// Gets a line, without a newline, before slow steps.
    pub progress: &'a dyn Fn(&str),
}

/// The policy of a run that requests none.
impl Default for PolicyRequest {
    fn default() -> Self {
        Self::unchanged(PolicySource::Named(DEFAULT.to_owned()))
    }
}

impl PolicyRequest {
    /// The policy as it is.
    #[must_use]
    pub fn unchanged(source: PolicySource) -> Self {
        Self { source, modules: Vec::new(), booleans: Vec::new(), dontaudit: true }
    }
}

#[cfg(test)]
impl<'a> Obtaining<'a> {
    /// For tests: nothing is shown or interrupted.
    pub(crate) fn quietly(cache: &'a Cache) -> Self {
        static NEVER: std::sync::LazyLock<Interrupt> = std::sync::LazyLock::new(Interrupt::default);
        Self { cache, images: ImageOptions::default(), interrupt: &NEVER, progress: &|_| {} }
    }
}

/// Checks that a run can tell its policies apart.
///
/// # Errors
///
/// [`PolicyError::Twice`]
pub fn require_distinct(requests: &[PolicyRequest]) -> Result<(), PolicyError> {
    let names: Vec<_> = requests.iter().map(|request| request.source.to_string()).collect();
    let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
    twice.map_or(Ok(()), |(_, name)| Err(PolicyError::Twice { name: name.clone() }))
}

impl Flavour {
    fn prefix(self) -> &'static str {
        match self {
            Self::Default => "debian",
            Self::Mls => "debian-mls",
        }
    }

    /// The name of its package, and of its type in `/etc/selinux/config`.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Default => ("selinux-policy-default", "default"),
            Self::Mls => ("selinux-policy-mls", "mls"),
        }
    }
}

impl PolicySource {
    /// The path, if it may be one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Named(name) => Some(Path::new(name)),
            Self::Debian { .. } | Self::Guest { .. } | Self::Loaded(_) | Self::Extended(_) => None,
        }
    }
}

impl FromStr for PolicySource {
    type Err = PolicyNameError;

    fn from_str(text: &str) -> Result<Self, PolicyNameError> {
        let prefixed = [Flavour::Default, Flavour::Mls].into_iter().find_map(|flavour| {
            Some((flavour, text.strip_prefix(flavour.prefix())?.strip_prefix(':')?))
        });
        let Some((flavour, name)) = prefixed else {
            return match archive_name(text) {
                Some(distribution) => Err(PolicyNameError::NoArchive {
                    name: text.to_owned(),
                    distribution: distribution.to_owned(),
                }),
                None => Ok(Self::Named(text.to_owned())),
            };
        };
        let error = || PolicyNameError::Debian(text.to_owned());
        let in_suite = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let in_version = |letter: char| {
            letter.is_ascii_alphanumeric() || matches!(letter, '.' | '+' | '-' | '~' | ':')
        };
        let selector = if name.starts_with(|letter: char| letter.is_ascii_digit()) {
            name.chars().all(in_version).then(|| PolicySelector::Version(name.to_owned()))
        } else {
            let is_suite = !name.is_empty() && name.chars().all(in_suite);
            is_suite.then(|| PolicySelector::Suite(name.to_owned()))
        };
        Ok(Self::Debian { selector: selector.ok_or_else(error)?, flavour })
    }
}

impl fmt::Display for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Debian { selector, flavour } => {
                let (PolicySelector::Suite(name) | PolicySelector::Version(name)) = selector;
                write!(f, "{}:{name}", flavour.prefix())
            }
            Self::Guest { system, .. } => system.fmt(f),
            Self::Loaded(_) => f.write_str("loaded"),
            Self::Extended(_) => f.write_str("loaded+perfsec"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("debian:trixie")]
    #[case("debian-mls:trixie")]
    #[case("debian:2:2.20250213-13~deb13u1")]
    #[case("minimal")]
    #[case("/etc/selinux/targeted")]
    fn a_name_is_displayed_as_it_was_given(#[case] text: &str) {
        let source: PolicySource = text.parse().unwrap();
        assert_eq!(source.to_string(), text);
        assert_eq!(matches!(source, PolicySource::Debian { .. }), text.starts_with("debian"));
    }

    #[rstest]
    #[case("debian:")]
    #[case("debian:Trixie")]
    #[case("debian:trixie/mls")]
    #[case("fedora:42")]
    #[case("debian:../etc")]
    #[case("debian:2;reboot")]
    fn a_name_that_selects_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<PolicySource>().is_err());
    }

    #[rstest]
    #[case("site.cil", Some(400))]
    #[case("site.pp:500", Some(500))]
    #[case("site.pp:0", None)]
    #[case("site.pp:1000", None)]
    #[case("site.pp:", None)]
    fn a_module_has_a_priority(#[case] text: &str, #[case] priority: Option<u16>) {
        let module = text.parse::<ModuleFile>().ok();
        assert_eq!(module.map(|module| module.priority), priority);
    }

    #[rstest]
    #[case("deny_ptrace=on", Some(true))]
    #[case("deny_ptrace=off", Some(false))]
    #[case("deny_ptrace=1", None)]
    #[case("deny_ptrace", None)]
    #[case("=on", None)]
    #[case("a b=on", None)]
    fn a_boolean_is_on_or_off(#[case] text: &str, #[case] value: Option<bool>) {
        let setting = text.parse::<BooleanSetting>().ok();
        assert_eq!(setting.map(|setting| setting.value), value);
    }
}
