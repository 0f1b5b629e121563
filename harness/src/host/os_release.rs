//! Which system the host runs, as `os-release(5)` tells.

use std::fs;

/// What the host says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    id: Option<String>,
    pretty_name: Option<String>,
    codename: Option<String>,
}

impl OsRelease {
    /// Of this host. A host that says nothing is unknown, not an error.
    pub fn detect() -> Self {
        ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs::read_to_string(path).ok())
            .map(|text| Self::parse(&text))
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))
                .map(|value| value.trim_matches(['"', '\'']).to_owned())
                .filter(|value| !value.is_empty())
        };
        Self {
            id: field("ID"),
            pretty_name: field("PRETTY_NAME"),
            codename: field("VERSION_CODENAME"),
        }
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        let name = self.pretty_name.as_ref().or(self.id.as_ref());
        name.cloned().unwrap_or_else(|| "an unknown system".to_owned())
    }

    /// The suite of Debian that it runs. What is derived from Debian has kernels of its own.
    pub fn debian_suite(&self) -> Option<&str> {
        // Unstable has no codename of its own until it calls itself after the next release.
        (self.id.as_deref() == Some("debian")).then(|| self.codename.as_deref().unwrap_or("sid"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
        Some("bookworm")
    )]
    #[case("ID=debian\nPRETTY_NAME='Debian'\n", Some("sid"))]
    #[case("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", None)]
    #[case("", None)]
    fn only_debian_has_a_suite_of_debian(#[case] text: &str, #[case] suite: Option<&str>) {
        assert_eq!(OsRelease::parse(text).debian_suite(), suite);
    }

    #[test]
    fn a_host_that_says_nothing_still_has_a_name() {
        assert_eq!(OsRelease::default().name(), "an unknown system");
    }
}
