//! The suites of Debian's archive.

use std::fmt;

/// A suite of Debian's archive that perfsec knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SuiteEntry {
    name: &'static str,
    /// A stable release, with suites for `-updates` and `-security`.
    release: bool,
    /// True if a search by version includes it. It does not include testing: unstable has or had
    /// the same packages, and testing's lists are just as long.
    searched: bool,
}

const KNOWN: [SuiteEntry; 11] = [
    SuiteEntry { name: "bullseye", release: true, searched: true },
    SuiteEntry { name: "bookworm", release: true, searched: true },
    SuiteEntry { name: "bookworm-backports", release: false, searched: true },
    SuiteEntry { name: "trixie", release: true, searched: true },
    SuiteEntry { name: "trixie-backports", release: false, searched: true },
    SuiteEntry { name: "forky", release: false, searched: false },
    SuiteEntry { name: "sid", release: false, searched: true },
    SuiteEntry { name: "experimental", release: false, searched: true },
    SuiteEntry { name: "stable", release: true, searched: false },
    SuiteEntry { name: "testing", release: false, searched: false },
    SuiteEntry { name: "unstable", release: false, searched: false },
];

/// A suite to search.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DebianSuite {
    name: String,
    release: bool,
}

/// One line of a sources list: a suite of one of the two archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuitePart {
    /// Name in the archive, such as `bookworm-updates`.
    pub(super) name: String,
    /// True if it is in the security archive.
    pub(super) security: bool,
}

impl DebianSuite {
    /// The suite with this name, if it is known or `host_suite` (a release newer than this
    /// program).
    pub(super) fn find(name: &str, host_suite: Option<&str>) -> Option<Self> {
        let known = KNOWN.iter().find(|known| known.name == name).map(|known| known.release);
        let release = known.or_else(|| (host_suite == Some(name)).then_some(true))?;
        Some(Self { name: name.to_owned(), release })
    }

    /// The suites that a search by version includes.
    pub(super) fn search_list(host_suite: Option<&str>) -> Vec<Self> {
        let mut suites: Vec<Self> = KNOWN
            .iter()
            .filter(|known| known.searched)
            .map(|known| Self { name: known.name.to_owned(), release: known.release })
            .collect();
        let unknown = |host: &&str| KNOWN.iter().all(|known| known.name != *host);
        if let Some(host) = host_suite.filter(unknown) {
            suites.push(Self { name: host.to_owned(), release: true });
        }
        suites
    }

    /// The names of all known suites.
    pub(super) fn names() -> Vec<&'static str> {
        KNOWN.iter().map(|known| known.name).collect()
    }

    /// The suite's name, such as `bookworm`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The suite itself, then the `-updates` and `-security` suites of a release.
    pub(super) fn parts(&self) -> Vec<SuitePart> {
        let part = |name: String, security| SuitePart { name, security };
        let mut parts = vec![part(self.name.clone(), false)];
        if self.release {
            parts.push(part(format!("{}-updates", self.name), false));
            parts.push(part(format!("{}-security", self.name), true));
        }
        parts
    }
}

impl fmt::Display for DebianSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_a_security_suite_and_backports_have_none() {
        let names = |name| {
            let parts = DebianSuite::find(name, None).unwrap().parts();
            parts.into_iter().map(|part| (part.name, part.security)).collect::<Vec<_>>()
        };
        assert_eq!(
            names("bookworm"),
            [
                ("bookworm".to_owned(), false),
                ("bookworm-updates".to_owned(), false),
                ("bookworm-security".to_owned(), true),
            ]
        );
        assert_eq!(names("trixie-backports"), [("trixie-backports".to_owned(), false)]);
    }

    #[test]
    fn an_unknown_suite_is_accepted_when_the_host_runs_it() {
        assert_eq!(DebianSuite::find("duke", None), None);
        assert_eq!(DebianSuite::find("duke", Some("duke")).unwrap().parts().len(), 3);
        assert!(DebianSuite::search_list(Some("duke")).iter().any(|suite| suite.name() == "duke"));
    }
}
