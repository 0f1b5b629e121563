//! The host's operating system, from `os-release(5)`.

use std::path::Path;

use crate::foreign;

/// Fields of the host's os-release file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    id: Option<String>,
    pretty_name: Option<String>,
    codename: Option<String>,
}

impl OsRelease {
    /// Reads the host's file. A host without one is unknown, which is not an error.
    pub fn detect() -> Self {
        ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| foreign::read_text(Path::new(path), &foreign::SYSTEM_FILE).ok())
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

    /// `PRETTY_NAME`, else `ID`.
    pub fn name(&self) -> String {
        let name = self.pretty_name.as_ref().or(self.id.as_ref());
        name.cloned().unwrap_or_else(|| "an unknown system".to_owned())
    }

    /// The Debian suite of the host. Derivatives of Debian have their own kernels, and so no suite.
    pub fn debian_suite(&self) -> Option<&str> {
        // Unstable has no codename, except shortly before a release.
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
    fn only_debian_has_a_debian_suite(#[case] text: &str, #[case] suite: Option<&str>) {
        assert_eq!(OsRelease::parse(text).debian_suite(), suite);
    }

    #[test]
    fn a_host_without_os_release_is_an_unknown_system() {
        assert_eq!(OsRelease::default().name(), "an unknown system");
    }
}
