//! Another name from the same family: capabilities, permissions, errnos, audited or not.

use tree_sitter::Node;

use super::checks;
use crate::Operator;
use crate::draft::Drafts;
use crate::function::{Function, arguments, operator};
use crate::scan::collapse;

/// A capability, and those that a developer could confuse it with.
const CAPABILITIES: &[(&str, &[&str])] = &[
    ("CAP_PERFMON", &["CAP_SYS_ADMIN", "CAP_BPF"]),
    ("CAP_SYS_ADMIN", &["CAP_PERFMON", "CAP_SYS_PTRACE"]),
    ("CAP_BPF", &["CAP_PERFMON", "CAP_SYS_ADMIN"]),
    ("CAP_KILL", &["CAP_SYS_PTRACE", "CAP_PERFMON"]),
    ("CAP_SYS_PTRACE", &["CAP_SYS_ADMIN", "CAP_PERFMON"]),
    ("CAP_IPC_LOCK", &["CAP_SYS_RESOURCE", "CAP_PERFMON"]),
    ("CAP_SYS_RESOURCE", &["CAP_SYS_ADMIN", "CAP_IPC_LOCK"]),
    ("CAP_SYSLOG", &["CAP_SYS_ADMIN", "CAP_PERFMON"]),
    ("CAP_SETUID", &["CAP_SETGID", "CAP_SETPCAP"]),
    ("CAP_SETGID", &["CAP_SETUID"]),
    ("CAP_SETPCAP", &["CAP_SYS_ADMIN", "CAP_SETUID"]),
    ("CAP_SETFCAP", &["CAP_SETPCAP"]),
    ("CAP_AUDIT_CONTROL", &["CAP_AUDIT_WRITE"]),
    ("CAP_AUDIT_WRITE", &["CAP_AUDIT_CONTROL"]),
];

/// Permissions, classes and modes. Each becomes the one that follows it, the last the first.
const PERMISSIONS: &[&[&str]] = &[
    &[
        "PERF_EVENT__OPEN",
        "PERF_EVENT__CPU",
        "PERF_EVENT__KERNEL",
        "PERF_EVENT__TRACEPOINT",
        "PERF_EVENT__READ",
        "PERF_EVENT__WRITE",
    ],
    &[
        "PERF_SECURITY_OPEN",
        "PERF_SECURITY_CPU",
        "PERF_SECURITY_KERNEL",
        "PERF_SECURITY_TRACEPOINT",
    ],
    &["PROCESS__PTRACE", "PROCESS__GETSCHED", "PROCESS__GETCAP", "PROCESS__SETCAP"],
    &["PROCESS__TRANSITION", "PROCESS__DYNTRANSITION"],
    &["FILE__READ", "FILE__WRITE"],
    &["FILE__EXECUTE_NO_TRANS", "FILE__EXECUTE", "FILE__ENTRYPOINT"],
    &["LOCKDOWN__INTEGRITY", "LOCKDOWN__CONFIDENTIALITY"],
    &["LOCKDOWN_PERF", "LOCKDOWN_TRACEFS", "LOCKDOWN_KPROBES", "LOCKDOWN_BPF_READ_KERNEL"],
    &["SECCLASS_PERF_EVENT", "SECCLASS_PROCESS", "SECCLASS_FILE"],
    &["SECCLASS_CAPABILITY", "SECCLASS_CAPABILITY2"],
    &["SECCLASS_CAP_USERNS", "SECCLASS_CAP2_USERNS"],
    &["PTRACE_MODE_READ", "PTRACE_MODE_ATTACH"],
    &["PTRACE_MODE_REALCREDS", "PTRACE_MODE_FSCREDS"],
    &["PTRACE_MODE_READ_REALCREDS", "PTRACE_MODE_READ_FSCREDS"],
    &["PTRACE_MODE_ATTACH_REALCREDS", "PTRACE_MODE_ATTACH_FSCREDS"],
    &["PTRACE_MODE_READ_REALCREDS", "PTRACE_MODE_ATTACH_REALCREDS"],
];

/// Hooks and helpers with one signature that ask for different permissions.
const CHECKS: &[&[&str]] = &[
    &["security_perf_event_read", "security_perf_event_write"],
    &["perf_allow_kernel", "perf_allow_cpu", "perf_allow_tracepoint"],
];

/// Helpers without arguments that ask for a capability, and for which.
const CAPABLE: &[(&str, &str)] = &[
    ("perfmon_capable", "CAP_PERFMON"),
    ("bpf_capable", "CAP_BPF"),
    ("checkpoint_restore_ns_capable", "CAP_CHECKPOINT_RESTORE"),
];

