//! The headers that a C file includes.

/// Headers, and parts of names that come from each.
const HEADERS: [(&str, &[&str]); 34] = [
    ("err.h", &["err("]),
    ("errno.h", &["errno"]),
    ("fcntl.h", &["open("]),
    ("fnmatch.h", &["fnmatch("]),
    ("grp.h", &["setgroups("]),
    ("limits.h", &["INT_MAX"]),
    ("linux/audit.h", &["AUDIT_"]),
    ("linux/bpf.h", &["bpf_attr", "bpf_insn"]),
    ("linux/capability.h", &["CAP_", "__user_cap", "cap_data"]),
    ("linux/hw_breakpoint.h", &["HW_BREAKPOINT_"]),
    ("linux/netlink.h", &["nlmsghdr"]),
    ("linux/perf_event.h", &["perf_event_attr", "PERF_"]),
    ("linux/securebits.h", &["SECBIT_"]),
    ("poll.h", &["pollfd"]),
    ("sched.h", &["CLONE_"]),
    ("signal.h", &["kill(", "SIGKILL", "SIGCHLD"]),
    ("stddef.h", &["offsetof("]),
    ("stdio.h", &["printf("]),
    ("stdlib.h", &["alloc(", "env(", "atexit("]),
    ("string.h", &["str", "mem"]),
    ("sys/fsuid.h", &["setfsuid("]),
    ("sys/ioctl.h", &["ioctl("]),
    ("sys/mman.h", &["mmap(", "munmap(", "memfd_create(", "MADV_"]),
    ("sys/mount.h", &["mount("]),
    ("sys/prctl.h", &["prctl("]),
    ("sys/resource.h", &["setrlimit("]),
    ("sys/sendfile.h", &["sendfile("]),
    ("sys/socket.h", &["socket("]),
    ("sys/stat.h", &["fchmod("]),
    ("sys/syscall.h", &["syscall("]),
    ("sys/uio.h", &["iovec"]),
    ("sys/wait.h", &["waitpid("]),
    ("sys/xattr.h", &["fsetxattr("]),
    ("unistd.h", &["read("]),
];

/// The lines that include what a file uses.
pub(super) fn includes(file: &str) -> String {
    let uses = |names: &&[&str]| names.iter().any(|name| file.contains(name));
    let used = HEADERS.iter().filter(|(_, names)| uses(names));
    let lines: Vec<_> = used.map(|(header, _)| format!("#include <{header}>")).collect();
    lines.join("\n")
}
