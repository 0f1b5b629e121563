//! The cases and policies of perfsec, as data that travels inside the program.

use include_dir::{Dir, include_dir};

static SUITE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suite");
static POLICIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

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

/// The CIL source of the policy called `name`, or `None` when there is none.
#[must_use]
pub fn policy(name: &str) -> Option<&'static str> {
    let wanted = format!("{name}.cil");
    texts(&POLICIES).into_iter().find(|(path, _)| *path == wanted).map(|(_, text)| text)
}

/// The names of all policies.
#[must_use]
pub fn policy_names() -> Vec<&'static str> {
    texts(&POLICIES).into_iter().filter_map(|(path, _)| path.strip_suffix(".cil")).collect()
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
    #[test]
    fn the_minimal_policy_travels_along() {
        let text = super::policy("minimal").expect("minimal");
        assert!(text.contains("(class perf_event"));
    }
}
