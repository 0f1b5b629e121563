//! Names of kernel images and packages on the command line.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::version::VersionPrefix;

/// The prefix of a kernel, or a kernel source, in Debian's archive.
const DEBIAN: &str = "debian:";

/// A kernel that is already built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageSpec {
    /// A kernel image or a Debian package: a name without a known prefix.
    File(PathBuf),
    /// `debian:bookworm` or `debian:6.12`: a kernel in Debian's archive.
    Debian(DebianSelector),
}

/// A kernel, or the source of one, in Debian's archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DebianSelector {
    /// The stock kernel of a suite: `debian:bookworm`.
    Suite(String),
    /// The newest kernel of a version, over all suites: `debian:6.12`.
    Version(VersionPrefix),
}

/// A name of a kernel that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageSpecError {
    /// The name is empty.
    #[error("read an empty kernel name: give a file, debian:SUITE or debian:VERSION")]
    Empty,
    /// A distribution whose archive perfsec does not read.
    #[error(
        "fetch the kernel {name}: perfsec fetches only Debian's; download {distribution}'s kernel \
         package (kernel-core, kernel-default) and give its file, or build a tree (tree:PATH)"
    )]
    NoArchive {
        /// As given by the user.
        name: String,
        /// The distribution.
        distribution: String,
    },
    /// The text after `debian:` is neither a suite nor a version.
    #[error(
        "read kernel name debian:{0}: expected a suite (debian:trixie) or a version (debian:6.12)"
    )]
    Debian(String),
}

impl FromStr for ImageSpec {
    type Err = ImageSpecError;

    fn from_str(text: &str) -> Result<Self, ImageSpecError> {
        if text.is_empty() {
            return Err(ImageSpecError::Empty);
        }
        match (DebianSelector::parse(text), archive_name(text)) {
            (Some(selector), _) => selector.map(Self::Debian),
            (None, Some(distribution)) => Err(ImageSpecError::NoArchive {
                name: text.to_owned(),
                distribution: distribution.to_owned(),
            }),
            (None, None) => {
                text.parse().map(Self::File).map_err(|never: Infallible| match never {})
            }
        }
    }
}

/// The distribution in a name like `fedora:42`, if its archive is one that perfsec does not read.
/// A file of that name is `./fedora:42`.
pub(crate) fn archive_name(text: &str) -> Option<&'static str> {
    const DISTRIBUTIONS: [(&str, &str); 11] = [
        ("almalinux", "AlmaLinux"),
        ("alpine", "Alpine"),
        ("arch", "Arch"),
        ("centos", "CentOS"),
        ("fedora", "Fedora"),
        ("gentoo", "Gentoo"),
        ("opensuse", "openSUSE"),
        ("rhel", "RHEL"),
        ("rocky", "Rocky Linux"),
        ("suse", "SUSE"),
        ("ubuntu", "Ubuntu"),
    ];
    let (prefix, _) = text.split_once(':')?;
    DISTRIBUTIONS.iter().find(|(name, _)| *name == prefix).map(|(_, name)| *name)
}

impl DebianSelector {
    /// Parses a name with the prefix `debian:`; returns `None` for any other name.
    pub(crate) fn parse(text: &str) -> Option<Result<Self, ImageSpecError>> {
        let name = text.strip_prefix(DEBIAN)?;
        let error = || ImageSpecError::Debian(name.to_owned());
        if name.starts_with(|letter: char| letter.is_ascii_digit()) {
            return Some(name.parse().map(Self::Version).map_err(|_| error()));
        }
        let in_suite = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        let is_suite = !name.is_empty() && name.chars().all(in_suite);
        Some(if is_suite { Ok(Self::Suite(name.to_owned())) } else { Err(error()) })
    }
}

impl fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Debian(selector) => selector.fmt(f),
        }
    }
}

impl fmt::Display for DebianSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suite(suite) => write!(f, "{DEBIAN}{suite}"),
            Self::Version(prefix) => write!(f, "{DEBIAN}{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn suite(name: &str) -> ImageSpec {
        ImageSpec::Debian(DebianSelector::Suite(name.to_owned()))
    }

    fn version(prefix: &str) -> ImageSpec {
        ImageSpec::Debian(DebianSelector::Version(prefix.parse().unwrap()))
    }

    #[rstest]
    #[case("debian:bookworm", suite("bookworm"))]
    #[case("debian:trixie-backports", suite("trixie-backports"))]
    #[case("debian:6.12", version("6.12"))]
    #[case("debian:6.12.94", version("6.12.94"))]
    #[case("arch/x86/boot/bzImage", ImageSpec::File("arch/x86/boot/bzImage".into()))]
    #[case("./with:colon", ImageSpec::File("./with:colon".into()))]
    fn a_name_is_displayed_as_it_was_given(#[case] text: &str, #[case] spec: ImageSpec) {
        assert_eq!(text.parse(), Ok(spec.clone()));
        assert_eq!(spec.to_string(), text);
    }

    #[rstest]
    #[case("")]
    #[case("debian:")]
    #[case("debian:6.x")]
    #[case("debian:Bookworm")]
    #[case("debian:../etc")]
    #[case("fedora:42")]
    fn a_name_that_selects_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<ImageSpec>().is_err());
    }
}
