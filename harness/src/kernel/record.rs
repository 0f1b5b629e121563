//! A kernel as the rest of perfsec knows it.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::config::Config;
use super::image::Boot;
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
    /// What `uname -r` says.
    pub release: String,
    /// Its version.
    pub version: KernelVersion,
    /// What `/proc/version` says, in one line.
    pub banner: String,
    /// Who built it, if the banner tells: `debian`, `fedora`…
    pub distribution: Option<String>,
    /// Where it came from.
    pub origin: Origin,
    /// What it was built with, if that is known.
    pub config: Option<Config>,
}

/// A kernel's image on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KernelImage {
    /// The file that boots: the argument of QEMU's `-kernel`.
    #[serde(rename = "image")]
    pub path: PathBuf,
    /// How it is entered.
    #[serde(rename = "how")]
    pub entry: Boot,
    /// SHA-256 of the image as it came, in hexadecimal.
    pub sha256: String,
}

/// Where a kernel came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum Origin {
    /// An image on the host.
    File {
        /// As it was given.
        path: PathBuf,
    },
    /// A package on the host.
    Deb {
        /// As it was given.
        path: PathBuf,
        /// The package's name.
        package: String,
        /// The package's version.
        version: String,
    },
    /// Debian's archive.
    Debian {
        /// The suite in which it was found.
        suite: String,
        /// The package's name.
        package: String,
        /// The package's version.
        version: String,
    },
    /// Built by perfsec from source.
    Tree {
        /// The tree, as it was named.
        tree: String,
        /// The commit that was built, in hexadecimal; of perfsec's own where the tree has none for it.
        commit: String,
        /// The commit as people call it, by the nearest tag.
        described: String,
        /// The first line of its message.
        subject: String,
        /// The fragments that its configuration was made of.
        fragments: Vec<String>,
        /// What `make` was given besides.
        variables: Vec<String>,
        /// What built it.
        compiler: String,
    },
}

impl Kernel {
    /// A text that tells this kernel from every other: the SHA-256 of its image, or its banner,
    /// which has the time of its build, where no image is at hand.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.image.as_ref().map_or(&self.banner, |image| &image.sha256)
    }

    /// SHA-256 of its image as it came, in hexadecimal, if there is an image.
    #[must_use]
    pub fn sha256(&self) -> Option<&str> {
        self.image.as_ref().map(|image| image.sha256.as_str())
    }

    /// The same for a record that others read: only the options that matter, and where the image lay on
    /// this host is nobody else's business.
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
            Self::Deb { package, version, .. } => write!(f, "{package} {version}"),
            Self::Debian { suite, package, version } => write!(f, "{package} {version} of {suite}"),
            Self::Tree { tree, described, subject, .. } => {
                write!(f, "{described} ({subject}) of {tree}")
            }
        }
    }
}
