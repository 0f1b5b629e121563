//! Names of kernel trees on the command line.

use std::fmt;
use std::iter;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::kernel::{DebianSelector, ImageSpecError};

/// `PATH`, or `PATH@REVISION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeSpec {
    /// Location of the tree.
    pub location: TreeLocation,
    /// A git revision; `None` for the current state of the tree.
    pub revision: Option<String>,
}

impl TreeSpec {
    /// The current state of the tree in a directory. An `@` in the path is not a revision.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { location: TreeLocation::Path(path.to_owned()), revision: None }
    }
}

/// Location of a kernel tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeLocation {
    /// A git repository, a directory, a tarball or a Debian package.
    Path(PathBuf),
    /// `debian:6.1` or `debian:bookworm`: a package `linux-source-*` in Debian's archive.
    Debian(DebianSelector),
}

/// A name of a tree that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeSpecError {
    /// The path is empty.
    #[error("read kernel name tree:{0}: expected tree:PATH or tree:PATH@REVISION")]
    NoPath(String),
    /// The revision is empty.
    #[error("read kernel name tree:{0}: expected a revision after @, such as tree:.@HEAD")]
    NoRevision(String),
    /// A revision of a package.
    #[error("read kernel name tree:{0}: a package has no revisions; remove `@REVISION`")]
    PackageRevision(String),
    /// The text after `debian:` is neither a suite nor a version.
    #[error(transparent)]
    Debian(#[from] ImageSpecError),
}

impl FromStr for TreeSpec {
    type Err = TreeSpecError;

    /// Directory names may contain `@`, so the longest path that exists is taken. If none exists,
    /// the revision begins after the last `@`.
    fn from_str(text: &str) -> Result<Self, TreeSpecError> {
        let (path, revision) = split(text, |path| Path::new(path).exists());
        if path.is_empty() {
            return Err(TreeSpecError::NoPath(text.to_owned()));
        }
        if revision == Some("") {
            return Err(TreeSpecError::NoRevision(text.to_owned()));
        }
        let location = path.parse()?;
        if matches!(location, TreeLocation::Debian(_)) && revision.is_some() {
            return Err(TreeSpecError::PackageRevision(text.to_owned()));
        }
        Ok(Self { location, revision: revision.map(str::to_owned) })
    }
}

impl FromStr for TreeLocation {
    type Err = TreeSpecError;

    /// Parses a name without a revision: any `@` belongs to the path.
    fn from_str(text: &str) -> Result<Self, TreeSpecError> {
        Ok(match DebianSelector::parse(text) {
            Some(selector) => Self::Debian(selector?),
            None => Self::Path(text.into()),
        })
    }
}

fn split(text: &str, exists: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
    // `@{` is part of a revision, as in `HEAD@{1}`.
    let signs = text.rmatch_indices('@').filter(|(at, _)| !text[at + 1..].starts_with('{'));
    let mut revisions = signs.map(|(at, _)| (&text[..at], Some(&text[at + 1..]))).peekable();
    let last = revisions.peek().copied();
    let mut readings = iter::once((text, None)).chain(revisions);
    readings.find(|(path, _)| exists(path)).or(last).unwrap_or((text, None))
}

impl fmt::Display for TreeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.location {
            TreeLocation::Path(path) => write!(f, "{}", path.display())?,
            TreeLocation::Debian(selector) => write!(f, "{selector}")?,
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
    fn a_tree_is_displayed_as_it_was_given(
        #[case] text: &str,
        #[case] path: &str,
        #[case] revision: Option<&str>,
    ) {
        let spec: TreeSpec = text.parse().unwrap();
        assert_eq!(spec.location, TreeLocation::Path(path.into()));
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
    fn the_longest_path_that_exists_is_taken(
        #[case] text: &str,
        #[case] existing: &[&str],
        #[case] path: &str,
        #[case] revision: Option<&str>,
    ) {
        assert_eq!(split(text, |path| existing.contains(&path)), (path, revision));
    }

    #[test]
    fn a_package_has_no_revisions() {
        let spec: TreeSpec = "debian:6.1".parse().unwrap();
        let selector = DebianSelector::Version("6.1".parse().unwrap());
        assert_eq!(spec.location, TreeLocation::Debian(selector));
        assert_eq!(spec.to_string(), "debian:6.1");
        assert!("debian:6.1@HEAD".parse::<TreeSpec>().is_err());
    }

    #[rstest]
    #[case("")]
    #[case("@HEAD")]
    #[case(".@")]
    fn a_tree_without_a_path_or_with_an_empty_revision_is_refused(#[case] text: &str) {
        assert!(text.parse::<TreeSpec>().is_err());
    }
}
