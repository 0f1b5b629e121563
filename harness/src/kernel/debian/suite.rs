//! The suites of Debian's archive.

use std::fmt;

/// A suite and what is published beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SuiteEntry {
    name: &'static str,
    /// It is a stable release, which has `-updates` and `-security` beside it.
    release: bool,
    /// A search by version looks here. Testing is left out: what it has, unstable has or had, and
    /// its lists are as long.
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

/// A suite that perfsec may look into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Suite {
    name: String,
    release: bool,
}

/// One line of a sources list: a suite of one of the two archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SuitePart {
    /// As the archive names it.
    pub(super) name: String,
    /// It is in the security archive.
    pub(super) security: bool,
}

impl Suite {
    /// A suite by its name, if it is known or the host's own (a release newer than this program).
    pub(super) fn find(name: &str, of_host: Option<&str>) -> Option<Self> {
        let known = KNOWN.iter().find(|known| known.name == name).map(|known| known.release);
        let release = known.or_else(|| (of_host == Some(name)).then_some(true))?;
        Some(Self { name: name.to_owned(), release })
    }

    /// The suites in which a version is searched.
    pub(super) fn search_list(of_host: Option<&str>) -> Vec<Self> {
        let mut suites: Vec<Self> = KNOWN
            .iter()
            .filter(|known| known.searched)
            .map(|known| Self { name: known.name.to_owned(), release: known.release })
            .collect();
        if let Some(host) = of_host.filter(|host| KNOWN.iter().all(|known| known.name != *host)) {
            suites.push(Self { name: host.to_owned(), release: true });
        }
        suites
    }

    /// Every name that a user can give.
    pub(super) fn names() -> Vec<&'static str> {
        KNOWN.iter().map(|known| known.name).collect()
    }

    /// The name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The suite itself first, then what is published beside it.
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

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_has_its_security_suite_beside_it_and_backports_have_not() {
        let names = |name| {
            let parts = Suite::find(name, None).unwrap().parts();
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
    fn a_suite_newer_than_this_program_is_known_where_it_is_the_host() {
        assert_eq!(Suite::find("duke", None), None);
        assert_eq!(Suite::find("duke", Some("duke")).unwrap().parts().len(), 3);
        assert!(Suite::search_list(Some("duke")).iter().any(|suite| suite.name() == "duke"));
    }
}
