//! Kernel versions, and lists of the versions that have a change.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A stable or mainline version: `6.12.117`, `6.1.0` (also written `6.1`), `7.3-rc7`.
///
/// Ordered by version: a release candidate comes before its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number; together they name the series.
    pub minor: u32,
    /// The number of the stable release; 0 for a mainline release.
    pub patch: u32,
    /// The number after `-rc`.
    pub candidate: Option<u32>,
}

/// A version, or a list of versions, that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// The text does not begin with two numbers.
    #[error("read kernel version {0:?}: expected it to begin like 6.12.39 or 6.16-rc1")]
    NotAVersion(String),
    /// A prefix is not one to three numbers.
    #[error(
        "read kernel version prefix {0:?}: expected one to three numbers, like 6.12 or 6.12.94"
    )]
    NotAPrefix(String),
    /// The list has no entry.
    #[error("read a list of kernel versions: it is empty")]
    EmptyList,
}

impl KernelVersion {
    /// The first release with CAP_PERFMON.
    pub const PERFMON: Self = Self::new(5, 8, 0);

    /// A release of a series.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, candidate: None }
    }

    /// The two numbers that name the series.
    pub const fn series(self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// The version of a kernel with this release and banner.
    ///
    /// Before 6.12 Debian's release has the ABI number instead of the stable release
    /// (`6.1.0-56-amd64` is 6.1.192), but the banner ends with the version of the package.
    pub fn from_banner(release: &str, banner: &str) -> Result<Self, VersionError> {
        banner
            .rsplit_once(" Debian ")
            .and_then(|(_, package)| package.parse().ok())
            .map_or_else(|| release.parse(), Ok)
    }

    /// Parses a version that is the whole text: a typo such as `6.1.14x` must not silently become
    /// another version.
    pub(crate) fn parse_exact(text: &str) -> Result<Self, VersionError> {
        let version: Self = text.parse()?;
        let with_patch = format!("{}.{}.0", version.major, version.minor);
        let bare = text.trim().trim_start_matches('v');
        if bare == version.to_string() || bare == with_patch {
            Ok(version)
        } else {
            Err(VersionError::NotAVersion(text.trim().to_owned()))
        }
    }

    fn key(self) -> (u32, u32, u32, u32) {
        (self.major, self.minor, self.patch, self.candidate.unwrap_or(u32::MAX))
    }
}

impl Ord for KernelVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for KernelVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for KernelVersion {
    type Err = VersionError;

    /// Parses the version at the beginning of a release, a Debian version or a tag.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError::NotAVersion(text.to_owned());
        let rest = text.trim();
        let (major, rest) = number(rest.strip_prefix('v').unwrap_or(rest)).ok_or_else(error)?;
        let (minor, rest) = rest.strip_prefix('.').and_then(number).ok_or_else(error)?;
        let (patch, rest) = rest.strip_prefix('.').and_then(number).unwrap_or((0, rest));
        let candidate = ["-rc", "~rc"].iter().find_map(|mark| rest.strip_prefix(mark));
        let candidate = candidate.and_then(number).map(|(candidate, _)| candidate);
        Ok(Self { major, minor, patch, candidate })
    }
}

/// Splits off the number at the beginning of a text.
fn number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 {
            write!(f, ".{}", self.patch)?;
        }
        self.candidate.map_or(Ok(()), |candidate| write!(f, "-rc{candidate}"))
    }
}

impl schemars::JsonSchema for KernelVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KernelVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+\\.[0-9]+(\\.[0-9]+)?(-rc[0-9]+)?$",
            "description": "a stable or mainline version: `6.12.117`, `6.1`, `7.3-rc7`",
        })
    }
}

impl TryFrom<String> for KernelVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<KernelVersion> for String {
    fn from(version: KernelVersion) -> Self {
        version.to_string()
    }
}

/// The first numbers of a version, compared number by number: `6.1` is not a prefix of `6.12`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionPrefix(Vec<u32>);

impl VersionPrefix {
    /// True if the version begins with these numbers.
    pub fn matches(&self, version: KernelVersion) -> bool {
        self.0.iter().zip([version.major, version.minor, version.patch]).all(|(a, b)| *a == b)
    }

    /// Counts how many of these numbers the version begins with.
    pub fn nearness(&self, version: KernelVersion) -> usize {
        let numbers = [version.major, version.minor, version.patch];
        self.0.iter().zip(numbers).take_while(|(a, b)| *a == b).count()
    }
}

impl FromStr for VersionPrefix {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let numbers: Option<Vec<u32>> = text
            .split('.')
            .map(|part| number(part).and_then(|(number, rest)| rest.is_empty().then_some(number)))
            .collect();
        numbers
            .filter(|numbers| (1..=3).contains(&numbers.len()))
            .map(Self)
            .ok_or_else(|| VersionError::NotAPrefix(text.to_owned()))
    }
}

impl fmt::Display for VersionPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

/// The versions that have a change, as kernel CVE announcements list them:
/// `5.10.240, 6.1.146, 6.16`.
///
/// Each entry is the first version of its series with the change; the last entry is the mainline
/// release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FixedIn(Vec<KernelVersion>);

impl FixedIn {
    /// The first version of each series with the change.
    pub fn versions(&self) -> impl Iterator<Item = KernelVersion> {
        self.0.iter().copied()
    }

