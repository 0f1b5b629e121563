//! How a kernel that is there already is named on the command line.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::version::VersionPrefix;

/// A kernel that somebody has built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageSpec {
    /// A kernel image or a Debian package: anything without a known prefix.
    File(PathBuf),
    /// `debian:bookworm`: the newest stock kernel of a Debian suite.
    DebianSuite(String),
    /// `debian:6.12`: the newest Debian kernel of that version.
    DebianVersion(VersionPrefix),
}

/// What is wrong with the name of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageSpecError {
    /// There is nothing to look for.
    #[error("read an empty kernel name: give a file, debian:SUITE or debian:VERSION")]
    Empty,
    /// What follows `debian:` is neither a suite nor a version.
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
        let Some(wanted) = text.strip_prefix("debian:") else {
            return text.parse().map(Self::File).map_err(|never: Infallible| match never {});
        };
        if wanted.starts_with(|letter: char| letter.is_ascii_digit()) {
            let prefix = wanted.parse().map_err(|_| ImageSpecError::Debian(wanted.to_owned()))?;
            return Ok(Self::DebianVersion(prefix));
        }
        let of_a_suite = |letter: char| letter.is_ascii_lowercase() || letter == '-';
        if !wanted.is_empty() && wanted.chars().all(of_a_suite) {
            Ok(Self::DebianSuite(wanted.to_owned()))
        } else {
            Err(ImageSpecError::Debian(wanted.to_owned()))
        }
    }
}

impl fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DebianSuite(suite) => write!(f, "debian:{suite}"),
            Self::DebianVersion(prefix) => write!(f, "debian:{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("debian:bookworm", ImageSpec::DebianSuite("bookworm".into()))]
    #[case("debian:trixie-backports", ImageSpec::DebianSuite("trixie-backports".into()))]
    #[case("debian:6.12", ImageSpec::DebianVersion("6.12".parse().unwrap()))]
    #[case("debian:6.12.94", ImageSpec::DebianVersion("6.12.94".parse().unwrap()))]
    #[case("arch/x86/boot/bzImage", ImageSpec::File("arch/x86/boot/bzImage".into()))]
    #[case("./with:colon", ImageSpec::File("./with:colon".into()))]
    fn a_name_is_read_and_shown_alike(#[case] text: &str, #[case] spec: ImageSpec) {
        assert_eq!(text.parse(), Ok(spec.clone()));
        assert_eq!(spec.to_string(), text);
    }

    #[rstest]
    #[case("")]
    #[case("debian:")]
    #[case("debian:6.x")]
    #[case("debian:Bookworm")]
    #[case("debian:../etc")]
    fn a_name_that_says_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<ImageSpec>().is_err());
    }
}
