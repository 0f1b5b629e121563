//! The catalogue of a suite: its kernels and a few other packages, read from its package lists.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::order;
use crate::kernel::KernelVersion;

/// The packages that catalogues list in addition to kernels and their sources: policies, and the
/// program that builds them with its libraries.
const NAMED: [&str; 13] = [
    "selinux-policy-default",
    "selinux-policy-mls",
    "policycoreutils",
    "libaudit1",
    "libbz2-1.0",
    "libc6",
    "libcap-ng0",
    "libpcre2-8-0",
    "libselinux1",
    "libsemanage1",
    "libsemanage2",
    "libsepol1",
    "libsepol2",
];

/// The kind of package to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageKind {
    /// A kernel image.
    Image,
    /// A kernel source.
    Source,
}

impl PackageKind {
    /// The metapackage that depends on the suite's stock kernel.
    fn metapackage(self) -> &'static str {
        match self {
            Self::Image => "linux-image-amd64",
            Self::Source => "linux-source",
        }
    }
}

impl fmt::Display for PackageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "kernel",
            Self::Source => "kernel source",
        })
    }
}

/// A package, as described in a package list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) sha256: String,
    /// Size of the download, in bytes.
    pub(super) size: u64,
    /// The suite that lists it.
    pub(super) suite: String,
    /// The kernel packages that it depends on; empty for all but metapackages and their like.
    needs: Vec<String>,
}

/// The packages of a suite with its `-updates` and `-security`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Catalogue {
    packages: Vec<Package>,
}

impl Package {
    /// Parses one paragraph of a list; returns `None` if perfsec has no use for the package.
    pub(super) fn parse(paragraph: &str, suite: &str) -> Option<Self> {
        let field = |name: &str| {
            paragraph
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
        };
        let name = field("Package")?;
        let is_kernel = |name: &&str| {
            let starts = ["linux-image-", "linux-binary-", "linux-source-"];
            starts.iter().any(|start| name.starts_with(start))
                || *name == PackageKind::Source.metapackage()
        };
        if !is_kernel(&name) && !name.starts_with("linux-base-") && !NAMED.contains(&name) {
            return None;
        }
        let needs = field("Depends")
            .unwrap_or_default()
            .split([',', '|'])
            .filter_map(|dependency| dependency.split_whitespace().next())
            .filter(is_kernel)
            .map(str::to_owned)
            .collect();
        Some(Self {
            name: name.to_owned(),
            version: field("Version")?.to_owned(),
            sha256: field("SHA256")?.to_owned(),
            size: field("Size")?.parse().ok()?,
            suite: suite.to_owned(),
            needs,
        })
    }

    /// The kernel version, if the package has a stock image for x86_64, or a source.
    pub(super) fn kernel_version(&self, kind: PackageKind) -> Option<KernelVersion> {
        let named = match kind {
            PackageKind::Image => stock_abi(&self.name).is_some(),
            PackageKind::Source => is_source(&self.name),
        };
        (named && self.needs.is_empty()).then(|| self.version.parse().ok()).flatten()
    }

    /// Orders packages by version; of one version, the signed image is greater.
    pub(super) fn rank(&self, other: &Self) -> Ordering {
        let signed = |package: &Self| stock_abi(&package.name).is_some_and(|(_, signed)| signed);
        order::compare(&self.version, &other.version).then_with(|| signed(self).cmp(&signed(other)))
    }
}

