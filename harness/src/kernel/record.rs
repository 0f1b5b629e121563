//! A kernel under test, as engine and record describe it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::config::Config;
use super::image::EntryPoint;
use super::version::KernelVersion;

/// A kernel under test, ready to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// Its image on this host; `None` for a kernel that a machine already runs.
    #[serde(flatten)]
    pub image: Option<KernelImage>,
    /// Its architecture. Records from before perfsec knew any other have none.
    #[serde(default)]
    pub arch: Arch,
    /// Kernel release, as in `uname -r`.
    pub release: String,
    /// Kernel version, from the release or Debian's banner.
    pub version: KernelVersion,
    /// The text of `/proc/version`, in one line.
    pub banner: String,
    /// Distribution that built it, from the release and the banner: `debian`, `fedora`…
    pub distribution: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// Its configuration, if known.
    pub config: Option<Config>,
    /// Parameters that it is always booted with, beyond those of the machine and the boot mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

/// A kernel's image on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelImage {
    /// The file that boots: the argument of QEMU's `-kernel`.
    #[serde(rename = "image")]
    pub path: PathBuf,
    /// How it is entered.
    #[serde(rename = "how")]
    pub entry: EntryPoint,
    /// SHA-256 of the image as it came, in hexadecimal.
    pub sha256: String,
}

/// Where a kernel came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// An image on the host.
    File {
        /// As given by the user.
        path: PathBuf,
    },
    /// A package on the host.
    Deb {
        /// As given by the user.
        path: PathBuf,
        /// Package name.
        package: String,
        /// Package version.
        version: String,
    },
    /// An RPM package on the host.
    Rpm {
        /// As given by the user.
        path: PathBuf,
        /// Package name.
        package: String,
        /// Package version and release.
        version: String,
    },
    /// Debian's archive.
    Debian {
        /// The suite that lists the package.
        suite: String,
        /// Package name.
        package: String,
        /// Package version.
        version: String,
    },
    /// The kernel that a machine ran before perfsec came.
    Running {
        /// The machine's host name.
        host: String,
    },
    /// Built by perfsec from source.
    Tree {
        /// The tree, as named by the user.
        tree: String,
        /// The commit that was built, in hexadecimal; one of perfsec's own repository if the
        /// tree has no commit for this state.
        commit: String,
        /// The output of `git describe` for it.
        described: String,
        /// The first line of its message.
        subject: String,
        /// Names of the configuration fragments, in the order in which they were merged.
        fragments: Vec<String>,
        /// Additional variables for `make`, as `NAME=VALUE`.
        variables: Vec<String>,
        /// The first line of the compiler's `--version`.
        compiler: String,
    },
}

impl Kernel {
    /// Identifies the kernel: the SHA-256 of its image or, if no image is at hand, its banner, which
    /// has the time of the build.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.image.as_ref().map_or(&self.banner, |image| &image.sha256)
    }

    /// True if the other boots the same image with the same parameters.
    #[must_use]
    pub fn boots_like(&self, other: &Self) -> bool {
        self.identity() == other.identity() && self.parameters == other.parameters
    }

    /// SHA-256 of its image as it came, in hexadecimal, if there is an image.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        self.image.as_ref().map(|image| image.sha256.as_str())
    }

    /// The same kernel for the run record: only the relevant options, and without the directory of
    /// the image on this host.
    #[must_use]
    pub fn for_record(&self) -> Self {
        Self {
            image: self.image.as_ref().map(|image| KernelImage {
                path: image.path.file_name().map(PathBuf::from).unwrap_or_default(),
                ..image.clone()
            }),
            config: self.config.as_ref().map(Config::relevant),
            ..self.clone()
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Deb { package, version, .. } | Self::Rpm { package, version, .. } => {
                write!(f, "{package} {version}")
            }
            Self::Debian { suite, package, version } => write!(f, "{package} {version} of {suite}"),
            Self::Running { host } => write!(f, "running on {host}"),
            Self::Tree { tree, described, subject, .. } => {
                write!(f, "{described} ({subject}) of {tree}")
            }
        }
    }
}
