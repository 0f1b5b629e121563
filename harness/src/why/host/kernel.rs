//! The running kernel's version, and the distribution that built it.

use super::Root;
use crate::kernel::KernelVersion;
use crate::why::facts::{Distributions, Known};

/// The version.
pub(super) fn version(root: &Root) -> Result<Known<KernelVersion>, String> {
    let path = "/proc/sys/kernel/osrelease";
    let release = root.text(path)?;
    let banner = root.text("/proc/version").unwrap_or_default();
    // /proc/version ends with the number of the build and its date, and Debian adds the package
    // before the date.
    let package = banner.split_once(" Debian ").map(|(_, rest)| rest);
    let package = package.and_then(|rest| rest.split_whitespace().next());
    let banner = package.map_or(String::new(), |package| format!("x Debian {package}"));
    KernelVersion::from_banner(&release, &banner)
        .map(|version| Known::read(version, path))
        .map_err(|error| format!("{path}: {error}"))
}

/// The distribution, by the banner; by os-release(5) only outside of a container, whose files are
/// not those of the kernel's distribution.
pub(super) fn distribution(root: &Root, in_container: bool) -> Result<Known<String>, String> {
    let banner_path = "/proc/version";
    let banner = root.text(banner_path).unwrap_or_default();
    for (words, id) in [("Ubuntu", "ubuntu"), ("Debian", "debian")] {
        if banner.contains(words) {
            return Ok(Known::read(id.to_owned(), banner_path));
        }
    }
    if in_container {
        return Err("the container's os-release does not describe the kernel".to_owned());
    }
    let path = "/etc/os-release";
    let text = root.text(path).or_else(|_| root.text("/usr/lib/os-release"))?;
    let id = text.lines().find_map(|line| line.strip_prefix("ID="));
    let id = id.ok_or_else(|| format!("{path}: it has no ID"))?.trim_matches(['"', '\'']);
    let data = Distributions::built_in().map_err(ToString::to_string)?;
    // The banner of a kernel of these two names them: this one is another.
    match data.named(id) {
        Some("debian" | "ubuntu") => Ok(Known::read(
            "upstream".to_owned(),
            format!("{banner_path}, which does not name {id}"),
        )),
        known => Ok(Known::read(known.unwrap_or(id).to_owned(), path)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::root::fixture::tree;
    use super::*;

    const DEBIAN: &str = "Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) (gcc-12) \
                          #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-01)";
    const UBUNTU: &str =
        "Linux version 6.8.0-45-generic (buildd@lcy02) (gcc 13.2 Ubuntu) #45-Ubuntu";

    #[rstest]
    #[case(DEBIAN, "6.1.0-56-amd64", "ID=debian", false, "6.1.192", Some("debian"))]
    #[case(UBUNTU, "6.8.0-45-generic", "ID=ubuntu", false, "6.8", Some("ubuntu"))]
    #[case("Linux version 6.12.9", "6.12.9-200.fc41", "ID=fedora", false, "6.12.9", Some("fedora"))]
    #[case("Linux version 6.12.9", "6.12.9", "ID=debian", false, "6.12.9", Some("upstream"))]
    #[case("Linux version 6.12.9", "6.12.9", "ID=debian", true, "6.12.9", None)]
    #[case(UBUNTU, "6.8.0-45-generic", "ID=alpine", true, "6.8", Some("ubuntu"))]
    fn the_banner_tells_the_distribution(
        #[case] banner: &str,
        #[case] release: &str,
        #[case] os: &str,
        #[case] in_container: bool,
        #[case] expected: &str,
        #[case] id: Option<&str>,
    ) {
        let (_place, root) = tree(&[
            ("/proc/version", banner),
            ("/proc/sys/kernel/osrelease", release),
            ("/etc/os-release", os),
        ]);
        assert_eq!(version(&root).unwrap().value.to_string(), expected);
        assert_eq!(distribution(&root, in_container).ok().map(|it| it.value).as_deref(), id);
    }
}
