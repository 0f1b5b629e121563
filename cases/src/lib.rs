//! The cases and policies of perfsec, as data that travels inside the program.

use include_dir::{Dir, include_dir};

static SUITE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suite");
static MUTATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mutations");
static POLICIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// How the first line of a policy names the files that are compiled together with it.
const WITH: &str = "; with: ";

/// Every case file: its path below `suite/` and its text.
#[must_use]
pub fn suite() -> Vec<(&'static str, &'static str)> {
    texts(&SUITE)
}

/// The places in the kernel that decide about perf: `points.toml`.
#[must_use]
pub fn points() -> &'static str {
    include_str!("../points.toml")
}

/// Every mutation: the name of its patch without the ending, and the patch.
#[must_use]
pub fn mutations() -> Vec<(&'static str, &'static str)> {
    let patch = |(path, text): (&'static str, _)| Some((path.strip_suffix(".patch")?, text));
    texts(&MUTATIONS).into_iter().filter_map(patch).collect()
}

/// What kernels are known to do otherwise: `known.toml`.
#[must_use]
pub fn known() -> &'static str {
    include_str!("../known.toml")
}

/// What the permissions that perf asks for are about: `permissions.toml`.
#[must_use]
pub fn permissions() -> &'static str {
    include_str!("../permissions.toml")
}

/// The CIL source of the policy called `name`, or `None` when there is none: the files that are
/// compiled together, each as its path below `policies/` and its text.
#[must_use]
pub fn policy(name: &str) -> Option<Vec<(&'static str, &'static str)>> {
    let own = policies().find(|(known, _, _)| *known == name);
    own.map(|(_, path, text)| {
        let named = with(text).filter_map(|part| {
            let file = POLICIES.get_file(part)?;
            Some((file.path().to_str()?, file.contents_utf8()?))
        });
        std::iter::once((path, text)).chain(named).collect()
    })
}

/// The names of all policies.
#[must_use]
pub fn policy_names() -> Vec<&'static str> {
    policies().map(|(name, _, _)| name).collect()
}

/// Name, path and text of each. What lies deeper is only there to be named by these.
fn policies() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    texts(&POLICIES).into_iter().filter_map(|(path, text)| {
        let name = path.strip_suffix(".cil").filter(|name| !name.contains('/'))?;
        Some((name, path, text))
    })
}

fn with(text: &'static str) -> impl Iterator<Item = &'static str> {
    let first = text.lines().next().and_then(|line| line.strip_prefix(WITH));
    first.into_iter().flat_map(str::split_whitespace)
}

fn texts(directory: &'static Dir<'static>) -> Vec<(&'static str, &'static str)> {
    let own =
        directory.files().filter_map(|file| Some((file.path().to_str()?, file.contents_utf8()?)));
    let mut found: Vec<_> = own.collect();
    found.extend(directory.dirs().flat_map(texts));
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimal_policy_travels_along() {
        let files = policy("minimal").expect("minimal");
        assert!(files.iter().any(|(_, text)| text.contains("(class perf_event")));
        assert!(policy_names().contains(&"minimal"));
    }

    #[test]
    fn a_part_is_no_policy() {
        assert_eq!(policy("parts/base"), None);
        assert!(policy_names().iter().all(|name| !name.contains('/')));
    }

    #[test]
    fn every_file_that_a_policy_names_is_there_and_every_part_is_named() {
        let mut parts: Vec<_> = texts(&POLICIES).into_iter().map(|(path, _)| path).collect();
        for name in policy_names() {
            let files = policy(name).expect(name);
            let named = with(files[0].1).count();
            assert_eq!(files.len(), 1 + named, "{name} names a file that is not there");
            assert!(files[1..].iter().all(|(_, text)| with(text).count() == 0), "{name}");
            parts.retain(|part| files.iter().all(|(path, _)| path != part));
        }
        assert_eq!(parts, [""; 0]);
    }
}
