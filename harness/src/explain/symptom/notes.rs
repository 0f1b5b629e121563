//! Fixed paragraphs of the answers.

use crate::errno::Errno;

/// The other causes of an errno.
pub(super) fn other_errno(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => {
            "EPERM comes from a tracepoint's raw data, a breakpoint in the kernel, a buffer beyond \
             the mlock limit (CAP_IPC_LOCK), lockdown, or a seccomp filter, as in containers."
        }
        Errno::EACCES => {
            "EACCES comes from kernel.perf_event_paranoid, from ptrace access, and from SELinux."
        }
        _ => OTHER_ERRNO,
    }
}

/// Printed for an errno that no refusal returns.
pub(super) const OTHER_ERRNO: &str = "permissions are not the reason. No level, capability or \
    SELinux rule causes it: check the event, its options and what the machine supports.";

/// Printed if level and capabilities allow the event.
pub(super) const SELINUX_REFUSES: &str = "If it still fails, SELinux may have refused it. That \
    leaves an AVC record, unless a dontaudit rule hides it (`semodule -DB` disables these rules, \
    `semodule -B` enables them again) or audit is off.";

/// Printed if the process is meant to hold a capability.
pub(super) const NOT_EFFECTIVE: &str = "A capability may also not be effective; then the kernel \
    never asks SELinux about it. Check CapEff in /proc/PID/status and `getcap FILE`: nosuid mounts \
    and no_new_privs drop file capabilities silently.";

/// Printed for a tracepoint.
pub(super) const TRACEFS: &str = "perf must also read the tracepoint's files in tracefs \
    (/sys/kernel/tracing). By default only root can. CAP_PERFMON does not change that, but a mount \
    option does: `mount -o remount,mode=755 /sys/kernel/tracing` with `chmod` of events/, or gid=.";

/// Printed for a failure to map the buffer.
pub(super) const MMAP: &str = "Mapping the buffer: mmap() returns EPERM if the buffer exceeds the \
    limit of locked memory, unless the process holds CAP_IPC_LOCK or the level is -1. Use a \
    smaller buffer (`-m`), or raise kernel.perf_event_mlock_kb or RLIMIT_MEMLOCK; CAP_IPC_LOCK is \
    more than this needs, and CAP_PERFMON does not count. mmap() returns EACCES if SELinux refuses \
    perf_event { read }.";

/// Printed for a container.
pub(super) const CONTAINER: &str = "In a container: perf needs capabilities in the initial user \
    namespace, so root in a container with its own user namespace counts as an ordinary user, and \
    the kernel never asks SELinux. Also, most containers have a seccomp filter that refuses \
    perf_event_open() with EPERM before any check and without an AVC record, unless the container \
    has CAP_PERFMON or another filter.";

/// Printed for `perf probe`, which opens no event.
pub(super) const PROBE: &str = "perf probe opens no event: it writes kprobe_events or \
    uprobe_events in tracefs. Only root can write these files (by file mode; no capability of perf \
    helps), and lockdown's level confidentiality forbids kprobes. Least privilege: define the \
    probe once as root; then a user with CAP_PERFMON can record it (`perf record -e probe:NAME`, \
    which needs perf_event { tracepoint } and read access to tracefs).";
