//! Where the host gets Debian's packages from.

use std::process::Command;

use super::apt::{AptError, run};

/// The host's mirrors, as it configures them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    /// Of the archive itself.
    pub(super) main: String,
    /// Of the security archive, if the host uses one.
    pub(super) security: Option<String>,
}

impl Mirrors {
    /// Asks the host's apt, first for the archives that it has lists of, whose origin is signed;
    /// then, where `apt-get update` never ran, for what it would fetch.
    pub(super) fn detect() -> Result<Self, AptError> {
        let format = "$(SITE)|$(ORIGIN)|$(LABEL)";
        let mut listed = Command::new("apt-get");
        listed.args(["indextargets", "--format", format, "Created-By: Packages"]);
        if let Some(mirrors) = Self::from_index_targets(&run(&mut listed)?) {
            return Ok(mirrors);
        }
        let mut planned = Command::new("apt-get");
        planned.args(["update", "--print-uris"]);
        Self::from_print_uris(&run(&mut planned)?).ok_or(AptError::NoMirror)
    }

    fn from_index_targets(lines: &str) -> Option<Self> {
        let of = |wanted: &str| {
            lines.lines().find_map(|line| {
                let mut fields = line.split('|');
                let (site, origin, label) = (fields.next()?, fields.next()?, fields.next()?);
                (origin == "Debian" && label == wanted).then(|| site.to_owned())
            })
        };
        Some(Self { main: of("Debian")?, security: of("Debian-Security") })
    }

    /// Other vendors name their suites after Debian's; of several archives the one with an
    /// `-updates` or `-backports` suite is Debian's, or else the one whose path says so. A wrong
    /// guess does no harm, because nothing that Debian's keys did not sign is accepted.
    fn from_print_uris(lines: &str) -> Option<Self> {
        let releases: Vec<(&str, &str)> = lines
            .lines()
            .filter_map(|line| line.strip_prefix('\'')?.split_once('\''))
            .filter_map(|(uri, _)| uri.strip_suffix("/InRelease")?.rsplit_once("/dists/"))
            .collect();
        let ends = |endings: &[&str]| {
            releases
                .iter()
                .find(|(_, suite)| endings.iter().any(|ending| suite.ends_with(ending)))
                .map(|(site, _)| *site)
        };
        let security = ends(&["-security"]);
        let others =
            || releases.iter().map(|(site, _)| *site).filter(|site| Some(*site) != security);
        let main = ends(&["-updates", "-backports"])
            .or_else(|| others().find(|site| site.trim_end_matches('/').ends_with("/debian")))
            .or_else(|| others().next())?;
        Some(Self { main: main.to_owned(), security: security.map(str::to_owned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_has_lists_of_is_told_by_its_signed_origin() {
        let lines = "http://a.example/x|Vendor|Debian\n\
            http://m.example/debian|Debian|Debian\n\
            http://m.example/sec|Debian|Debian-Security\n";
        let mirrors = Mirrors::from_index_targets(lines).unwrap();
        assert_eq!(mirrors.main, "http://m.example/debian");
        assert_eq!(mirrors.security.as_deref(), Some("http://m.example/sec"));
        assert_eq!(Mirrors::from_index_targets("http://a.example|Vendor|Vendor\n"), None);
    }

    #[test]
    fn what_the_host_would_fetch_tells_its_mirrors_before_the_first_update() {
        let lines = "'https://vendor.example/apt/dists/bookworm/InRelease' x 0 \n\
            'http://m.example/deb/dists/bookworm/InRelease' m.example_InRelease 0 \n\
            'http://m.example/deb/dists/bookworm-updates/InRelease' m.example_InRelease 0 \n\
            'http://m.example/s/dists/bookworm-security/InRelease' m.example_InRelease 0 \n\
            'http://m.example/deb/dists/bookworm/main/binary-amd64/Packages.xz' m 0 \n";
        let mirrors = Mirrors::from_print_uris(lines).unwrap();
        assert_eq!(mirrors.main, "http://m.example/deb");
        assert_eq!(mirrors.security.as_deref(), Some("http://m.example/s"));
    }

    #[test]
    fn a_single_archive_is_taken_and_none_is_none() {
        let lines = "'mirror+file:/etc/apt/mirrors.list/dists/sid/InRelease' x 0\n";
        let mirrors = Mirrors::from_print_uris(lines).unwrap();
        assert_eq!(mirrors.main, "mirror+file:/etc/apt/mirrors.list");
        assert_eq!(mirrors.security, None);
        assert_eq!(Mirrors::from_print_uris(""), None);
    }
}
