//! The cases, mutations and policies of perfsec, compiled into the program.

use include_dir::{Dir, include_dir};

static SUITE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suite");
static MUTATIONS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/mutations");
static POLICIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// Prefix of a policy's first line, before the names of the files compiled together with it.
const WITH: &str = "; with: ";

/// Path below `suite/` and text of every case file.
#[must_use]
pub fn suite() -> Vec<(&'static str, &'static str)> {
    texts(&SUITE)
}

/// Text of `functions.toml`: the questions that kernel functions ask.
#[must_use]
pub fn functions() -> &'static str {
    include_str!("../functions.toml")
}

/// Text of `points.toml`: the places in the kernel that decide about perf.
#[must_use]
pub fn points() -> &'static str {
    include_str!("../points.toml")
}

/// Text of `mutants.toml`: the code that mutants are derived from.
#[must_use]
pub fn mutants() -> &'static str {
    include_str!("../mutants.toml")
}

/// Text of `survivors.toml`: the mutants that no cell can notice.
#[must_use]
pub fn survivors() -> &'static str {
    include_str!("../survivors.toml")
}

/// Text of `survey.toml`: the operations of `perfsec survey`.
#[must_use]
pub fn survey() -> &'static str {
    include_str!("../survey.toml")
}

/// Name and text of every mutation: the patch's file name without `.patch`, and the patch.
#[must_use]
pub fn mutations() -> Vec<(&'static str, &'static str)> {
    let patch = |(path, text): (&'static str, _)| Some((path.strip_suffix(".patch")?, text));
    texts(&MUTATIONS).into_iter().filter_map(patch).collect()
}

/// Text of `known.toml`: the known differences between kernels and the cases.
#[must_use]
pub fn known() -> &'static str {
    include_str!("../known.toml")
}

/// Text of `permissions.toml`: what each permission that perf asks for protects.
#[must_use]
pub fn permissions() -> &'static str {
    include_str!("../permissions.toml")
}

/// Text of `policies/domains.toml`: the domains of our policies, and what each may not do.
#[must_use]
pub fn domains() -> &'static str {
    include_str!("../policies/domains.toml")
}

/// The CIL source of the policy `name`: path below `policies/` and text of each file that is
/// compiled into it, the policy's own first. The domains and their rules are missing here: they are
/// generated from [`domains`]. Returns `None` if no policy has this name.
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

/// Name, path and text of each policy. Files in subdirectories are only parts of policies.
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
    fn the_minimal_policy_is_built_in() {
        let files = policy("minimal").expect("minimal");
        assert!(files.iter().any(|(_, text)| text.contains("(class perf_event")));
        assert!(policy_names().contains(&"minimal"));
    }

    #[test]
    fn a_part_is_not_a_policy() {
        assert_eq!(policy("parts/base"), None);
        assert!(policy_names().iter().all(|name| !name.contains('/')));
    }

    #[test]
    fn every_file_that_a_policy_names_exists_and_every_part_is_named() {
        let mut parts: Vec<_> = texts(&POLICIES).into_iter().map(|(path, _)| path).collect();
        parts.retain(|path| path.ends_with(".cil"));
        for name in policy_names() {
            let files = policy(name).expect(name);
            let named = with(files[0].1).count();
            assert_eq!(files.len(), 1 + named, "{name} names a file that does not exist");
            assert!(files[1..].iter().all(|(_, text)| with(text).count() == 0), "{name}");
            parts.retain(|part| files.iter().all(|(path, _)| path != part));
        }
        assert_eq!(parts, [""; 0]);
    }
}
