//! What perfsec uses of a host.

use super::manager::PackageManager;

/// The keys that sign Debian's archive.
pub(crate) const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

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
    /// Building perfsec.
    Build,
    /// Showing that other programs read what perfsec writes.
    Peers,
    /// Building kernels from source, with either compiler.
    KernelBuild,
    /// Building them with GCC and binutils.
    Gcc,
    /// Building them with LLVM (`LLVM=1`).
    Llvm,
}

/// How much depends on a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    /// What it is needed for is not possible without it.
    Needed,
    /// It is possible without it, if slower or not in every configuration.
    Useful,
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
    /// A header that a C compiler of the host's finds.
    Header(&'static str),
}

/// A tool, why perfsec wants it, and where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub struct HostTool {
    /// The program or, of what is none, its name.
    pub name: &'static str,
    /// How it is recognised.
    pub probe: Probe,
    /// Why it is needed, as a clause after "which".
    pub why: &'static str,
    /// What it is needed for.
    pub need: Need,
    /// How much depends on it.
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
        // It tells its options but no version.
        probe: Probe::Program(None),
        why: "compiles the SELinux policies",
        need: Need::Run,
        importance: Importance::Needed,
        apt: Some("secilc"),
        dnf: Some("secilc"),
        // Only in the user repository, which pacman does not install from.
        pacman: None,
        zypper: Some("secilc"),
    },
    HostTool {
        name: "apt-get",
        probe: Probe::Program(Some("--version")),
        why: "fetches Debian's kernels",
        need: Need::DebianKernels,
        importance: Importance::Needed,
        // A host that lacks it has no Debian mirror configured either.
        apt: None,
        dnf: None,
        pacman: None,
        zypper: None,
    },
    HostTool {
        name: "debian-archive-keyring",
        probe: Probe::File(DEBIAN_KEYRING),
        why: "holds the keys that Debian's kernels are verified with",
        need: Need::DebianKernels,
        importance: Importance::Needed,
        apt: Some("debian-archive-keyring"),
        dnf: None,
        pacman: None,
        zypper: None,
    },
    HostTool {
        name: "busybox",
        probe: Probe::StaticProgram,
        why: "is the shell inside a booted lane",
        need: Need::Shell,
        importance: Importance::Needed,
        apt: Some("busybox-static"),
        dnf: Some("busybox"),
        pacman: Some("busybox"),
        zypper: Some("busybox-static"),
    },
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
        why: "links perfsec and compiles the decompressors in it",
        need: Need::Build,
        importance: Importance::Needed,
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
    peer("rsync", VERSION, "copies the tests that tmt runs", "rsync"),
    builder("git", VERSION, "keeps the trees that kernels are built from", ["git"; 4]),
    builder("make", VERSION, "runs the kernel's build", ["make"; 4]),
    builder("flex", VERSION, "makes the scanners of the build's own programs", ["flex"; 4]),
    builder("bison", VERSION, "makes the parsers of the build's own programs", ["bison"; 4]),
    builder("bc", VERSION, "computes the constants of the kernel's clock", ["bc"; 4]),
    builder(
        "gelf.h",
        Probe::Header("gelf.h"),
        "objtool is compiled with",
        ["libelf-dev", "elfutils-libelf-devel", "libelf", "libelf-devel"],
    ),
    // Many a container has none of these four.
    builder("awk", Probe::Program(None), "merges the fragments", ["gawk"; 4]),
    builder("cmp", VERSION, "tells which of the made headers are new", ["diffutils"; 4]),
    builder("gzip", VERSION, "packs the configuration that is built in", ["gzip"; 4]),
    builder("xargs", VERSION, "passes long lists of objects on", ["findutils"; 4]),
    useful("ccache", VERSION, "makes the next build of a kernel faster", ["ccache"; 4]),
    useful("lz4", VERSION, "packs a bzImage of our configuration", ["lz4"; 4]),
    useful(
        "pahole",
        VERSION,
        "makes the types for CONFIG_DEBUG_INFO_BTF",
        ["pahole", "dwarves", "pahole", "dwarves"],
    ),
    useful(
        "perl",
        VERSION,
        "makes code for some of the kernel's ciphers and its certificates",
        ["perl"; 4],
    ),
    useful(
        "openssl/opensslv.h",
        Probe::Header("openssl/opensslv.h"),
        "the signing of modules is compiled with",
        ["libssl-dev", "openssl-devel", "openssl", "libopenssl-devel"],
    ),
    HostTool {
        need: Need::Gcc,
        ..builder("gcc", VERSION, "compiles the kernel", ["gcc libc6-dev", "gcc", "gcc", "gcc"])
    },
    HostTool { need: Need::Gcc, ..builder("ld", VERSION, "links the kernel", ["binutils"; 4]) },
    llvm("clang", "compiles the kernel", ["clang libc6-dev", "clang", "clang", "clang"]),
    llvm("ld.lld", "links the kernel", ["lld"; 4]),
    llvm("llvm-ar", "collects what was compiled", ["llvm"; 4]),
    llvm("llvm-nm", "lists the kernel's symbols", ["llvm"; 4]),
    llvm("llvm-objcopy", "takes the kernel's sections apart", ["llvm"; 4]),
];

const VERSION: Probe = Probe::Program(Some("--version"));

/// What every build of a kernel needs, with its packages for apt, dnf, pacman and zypper.
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

/// What a build of a kernel is better with.
const fn useful(
    name: &'static str,
    probe: Probe,
    why: &'static str,
    packages: [&'static str; 4],
) -> HostTool {
    HostTool { importance: Importance::Useful, ..builder(name, probe, why, packages) }
}

/// What a build with LLVM needs.
const fn llvm(name: &'static str, why: &'static str, packages: [&'static str; 4]) -> HostTool {
    HostTool { need: Need::Llvm, ..builder(name, VERSION, why, packages) }
}

/// What a tool is needed for when perfsec's own checks ask other programs what they make of a report. The
/// names are those of Debian, where these checks run.
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
    /// The package or packages that bring it, if the host's package manager has one.
    pub fn package(&self, manager: PackageManager) -> Option<&'static str> {
        match manager {
            PackageManager::Apt => self.apt,
            PackageManager::Dnf => self.dnf,
            PackageManager::Pacman => self.pacman,
            PackageManager::Zypper => self.zypper,
        }
    }
}