/// An errno, and the one that a developer could confuse it with.
const ERRNOS: &[(&str, &str)] = &[
    ("EACCES", "EPERM"),
    ("EPERM", "EACCES"),
    ("EINVAL", "EOPNOTSUPP"),
    ("EOPNOTSUPP", "EINVAL"),
    ("ENOTSUPP", "EOPNOTSUPP"),
    ("ENOENT", "ENODEV"),
    ("ENODEV", "ENOENT"),
    ("ESRCH", "ENOENT"),
    ("E2BIG", "EINVAL"),
    ("EFAULT", "EINVAL"),
    ("EBADF", "EINVAL"),
    ("EBUSY", "EAGAIN"),
    ("EAGAIN", "EBUSY"),
    ("ENOSYS", "EOPNOTSUPP"),
    ("ENOTTY", "EINVAL"),
    ("ENODATA", "EINVAL"),
    ("ENOSPC", "EBUSY"),
    ("EOVERFLOW", "EINVAL"),
    ("EEXIST", "EBUSY"),
    ("EINTR", "EAGAIN"),
];

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    match node.kind() {
        "identifier" => identifier(f, node, out),
        "unary_expression" => errno(f, node, out),
        "call_expression" => call(f, node, out),
        _ => {}
    }
}

fn identifier(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let name = f.text(node);
    for (_, others) in CAPABILITIES.iter().filter(|(known, _)| *known == name) {
        for other in *others {
            out.value(Operator::OtherCapability, node, *other);
        }
    }
    for other in PERMISSIONS.iter().filter_map(|family| next(family, name)) {
        out.value(Operator::OtherPermission, node, other);
    }
    match name {
        "CAP_OPT_NONE" => out.value(Operator::Quiet, node, "CAP_OPT_NOAUDIT"),
        "CAP_OPT_NOAUDIT" => {
            let tested = node.parent().is_some_and(|parent| operator(parent) == "&");
            // `opts & CAP_OPT_NONE` is a constant, which negating the test gives too.
            if !tested {
                out.value(Operator::Quiet, node, "CAP_OPT_NONE");
            }
        }
        "PTRACE_MODE_NOAUDIT" => out.value(Operator::Quiet, node, "0"),
        _ => {}
    }
}

fn next<'a>(family: &[&'a str], name: &str) -> Option<&'a str> {
    let at = family.iter().position(|member| *member == name)?;
    family.get((at + 1) % family.len()).copied()
}

fn errno(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    // A value that is only compared has other operators.
    let compared = node.parent().is_some_and(|parent| parent.kind() == "binary_expression");
    let name = checks::errno(f, node).filter(|_| !compared);
    if let Some((_, other)) = ERRNOS.iter().find(|(known, _)| Some(*known) == name) {
        out.value(Operator::OtherErrno, node, format!("-{other}"));
    }
}

fn call(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(name) = f.callee(node) else { return };
    let args: Vec<_> = arguments(node).into_iter().map(|argument| f.text(argument)).collect();
    if let Some(other) = CHECKS.iter().find_map(|family| next(family, name)) {
        let rest = &f.text(node)[name.len()..];
        out.value(Operator::OtherPermission, node, format!("{other}{rest}"));
    }
    if let Some(capability) = helper(name).filter(|_| args.is_empty()) {
        let others = CAPABILITIES.iter().find(|(known, _)| *known == capability);
        for other in others.map(|(_, others)| *others).unwrap_or_default() {
            out.truth(Operator::OtherCapability, node, capable(f, other));
        }
        // These helpers accept CAP_SYS_ADMIN as well.
        out.truth(Operator::OtherCapability, node, capable(f, capability));
        let quiet = format!("ns_capable_noaudit(&init_user_ns, {capability})");
        out.truth(Operator::Quiet, node, format!("{quiet} || {}", capable(f, "CAP_SYS_ADMIN")));
    }
    if let Some(other) = audited_otherwise(name, &args) {
        out.value(Operator::Quiet, node, other);
    }
}

/// A call of `capable()`, in a function that can have a variable of that name.
pub(crate) fn capable(f: &Function<'_>, capability: &str) -> String {
    if f.body().contains("bool capable") {
        format!("ns_capable(&init_user_ns, {capability})")
    } else {
        format!("capable({capability})")
    }
}

/// The capability that a helper without arguments asks for.
pub(crate) fn helper(name: &str) -> Option<&'static str> {
    CAPABLE.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
}

/// The call that asks the same and logs the other way.
fn audited_otherwise(name: &str, args: &[&str]) -> Option<String> {
    let all = collapse(&args.join(", "));
    Some(match (name, args) {
        ("capable", [cap]) => format!("ns_capable_noaudit(&init_user_ns, {cap})"),
        ("ns_capable", _) => format!("ns_capable_noaudit({all})"),
        ("ns_capable_noaudit", _) => format!("ns_capable({all})"),
        ("has_ns_capability", _) => format!("has_ns_capability_noaudit({all})"),
        ("has_ns_capability_noaudit", _) => format!("has_ns_capability({all})"),
        ("has_capability", _) => format!("has_capability_noaudit({all})"),
        ("has_capability_noaudit", _) => format!("has_capability({all})"),
        // The last argument describes what the record is to say.
        ("avc_has_perm", [asked @ .., _]) => {
            let asked = collapse(&asked.join(", "));
            format!("avc_has_perm_noaudit({asked}, 0, &(struct av_decision){{ 0 }})")
        }
        _ => return None,
    })
}
