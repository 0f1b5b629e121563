//! Lockdown: SELinux's class, and the kernel's own messages.

use crate::audit::Denial;

/// The feature that old kernels asked SELinux about for every event.
const PERF: &str = "unsafe use of perf";

/// The note on records of that question. The fix is "perf/core: Fix unconditional
/// security_locked_down() call".
pub(super) const IGNORED: &str = "lockdown, \"unsafe use of perf\": kernels before 5.10.35, 5.12.2 \
    and 5.13 asked this for every event, and used the answer only for samples with kernel \
    registers (PERF_SAMPLE_REGS_INTR, `perf record --intr-regs`). Unless those are taken, nothing \
    depends on it: a dontaudit rule or a newer kernel is better than the permission.";

/// True if the kernel asked and, for nearly every event, ignored the answer.
pub(super) fn is_ignored(denial: &Denial) -> bool {
    !denial.granted && denial.class == "lockdown" && denial.lockdown_reason.as_deref() == Some(PERF)
}

/// A feature that lockdown forbids (`security/security.c`, `lockdown_reasons`).
pub(super) struct Feature {
    /// In the kernel's words.
    pub(super) name: &'static str,
    /// The level from which on it is forbidden.
    pub(super) level: &'static str,
    /// The consequence for perf or BPF, as sentences.
    pub(super) means: &'static str,
    /// A way without it, as an imperative.
    pub(super) instead: &'static str,
}

/// The features that perf and BPF tools use.
const FEATURES: [Feature; 7] = [
    Feature {
        name: "use of kprobes",
        level: "confidentiality",
        means: "kprobes are refused with EPERM to everybody, root included",
        instead: "use tracepoints or fentry programs",
    },
    Feature {
        name: PERF,
        level: "confidentiality",
        means: "samples with kernel registers (PERF_SAMPLE_REGS_INTR) are refused with EPERM; \
                other events are not concerned",
        instead: "leave out `--intr-regs`",
    },
    Feature {
        name: "use of bpf to read kernel RAM",
        level: "confidentiality",
        means: "BPF programs that read kernel memory (bpf_probe_read_kernel() and its kin) do not \
                load, for root either",
        instead: "count or trace with perf events that need no such program",
    },
    Feature {
        name: "use of bpf to write user RAM",
        level: "integrity",
        means: "BPF programs that call bpf_probe_write_user() do not load, for root either",
        instead: "leave out that helper",
    },
    Feature {
        name: "use of tracefs",
        level: "confidentiality",
        means: "files of tracefs cannot be opened, for root either: tracepoints by name, `perf \
                trace`, `perf probe` and `perf ftrace` fail",
        instead: "use hardware and software events, which do not need tracefs",
    },
    Feature {
        name: "debugfs access",
        level: "integrity",
        means: "files of debugfs cannot be opened, so an old perf does not find tracefs there",
        instead: "mount tracefs at /sys/kernel/tracing",
    },
    Feature {
        name: "/proc/kcore access",
        level: "confidentiality",
        means: "perf cannot read the running kernel's code; events still open",
        instead: "give perf a vmlinux file (`-k FILE`)",
    },
];

/// The feature that a message names, if perf or BPF tools use it.
pub(super) fn feature(what: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name.eq_ignore_ascii_case(what.trim()))
}
