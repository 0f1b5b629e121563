//! The tools that perfsec uses on a host, and the packages that contain them.

use super::manager::PackageManager;

/// The keys that sign Debian's archive.
pub(crate) const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A purpose of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `perfsec run` and everything that boots a kernel.
    Run,
    /// `--kernel debian:…`, the default kernel, and `--policy debian:…`.
    DebianKernels,
    /// Policies of other distributions, and changes to policies.
    Policies,
    /// `perfsec shell`.
    Shell,
    /// `perfsec guest` and `--guest`.
    Guests,
    /// `cargo xtask bench`.
    Bench,
    /// Building perfsec.
    Build,
    /// Tests that other programs can read perfsec's output.
    Peers,
    /// Building kernels from source, with either compiler.
    KernelBuild,
    /// Building them with GCC and binutils.
    Gcc,
    /// Building them with LLVM (`LLVM=1`).
    Llvm,
}

/// The importance of a tool for its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// Required.
    Needed,
    /// Optional: without it the work is slower, or impossible in some configurations.
    Useful,
}

/// The method to find a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A program in `PATH`, with the argument that makes it print its version.
    Program(Option<&'static str>),
    /// A program in `PATH` that must be linked statically, because the guest has no libraries.
    StaticProgram,
    /// A file or directory at this path.
    File(&'static str),
    /// A header in the include path of the host's C compiler.
    Header(&'static str),
}

/// A tool, its purpose, and its packages.
#[derive(Debug, PartialEq, Eq)]
pub struct HostTool {
    /// Name of the program, header or package.
    pub name: &'static str,
    /// The method to find it.
    pub probe: Probe,
    /// The purpose, as a clause after "which".
    pub why: &'static str,
    /// The purpose that it belongs to.
    pub need: Need,
    /// Its importance for that purpose.
    pub importance: Importance,
    apt: Option<&'static str>,
    dnf: Option<&'static str>,
    pacman: Option<&'static str>,
    zypper: Option<&'static str>,
}

/// Every tool.
pub const TOOLS: &[HostTool] = &[
    HostTool {
        name: "qemu-system-x86_64",
        probe: Probe::Program(Some("--version")),
        why: "boots the kernel under test",
        need: Need::Run,
        importance: Importance::Needed,
        apt: Some("qemu-system-x86"),
        dnf: Some("qemu-system-x86-core"),
        pacman: Some("qemu-system-x86"),
        zypper: Some("qemu-x86"),
    },
    HostTool {
        name: "secilc",
        // It has no option for its version.
        probe: Probe::Program(None),
        why: "compiles the SELinux policies",
        need: Need::Run,
        importance: Importance::Needed,
        apt: Some("secilc"),
        dnf: Some("secilc"),
        // Only in the AUR, from which pacman does not install.
        pacman: None,
        zypper: Some("secilc"),
    },
    HostTool {
        name: "apt-get",
        probe: Probe::Program(Some("--version")),
        why: "fetches Debian's kernels and policies",
        need: Need::DebianKernels,
        importance: Importance::Needed,
        // A host without apt has no Debian mirror configured either.
        apt: None,
        dnf: None,
        pacman: None,
        zypper: None,
    },
    HostTool {
        name: "debian-archive-keyring",
        probe: Probe::File(DEBIAN_KEYRING),
        why: "has the keys that verify Debian's packages",
        need: Need::DebianKernels,
        importance: Importance::Needed,
        apt: Some("debian-archive-keyring"),
        dnf: None,
        pacman: None,
        zypper: None,
    },
    HostTool {
        name: "semodule",
        // It has no option for its version.
        probe: Probe::Program(None),
        why: "builds policies from modules",
        need: Need::Policies,
        importance: Importance::Needed,
        apt: Some("policycoreutils"),
        dnf: Some("policycoreutils"),
        // Only in the AUR.
        pacman: None,
        zypper: Some("policycoreutils"),
    },
    HostTool {
        name: "busybox",
        probe: Probe::StaticProgram,
        why: "is the shell in the guest",
        need: Need::Shell,
        importance: Importance::Needed,
        apt: Some("busybox-static"),
        dnf: Some("busybox"),
        pacman: Some("busybox"),
        zypper: Some("busybox-static"),
    },
    HostTool {
        name: "mmdebstrap",
        probe: Probe::Program(Some("--version")),
        why: "builds guest systems",
        need: Need::Guests,
        importance: Importance::Needed,
        apt: Some("mmdebstrap"),
        // A host without apt has no Debian mirror configured either.
        dnf: None,
        pacman: None,
        zypper: None,
    },
    around_mmdebstrap("setpriv", "ends mmdebstrap when perfsec ends"),
    around_mmdebstrap("unshare", "keeps the mounts of mmdebstrap apart from the host's"),
    HostTool {
        name: "hyperfine",
        probe: Probe::Program(Some("--version")),
        why: "measures whole runs",
        need: Need::Bench,
        importance: Importance::Needed,
        apt: Some("hyperfine"),
        dnf: Some("hyperfine"),
        pacman: Some("hyperfine"),
        zypper: Some("hyperfine"),
    },
    HostTool {
        name: "cc",
        probe: Probe::Program(Some("--version")),
        why: "links perfsec and compiles its decompressors",
        need: Need::Build,
        importance: Importance::Needed,
        // The headers of the C library are only recommended by gcc.
        apt: Some("gcc libc6-dev"),
        dnf: Some("gcc"),
        pacman: Some("gcc"),
        zypper: Some("gcc"),
    },
    peer(
        "python3",
        Probe::Program(Some("--version")),
        "runs report readers written in Python",
        "python3-venv",
    ),
    peer(
        "python3-venv",
        Probe::File("/usr/share/python-wheels"),
        "separates those readers from the host's packages",
        "python3-venv",
    ),
    peer("curl", Probe::Program(Some("--version")), "fetches releases in CI templates", "curl"),
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
    peer("rpmbuild", VERSION, "makes packages in the layout of Fedora's policy", "rpm"),
    peer("rsync", VERSION, "copies the tests that tmt runs", "rsync"),
    builder("git", VERSION, "keeps the trees that kernels are built from", ["git"; 4]),
    builder("make", VERSION, "runs the kernel's build", ["make"; 4]),
    builder("flex", VERSION, "generates scanners for the build's host programs", ["flex"; 4]),
    builder("bison", VERSION, "generates parsers for the build's host programs", ["bison"; 4]),
    builder("bc", VERSION, "computes constants for the kernel's timekeeping", ["bc"; 4]),
    builder(
        "gelf.h",
        Probe::Header("gelf.h"),
        "objtool includes",
        ["libelf-dev", "elfutils-libelf-devel", "libelf", "libelf-devel"],
    ),
    // Minimal containers often lack these four.
    builder("awk", Probe::Program(None), "merges the fragments", ["gawk"; 4]),
    builder("cmp", VERSION, "detects changes of generated headers", ["diffutils"; 4]),
    builder("gzip", VERSION, "compresses the built-in configuration", ["gzip"; 4]),
    builder("xargs", VERSION, "splits long lists of objects", ["findutils"; 4]),
    useful("ccache", VERSION, "makes the next build of a kernel faster", ["ccache"; 4]),
    useful("lz4", VERSION, "compresses the bzImage", ["lz4"; 4]),
    useful(
        "pahole",
        VERSION,
        "generates the types for CONFIG_DEBUG_INFO_BTF",
        ["pahole", "dwarves", "pahole", "dwarves"],
    ),
    useful("perl", VERSION, "generates code for some ciphers and for certificates", ["perl"; 4]),
    useful(
        "openssl/opensslv.h",
        Probe::Header("openssl/opensslv.h"),
        "the module signing tools include",
        ["libssl-dev", "openssl-devel", "openssl", "libopenssl-devel"],
    ),
    HostTool {
        need: Need::Gcc,
        ..builder("gcc", VERSION, "compiles the kernel", ["gcc libc6-dev", "gcc", "gcc", "gcc"])
    },
    HostTool { need: Need::Gcc, ..builder("ld", VERSION, "links the kernel", ["binutils"; 4]) },
    llvm("clang", "compiles the kernel", ["clang libc6-dev", "clang", "clang", "clang"]),
    llvm("ld.lld", "links the kernel", ["lld"; 4]),
    llvm("llvm-ar", "archives objects", ["llvm"; 4]),
    llvm("llvm-nm", "lists the kernel's symbols", ["llvm"; 4]),
    llvm("llvm-objcopy", "extracts sections of the kernel", ["llvm"; 4]),
];

const VERSION: Probe = Probe::Program(Some("--version"));

/// A tool that every kernel build needs, with its packages for apt, dnf, pacman and zypper.
const fn builder(
    name: &'static str,
    probe: Probe,
    why: &'static str,
    packages: [&'static str; 4],
) -> HostTool {
    let [apt, dnf, pacman, zypper] = packages;
    HostTool {
        name,
        probe,
        why,
        need: Need::KernelBuild,
        importance: Importance::Needed,
        apt: Some(apt),
        dnf: Some(dnf),
        pacman: Some(pacman),
        zypper: Some(zypper),
    }
}

/// A program of util-linux that builds of guest systems need.
const fn around_mmdebstrap(name: &'static str, why: &'static str) -> HostTool {
    HostTool { need: Need::Guests, ..builder(name, VERSION, why, ["util-linux"; 4]) }
}

/// A tool that is useful for kernel builds.
const fn useful(
    name: &'static str,
    probe: Probe,
    why: &'static str,
    packages: [&'static str; 4],
) -> HostTool {
    HostTool { importance: Importance::Useful, ..builder(name, probe, why, packages) }
}

/// A tool that a build with LLVM needs.
const fn llvm(name: &'static str, why: &'static str, packages: [&'static str; 4]) -> HostTool {
    HostTool { need: Need::Llvm, ..builder(name, VERSION, why, packages) }
}

/// A tool for the checks that other programs can read perfsec's reports. The packages are Debian's,
/// where these checks run.
const fn peer(name: &'static str, probe: Probe, why: &'static str, apt: &'static str) -> HostTool {
    HostTool {
        name,
        probe,
        why,
        need: Need::Peers,
        importance: Importance::Needed,
        apt: Some(apt),
        dnf: None,
        pacman: None,
        zypper: None,
    }
}

impl HostTool {
    /// The packages, separated by spaces, that contain it, if this package manager has any.
    pub fn package(&self, manager: PackageManager) -> Option<&'static str> {
        match manager {
            PackageManager::Apt => self.apt,
            PackageManager::Dnf => self.dnf,
            PackageManager::Pacman => self.pacman,
            PackageManager::Zypper => self.zypper,
        }
    }
}
