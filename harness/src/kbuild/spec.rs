//! How a kernel that is built from source is named on the command line.

use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::kernel::{ImageSpec, ImageSpecError};
use crate::source::DebianWanted;

/// `PATH`, or `PATH@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeSpec {
    /// Where the tree is.
    pub place: TreeLocation,
    /// The revision of it; without one, the tree as it is.
    pub revision: Option<String>,
}

/// Where a kernel tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeLocation {
    /// A git repository, a directory, a tarball or a Debian package.
    Path(PathBuf),
    /// `debian:6.1` or `debian:bookworm`: the newest package `linux-source-*` of that version or suite.
    Debian(DebianWanted),
}

/// What is wrong with the name of a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeSpecError {
    /// There is no path.
    #[error("read kernel name tree:{0}: expected tree:PATH or tree:PATH@REVISION")]
    NoPath(String),
    /// There is no revision.
    #[error("read kernel name tree:{0}: expected a revision after @, such as tree:.@HEAD")]
    NoRevision(String),
    /// A package has none.
    #[error("read kernel name tree:{0}: a package has no revisions; leave @… away")]
    PackageRevision(String),
    /// It is Debian's, and neither a suite nor a version.
    #[error(transparent)]
    Debian(#[from] ImageSpecError),
}

impl FromStr for TreeSpec {
    type Err = TreeSpecError;

    /// Directories may have `@` in their names. So the path is the longest that is there; when none is, the
    /// revision begins after the last `@`.
    fn from_str(text: &str) -> Result<Self, TreeSpecError> {
        let (path, revision) = split(text, |path| Path::new(path).exists());
        if path.is_empty() {
            return Err(TreeSpecError::NoPath(text.to_owned()));
        }
        if revision == Some("") {
            return Err(TreeSpecError::NoRevision(text.to_owned()));
        }
        let place = path.parse()?;
        if matches!(place, TreeLocation::Debian(_)) && revision.is_some() {
            return Err(TreeSpecError::PackageRevision(text.to_owned()));
        }
        Ok(Self { place, revision: revision.map(str::to_owned) })
    }
}

impl FromStr for TreeLocation {
    type Err = TreeSpecError;

    /// Without a revision: every `@` is one of the path.
    fn from_str(text: &str) -> Result<Self, TreeSpecError> {
        if !text.starts_with("debian:") {
            return Ok(Self::Path(text.into()));
        }
        Ok(match text.parse()? {
            ImageSpec::DebianSuite(suite) => Self::Debian(DebianWanted::Suite(suite)),
            ImageSpec::DebianVersion(version) => Self::Debian(DebianWanted::Version(version)),
            ImageSpec::File(path) => Self::Path(path),
        })
    }
}

fn split(text: &str, exists: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
    // What follows `@{` is part of a revision, as in `HEAD@{1}`.
    let places = text.rmatch_indices('@').filter(|(at, _)| !text[at + 1..].starts_with('{'));
    let mut revisions = places.map(|(at, _)| (&text[..at], Some(&text[at + 1..]))).peekable();
    let last = revisions.peek().copied();
    let mut readings = iter::once((text, None)).chain(revisions);
    readings.find(|(path, _)| exists(path)).or(last).unwrap_or((text, None))
}

impl fmt::Display for TreeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            TreeLocation::Path(path) => write!(f, "{}", path.display())?,
            TreeLocation::Debian(DebianWanted::Suite(suite)) => write!(f, "debian:{suite}")?,
            TreeLocation::Debian(DebianWanted::Version(version)) => write!(f, "debian:{version}")?,
        }
        self.revision.iter().try_for_each(|revision| write!(f, "@{revision}"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(".", ".", None)]
    #[case("/src/linux@v6.1", "/src/linux", Some("v6.1"))]
    #[case(".@HEAD@{1}", ".", Some("HEAD@{1}"))]
    #[case("a@b@c", "a@b", Some("c"))]
    #[case("linux-6.1.tar.xz", "linux-6.1.tar.xz", None)]
    fn a_tree_is_read_and_shown_alike(
        #[case] text: &str,
        #[case] path: &str,
        #[case] revision: Option<&str>,
    ) {
        let spec: TreeSpec = text.parse().unwrap();
        assert_eq!(spec.place, TreeLocation::Path(path.into()));
        assert_eq!(spec.revision.as_deref(), revision);
        assert_eq!(spec.to_string(), text);
    }

    #[rstest]
    #[case("a@b", &["a", "a@b"], "a@b", None)]
    #[case("a@b@v1", &["a", "a@b"], "a@b", Some("v1"))]
    #[case("a@b@v1", &["a"], "a", Some("b@v1"))]
    #[case("a@b@v1", &[], "a@b", Some("v1"))]
    #[case("a@b@HEAD@{1}", &["a@b"], "a@b", Some("HEAD@{1}"))]
    #[case("a@@{u}", &["a"], "a", Some("@{u}"))]
    #[case("a@@", &["a"], "a", Some("@"))]
    fn the_longest_path_that_is_there_is_meant(
        #[case] text: &str,
        #[case] there: &[&str],
        #[case] path: &str,
        #[case] revision: Option<&str>,
    ) {
        assert_eq!(split(text, |path| there.contains(&path)), (path, revision));
    }

    #[test]
    fn a_package_is_a_place_without_revisions() {
        let spec: TreeSpec = "debian:6.1".parse().unwrap();
        assert_eq!(spec.place, TreeLocation::Debian(DebianWanted::Version("6.1".parse().unwrap())));
        assert_eq!(spec.to_string(), "debian:6.1");
        assert!("debian:6.1@HEAD".parse::<TreeSpec>().is_err());
    }

    #[rstest]
    #[case("")]
    #[case("@HEAD")]
    #[case(".@")]
    fn a_tree_that_says_nothing_is_refused(#[case] text: &str) {
        assert!(text.parse::<TreeSpec>().is_err());
    }
}
