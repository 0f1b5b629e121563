//! Finds the Debian mirrors that the host uses.

use std::process::Command;

use super::command::{AptError, run};

/// The host's mirrors, from its apt configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mirrors {
    /// URI of the archive.
    pub(super) main: String,
    /// URI of the security archive, if the host uses one.
    pub(super) security: Option<String>,
}

impl Mirrors {
    /// Asks the host's apt for the archives whose lists it has: their origin is signed. If
    /// `apt-get update` never ran there, asks for what it would fetch.
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

    /// Other vendors use the names of Debian's suites. Of several archives, Debian's is the one
    /// with an `-updates` or `-backports` suite, else the one whose path ends in `/debian`. A wrong
    /// guess does no harm: only what Debian's keys signed is accepted.
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
    fn mirrors_are_recognised_by_the_signed_origin_of_their_lists() {
        let lines = "http://a.example/x|Vendor|Debian\n\
            http://m.example/debian|Debian|Debian\n\
            http://m.example/sec|Debian|Debian-Security\n";
        let mirrors = Mirrors::from_index_targets(lines).unwrap();
        assert_eq!(mirrors.main, "http://m.example/debian");
        assert_eq!(mirrors.security.as_deref(), Some("http://m.example/sec"));
        assert_eq!(Mirrors::from_index_targets("http://a.example|Vendor|Vendor\n"), None);
    }

    #[test]
    fn before_the_first_update_mirrors_come_from_what_apt_would_fetch() {
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
    fn a_single_archive_is_the_mirror() {
        let lines = "'mirror+file:/etc/apt/mirrors.list/dists/sid/InRelease' x 0\n";
        let mirrors = Mirrors::from_print_uris(lines).unwrap();
        assert_eq!(mirrors.main, "mirror+file:/etc/apt/mirrors.list");
        assert_eq!(mirrors.security, None);
        assert_eq!(Mirrors::from_print_uris(""), None);
    }
}