    /// True if this version has the change: its series is listed with this version or an earlier
    /// one, or its series is newer than all that are listed.
    pub fn has(&self, version: KernelVersion) -> bool {
        match self.0.iter().find(|entry| entry.series() == version.series()) {
            Some(entry) => version >= *entry,
            None => self.0.iter().all(|entry| entry.series() < version.series()),
        }
    }
}

impl FromStr for FixedIn {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.trim().is_empty() {
            return Err(VersionError::EmptyList);
        }
        let entries = text.split(',').map(KernelVersion::parse_exact);
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.sort_unstable();
        Ok(Self(entries))
    }
}

impl schemars::JsonSchema for FixedIn {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KernelVersions".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let version = r"\s*v?[0-9]+\.[0-9]+(\.[0-9]+)?(-rc[0-9]+)?\s*";
        schemars::json_schema!({
            "type": "string",
            "pattern": format!("^{version}(,{version})*$"),
            "description": "the first version of each series: `5.10.240, 6.1.146, 6.16`",
        })
    }
}

impl fmt::Display for FixedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<String> = self.0.iter().map(KernelVersion::to_string).collect();
        f.write_str(&entries.join(", "))
    }
}

impl TryFrom<String> for FixedIn {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<FixedIn> for String {
    fn from(list: FixedIn) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("6.12.117+deb13-amd64", "6.12.117")]
    #[case("6.1.192-2", "6.1.192")]
    #[case("5.10.0-46-amd64", "5.10")]
    #[case("7.3~rc7-1~exp1", "7.3-rc7")]
    #[case("6.16.0-rc3-next-20250701", "6.16-rc3")]
    #[case("v6.18", "6.18")]
    #[case("6.18.15-1~bpo13+1", "6.18.15")]
    #[case("6.12.90+deb12.1-amd64", "6.12.90")]
    fn a_version_is_parsed_from_the_beginning(#[case] text: &str, #[case] shown: &str) {
        let version: KernelVersion = text.parse().unwrap();
        assert_eq!(version.to_string(), shown);
        assert_eq!(shown.parse(), Ok(version));
    }

    #[rstest]
    #[case("")]
    #[case("six")]
    #[case("6")]
    #[case("6.")]
    #[case("99999999999.1")]
    fn text_without_a_version_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<KernelVersion>(), Err(VersionError::NotAVersion(text.to_owned())));
    }

    #[rstest]
    #[case("6.1.0-56-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", "6.1.192")]
    #[case("7.3-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 7.3~rc7-1~exp1 (2026-10-01)", "7.3-rc7")]
    #[case("6.18.3", "Linux version 6.18.3 (me@here) (gcc (Debian 12.2.0-14) 12.2.0) #7", "6.18.3")]
    fn the_version_of_a_debian_kernel_is_in_its_banner(
        #[case] release: &str,
        #[case] banner: &str,
        #[case] version: &str,
    ) {
        assert_eq!(KernelVersion::from_banner(release, banner).unwrap().to_string(), version);
    }

    #[test]
    fn a_candidate_comes_before_its_release() {
        let made = ["5.10.240", "6.1-rc8", "6.1", "6.1.1", "6.1.100", "6.12", "7.0-rc1", "7.0"];
        let made: Vec<KernelVersion> = made.iter().map(|text| text.parse().unwrap()).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }

    #[rstest]
    #[case("6.1", "6.1.192", true)]
    #[case("6.1", "6.12.1", false)]
    #[case("6", "6.12.1", true)]
    #[case("6.12.94", "6.12.94", true)]
    #[case("6.12.9", "6.12.94", false)]
    fn a_prefix_is_compared_number_by_number(
        #[case] prefix: VersionPrefix,
        #[case] version: KernelVersion,
        #[case] matches: bool,
    ) {
        assert_eq!(prefix.matches(version), matches);
    }

    #[rstest]
    #[case("")]
    #[case("6.")]
    #[case("6.1.2.3")]
    #[case("6.x")]
    fn text_that_is_not_a_prefix_is_refused(#[case] text: &str) {
        assert!(text.parse::<VersionPrefix>().is_err());
    }

    #[rstest]
    #[case("5.10.239", false)]
    #[case("5.10.240", true)]
    #[case("5.15.999", false)]
    #[case("6.1.145", false)]
    #[case("6.1.192", true)]
    #[case("6.6", false)]
    #[case("6.12.39", true)]
    #[case("6.15.9", false)]
    #[case("6.16-rc7", false)]
    #[case("6.16", true)]
    #[case("6.16.1", true)]
    #[case("6.17-rc1", true)]
    #[case("7.3.4", true)]
    fn a_series_has_the_change_from_the_listed_version_on(
        #[case] version: KernelVersion,
        #[case] has: bool,
    ) {
        let list: FixedIn = "5.10.240, 6.1.146, 6.12.39, 6.16".parse().unwrap();
        assert_eq!(list.has(version), has);
    }

    #[rstest]
    #[case("")]
    #[case("6.1,")]
    #[case("6.1.14x")]
    #[case("6.1 6.2")]
    fn a_list_with_a_typo_is_refused(#[case] text: &str) {
        assert!(text.parse::<FixedIn>().is_err());
    }

    #[test]
    fn a_list_is_displayed_sorted() {
        let list: FixedIn = "6.16, 5.10.240 ,6.1.146".parse().unwrap();
        assert_eq!(list.to_string(), "5.10.240, 6.1.146, 6.16");
    }
}
