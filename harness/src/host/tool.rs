//! What perfsec uses of a host.

use super::manager::Manager;
use crate::kernel::KEYRING;

/// What a tool is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `perfsec run` and everything that boots a kernel.
    Run,
    /// `--kernel debian:…`, and the default kernel.
    DebianKernels,
    /// `perfsec shell`.
    Shell,
    /// `cargo xtask bench`.
    Bench,
    /// Building kernels from source.
    KernelBuild,
    /// Building perfsec.
    Build,
    /// Showing that other programs read what perfsec writes.
    Peers,
}

/// How a tool is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A program in `PATH` that tells its version when called so, if it can.
    Program(Option<&'static str>),
    /// A program in `PATH` that must be linked statically, because it goes into the guest alone.
    StaticProgram,
    /// A file or directory in this place.
    File(&'static str),
}

/// A tool, why perfsec wants it, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The program or, of what is none, its name.
    pub name: &'static str,
    /// How it is recognised.
    pub probe: Probe,
    /// Why it is needed, as a clause after "which".
    pub why: &'static str,
    /// What is not possible without it.
    pub need: Need,
    apt: Option<&'static str>,
    dnf: Option<&'static str>,
    pacman: Option<&'static str>,
    zypper: Option<&'static str>,
}

/// Every tool.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "qemu-system-x86_64",
        probe: Probe::Program(Some("--version")),
        why: "boots the kernel under test",
        need: Need::Run,
        apt: Some("qemu-system-x86"),
        dnf: Some("qemu-system-x86-core"),
        pacman: Some("qemu-system-x86"),
        zypper: Some("qemu-x86"),
    },
    Tool {
        name: "secilc",
        // It tells its options but no version.
        probe: Probe::Program(None),
        why: "compiles the SELinux policies",
        need: Need::Run,
        apt: Some("secilc"),
        dnf: Some("secilc"),
        // Only in the user repository, which pacman does not install from.
        pacman: None,
        zypper: Some("secilc"),
    },
    Tool {
        name: "apt-get",
        probe: Probe::Program(Some("--version")),
        why: "fetches Debian's kernels",
        need: Need::DebianKernels,
        // A host that lacks it has no Debian mirror configured either.
        apt: None,
        dnf: None,
        pacman: None,
        zypper: None,
    },
    Tool {
        name: "debian-archive-keyring",
        probe: Probe::File(KEYRING),
        why: "holds the keys that Debian's kernels are verified with",
        need: Need::DebianKernels,
        apt: Some("debian-archive-keyring"),
        dnf: None,
        pacman: None,
        zypper: None,
    },
    Tool {
        name: "busybox",
        probe: Probe::StaticProgram,
        why: "is the shell inside a booted lane",
        need: Need::Shell,
        apt: Some("busybox-static"),
        dnf: Some("busybox"),
        pacman: Some("busybox"),
        zypper: Some("busybox-static"),
    },
    Tool {
        name: "hyperfine",
        probe: Probe::Program(Some("--version")),
        why: "measures whole runs",
        need: Need::Bench,
        apt: Some("hyperfine"),
        dnf: Some("hyperfine"),
        pacman: Some("hyperfine"),
        zypper: Some("hyperfine"),
    },
    Tool {
        name: "cc",
        probe: Probe::Program(Some("--version")),
        why: "links perfsec and compiles the decompressors in it",
        need: Need::Build,
        // With the headers of the C library, which are only recommended.
        apt: Some("gcc libc6-dev"),
        dnf: Some("gcc"),
        pacman: Some("gcc"),
        zypper: Some("gcc"),
    },
    peer(
        "python3",
        Probe::Program(Some("--version")),
        "runs the readers of reports that are written in it",
        "python3-venv",
    ),
    peer(
        "python3-venv",
        Probe::File("/usr/share/python-wheels"),
        "keeps those readers apart from the host's own packages",
        "python3-venv",
    ),
    peer("chromium", Probe::Program(Some("--version")), "shows the HTML report", "chromium"),
    peer(
        "checkmodule",
        Probe::Program(Some("-V")),
        "compiles the modules that `perfsec allow --te` writes",
        "checkpolicy",
    ),
    peer(
        "semodule_package",
        Probe::Program(None),
        "makes packages of those modules",
        "semodule-utils",
    ),
];

/// What a tool is needed for when perfsec's own checks ask other programs what they make of a report. The
/// names are those of Debian, where these checks run.
const fn peer(name: &'static str, probe: Probe, why: &'static str, apt: &'static str) -> Tool {
    Tool {
        name,
        probe,
        why,
        need: Need::Peers,
        apt: Some(apt),
        dnf: None,
        pacman: None,
        zypper: None,
    }
}

impl Tool {
    /// The package or packages that bring it, if the host's package manager has one.
    pub fn package(&self, manager: Manager) -> Option<&'static str> {
        match manager {
            Manager::Apt => self.apt,
            Manager::Dnf => self.dnf,
            Manager::Pacman => self.pacman,
            Manager::Zypper => self.zypper,
        }
    }
}