impl Catalogue {
    pub(super) fn add(&mut self, package: Package) {
        self.packages.push(package);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// Every stock image, or every source.
    pub(super) fn all(&self, kind: PackageKind) -> impl Iterator<Item = (&Package, KernelVersion)> {
        self.packages
            .iter()
            .filter_map(move |package| Some((package, package.kernel_version(kind)?)))
    }

    /// The suite's stock kernel or its source, which its metapackage names. Experimental may lack
    /// the metapackage; then the newest package.
    pub(super) fn stock(&self, kind: PackageKind) -> Option<&Package> {
        // The metapackage depends on the package of a version, and that since 7.x on
        // linux-binary-*.
        const LONGEST_CHAIN: usize = 4;
        let mut at = self.newest(kind.metapackage());
        for _ in 0..LONGEST_CHAIN {
            let Some(package) = at else { break };
            if package.kernel_version(kind).is_some() {
                return Some(package);
            }
            at = package.needs.iter().find_map(|name| self.newest(name));
        }
        self.all(kind).map(|(package, _)| package).max_by(|a, b| a.rank(b))
    }

    /// The package with the configuration, for an image package without one.
    pub(super) fn config_of(&self, image: &Package) -> Option<&Package> {
        if !image.name.starts_with("linux-binary-") {
            return None;
        }
        let (abi, _) = stock_abi(&image.name)?;
        let name = format!("linux-base-{abi}-amd64");
        self.packages.iter().find(|other| other.name == name && other.version == image.version)
    }

    /// The newest package with this name.
    pub(super) fn newest(&self, name: &str) -> Option<&Package> {
        self.named(name).max_by(|a, b| order::compare(&a.version, &b.version))
    }

    /// The packages with this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| package.name == name)
    }
}

/// The ABI name of an image package and true if it is signed; `None` for other flavours (`cloud`,
/// `rt`) and debug symbols, whose names have another word.
fn stock_abi(name: &str) -> Option<(&str, bool)> {
    let rest = name.strip_prefix("linux-binary-").or_else(|| name.strip_prefix("linux-image-"))?;
    let bare = rest.strip_prefix("unsigned-").unwrap_or(rest);
    let bare = bare.strip_suffix("-unsigned").unwrap_or(bare);
    let abi = bare.strip_suffix("-amd64")?;
    let number = |part: &str| part.starts_with(|letter: char| letter.is_ascii_digit());
    let candidate = |part: &str| part.starts_with("rc");
    let plain =
        abi.split('-').enumerate().all(|(at, part)| number(part) || at > 0 && candidate(part));
    plain.then_some((abi, bare.len() == rest.len()))
}

