//! The packages of a guest system, beside those that every Debian system has.

/// The packages, each with the reason why it is there.
pub(super) const PACKAGES: &[(&str, &str)] = &[
    ("systemd", "is process 1"),
    ("systemd-sysv", "makes it so: /sbin/init"),
    ("auditd", "writes audit's log; has ausearch and auditctl"),
    ("selinux-policy-default", "is the policy"),
    ("policycoreutils", "has semodule, setfiles and newrole"),
    ("policycoreutils-python-utils", "has audit2allow and semanage"),
    ("selinux-utils", "has getenforce, setenforce and matchpathcon"),
    ("semodule-utils", "has semodule_package"),
    ("checkpolicy", "has checkmodule"),
    ("linux-perf", "is the perf that people run"),
    ("bpftrace", "is the other tracer that asks for CAP_PERFMON"),
    ("login", "lets somebody log in on the console"),
    ("libpam-modules", "sets the context and the login uid of a session"),
    ("libcap2-bin", "has setcap, getcap and capsh"),
    ("kmod", "has lsmod, which perf calls"),
];

/// Directories and files of packages that nobody reads in a guest: they would be unpacked at each
/// boot.
pub(super) const EXCLUDED: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/zoneinfo/*",
    "/usr/lib/udev/hwdb.d/*",
    // Only libbcc needs it, and bpftrace only a small library from the same source.
    "/usr/lib/x86_64-linux-gnu/libclang-cpp.so*",
];

/// The names, separated by commas.
pub(super) fn names() -> String {
    PACKAGES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}