/// True if a package is the source of a series, such as `linux-source-6.1`.
fn is_source(name: &str) -> bool {
    name.strip_prefix("linux-source-").is_some_and(|series| {
        series.split('.').count() == 2
            && series.split('.').all(|number| number.parse::<u32>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn package(name: &str, version: &str, depends: &str) -> Package {
        let text = format!(
            "Package: {name}\nSource: linux\nVersion: {version}\nDepends: {depends}\n\
             Filename: pool/x.deb\nSize: 10\nSHA256: abc\n"
        );
        Package::parse(&text, "suite").unwrap()
    }

    fn catalogue(packages: &[(&str, &str, &str)]) -> Catalogue {
        let packages = packages.iter().map(|(name, version, needs)| package(name, version, needs));
        Catalogue { packages: packages.collect() }
    }

    #[rstest]
    #[case("linux-image-5.10.0-46-amd64", Some(("5.10.0-46", true)))]
    #[case("linux-image-6.1.0-0.deb11.48-amd64-unsigned", Some(("6.1.0-0.deb11.48", false)))]
    #[case("linux-binary-7.3.4+deb13-amd64", Some(("7.3.4+deb13", true)))]
    #[case("linux-binary-unsigned-7.3.4+deb13-amd64", Some(("7.3.4+deb13", false)))]
    #[case("linux-image-6.12-rc6-amd64", Some(("6.12-rc6", true)))]
    #[case("linux-image-6.1.0-50-cloud-amd64", None)]
    #[case("linux-image-6.1.0-50-rt-amd64", None)]
    #[case("linux-image-6.1.0-50-amd64-dbg", None)]
    #[case("linux-image-amd64", None)]
    #[case("linux-image-6.1.0-50-arm64", None)]
    fn only_stock_images_have_an_abi(#[case] name: &str, #[case] abi: Option<(&str, bool)>) {
        assert_eq!(stock_abi(name), abi);
    }

    #[test]
    fn other_packages_are_skipped() {
        assert_eq!(Package::parse("Package: bash\nVersion: 5\nSize: 1\nSHA256: a\n", "sid"), None);
    }

    #[test]
    fn in_the_old_layout_the_newest_metapackage_names_the_stock_kernel() {
        let catalogue = catalogue(&[
            ("linux-image-amd64", "6.1.176-1", "linux-image-6.1.0-50-amd64 (= 6.1.176-1)"),
            ("linux-image-amd64", "6.1.192-2", "linux-image-6.1.0-56-amd64 (= 6.1.192-2)"),
            ("linux-image-6.1.0-50-amd64", "6.1.176-1", "kmod"),
            ("linux-image-6.1.0-56-amd64", "6.1.192-2", "kmod, linux-base (>= 4.3~)"),
            ("linux-image-6.12.95+deb12-amd64", "6.12.95-1~bpo12+1", "kmod"),
        ]);
        let stock = catalogue.stock(PackageKind::Image).unwrap();
        assert_eq!(stock.name, "linux-image-6.1.0-56-amd64");
        assert_eq!(catalogue.config_of(stock), None);
    }

    #[test]
    fn in_the_new_layout_the_stock_kernel_is_the_binary_package() {
        let name = "linux-binary-7.3.4+deb13-amd64";
        let catalogue = catalogue(&[
            ("linux-image-amd64", "7.3.4-1", "linux-image-7.3.4+deb13-amd64 (= 7.3.4-1)"),
            (
                "linux-image-7.3.4+deb13-amd64",
                "7.3.4-1",
                "dracut | x, linux-binary-7.3.4+deb13-amd64",
            ),
            (name, "7.3.4-1", "linux-base-7.3.4+deb13-amd64 (= 7.3.4-1)"),
            ("linux-base-7.3.4+deb13-amd64", "7.3.4-1", ""),
        ]);
        let stock = catalogue.stock(PackageKind::Image).unwrap();
        assert_eq!(stock.name, name);
        assert_eq!(catalogue.config_of(stock).unwrap().name, "linux-base-7.3.4+deb13-amd64");
        assert_eq!(catalogue.all(PackageKind::Image).count(), 1);
    }

    #[test]
    fn the_signed_image_of_a_version_is_taken() {
        let catalogue = catalogue(&[
            ("linux-image-6.12.94+deb13-amd64", "6.12.94-1", ""),
            ("linux-image-6.12.94+deb13-amd64-unsigned", "6.12.94-1", ""),
        ]);
        let best =
            catalogue.all(PackageKind::Image).map(|(package, _)| package).max_by(|a, b| a.rank(b));
        assert_eq!(best.unwrap().name, "linux-image-6.12.94+deb13-amd64");
    }

    #[rstest]
    #[case("linux-source-6.1", true)]
    #[case("linux-source-7.3", true)]
    #[case("linux-source", false)]
    #[case("linux-source-6.1-rt", false)]
    #[case("linux-source-6", false)]
    #[case("linux-image-6.1", false)]
    fn only_the_source_of_a_series_is_a_source(#[case] name: &str, #[case] source: bool) {
        assert_eq!(is_source(name), source);
    }

    #[test]
    fn the_source_of_a_suite_is_that_of_its_stock_kernel() {
        let catalogue = catalogue(&[
            ("linux-source", "6.1.192-1", "linux-source-6.1 (= 6.1.192-1)"),
            ("linux-source", "6.1.192-2", "linux-source-6.1 (= 6.1.192-2)"),
            ("linux-source-6.1", "6.1.192-1", "binutils, xz-utils"),
            ("linux-source-6.1", "6.1.192-2", "binutils, xz-utils"),
            // A newer kernel that the suite offers besides its stock kernel.
            ("linux-source-6.12", "6.12.117-1~deb12u1", "binutils, xz-utils"),
            ("linux-image-6.1.0-56-amd64", "6.1.192-2", "kmod"),
        ]);
        let stock = catalogue.stock(PackageKind::Source).unwrap();
        assert_eq!(
            (stock.name.as_str(), stock.version.as_str()),
            ("linux-source-6.1", "6.1.192-2")
        );
        assert_eq!(catalogue.all(PackageKind::Source).count(), 3);
        assert_eq!(catalogue.all(PackageKind::Image).count(), 1);
    }
}
