//! Who is who: other credentials, another task, another namespace.

use tree_sitter::Node;

use super::names;
use crate::Operator;
use crate::draft::{Drafts, is_place};
use crate::function::{Function, ancestors, arguments, field};
use crate::scan;

/// A member of `struct cred` or of SELinux's security structures, and those that a developer could
/// confuse it with. A set that is read by macros must stay an object: see [`is_set`].
const MEMBERS: &[(&str, &str)] = &[
    ("uid", "euid"),
    ("euid", "uid"),
    ("suid", "euid"),
    ("fsuid", "uid"),
    ("gid", "egid"),
    ("egid", "gid"),
    ("sgid", "egid"),
    ("fsgid", "gid"),
    ("cap_effective", "cap_permitted"),
    ("cap_permitted", "cap_effective"),
    ("cap_inheritable", "cap_permitted"),
    ("cap_ambient", "cap_inheritable"),
    ("cap_bset", "cap_permitted"),
    ("sid", "osid"),
    ("osid", "sid"),
    ("exec_sid", "sid"),
    ("cred", "real_cred"),
    ("real_cred", "cred"),
];

/// Members whose names are too common to belong to credentials unless their base does.
const SHORT: &[&str] = &["uid", "gid", "sid", "osid", "cred"];

/// Macros that write the capability set that is their argument.
const WRITERS: &[&str] = &["cap_clear", "cap_set_full", "cap_raise", "cap_lower"];

/// Calls that yield credentials, ids or SIDs, without their arguments.
const SUBJECTS: &[(&str, &str)] = &[
    ("current_cred", "current_real_cred()"),
    ("current_real_cred", "current_cred()"),
    ("__task_cred", "current_cred()"),
    ("get_task_cred", "get_current_cred()"),
    ("current_uid", "current_euid()"),
    ("current_euid", "current_uid()"),
    ("current_fsuid", "current_uid()"),
    ("current_sid", "task_sid_obj(current)"),
    ("task_sid_obj", "current_sid()"),
    ("cred_sid", "current_sid()"),
];

/// Variables that hold the SIDs of a subject and its object.
const SIDS: &[(&str, &str)] =
    &[("ssid", "tsid"), ("tsid", "ssid"), ("sid", "csid"), ("csid", "sid"), ("mysid", "osid")];

/// Numbers of a task, each as another PID namespace than the one of the record sees it.
const NAMESPACED: &[(&str, &str)] = &[
    ("task_tgid_nr", "task_tgid_vnr"),
    ("task_pid_nr", "task_pid_vnr"),
    ("task_tgid_vnr", "task_tgid_nr"),
    ("task_pid_vnr", "task_pid_nr"),
];

/// Functions and members for which all threads of a process are the same.
const SHARED: &[&str] = &[
    "task_tgid_nr",
    "task_tgid_vnr",
    "task_tgid_nr_ns",
    "task_ppid_nr",
    "same_thread_group",
    "mm",
    "signal",
    "sighand",
    "files",
    "group_leader",
];

/// Calls that yield a task or its number, by name; the arguments stay.
const TASKS: &[(&str, &str)] = &[
    ("task_tgid_nr", "task_pid_nr"),
    ("task_pid_nr", "task_tgid_nr"),
    ("task_tgid_vnr", "task_pid_vnr"),
    ("task_pid_vnr", "task_tgid_vnr"),
    ("task_ppid_nr", "task_tgid_nr"),
    ("task_tgid_nr_ns", "task_pid_nr_ns"),
    ("task_pid_nr_ns", "task_tgid_nr_ns"),
];

pub(crate) fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    match node.kind() {
        "field_expression" => member(f, node, out),
        "call_expression" => call(f, node, out),
        "identifier" => identifier(f, node, out),
        "pointer_expression" if f.text(node) == "&init_user_ns" && knows_current(f) => {
            out.value(Operator::OtherNamespace, node, "current_user_ns()");
        }
        _ => {}
    }
}

fn member(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let (Some(base), Some(name)) = (field(node, "argument"), field(node, "field")) else { return };
    let name = f.text(name);
    if is_written(f, node) {
        return;
    }
    let whole = f.text(node);
    let start = &whole[..whole.len() - name.len()];
    for (_, other) in MEMBERS.iter().filter(|(known, _)| *known == name) {
        if SHORT.contains(&name) && !holds_identity(f, base) {
            continue;
        }
        let other = format!("{start}{other}");
        if is_set(name) {
            out.place(Operator::OtherCredentials, node, other);
        } else {
            out.value(Operator::OtherCredentials, node, other);
        }
    }
    if name == "user_ns" && !is_place(node) {
        out.value(Operator::OtherNamespace, node, "&init_user_ns");
    }
}

/// Capability sets are structures that macros index, assign and take the address of.
fn is_set(name: &str) -> bool {
    name.starts_with("cap_")
}

/// True for an expression that points to credentials, to a task, or to an object's SIDs.
fn holds_identity(f: &Function<'_>, base: Node<'_>) -> bool {
    let text = f.text(base);
    ["cred", "tsec", "current", "task", "new", "old"].iter().any(|part| text.contains(part))
}

fn call(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let Some(name) = f.callee(node) else { return };
    for (_, other) in SUBJECTS.iter().filter(|(known, _)| *known == name) {
        // SELinux keeps this one in one file.
        let known = f.file.bare().contains("task_sid_obj");
        if other.starts_with("task_sid_obj") && !known {
            continue;
        }
        out.value(Operator::OtherCredentials, node, *other);
    }
    let args: Vec<_> = arguments(node).into_iter().map(|argument| f.text(argument)).collect();
    let all = args.join(", ");
    for (_, other) in TASKS.iter().filter(|(known, _)| *known == name) {
        out.value(Operator::OtherTask, node, format!("{other}({all})"));
    }
    for (_, other) in NAMESPACED.iter().filter(|(known, _)| *known == name) {
        out.value(Operator::OtherNamespace, node, format!("{other}({all})"));
    }
    match (name, &args[..]) {
        ("find_task_by_vpid", [pid]) => {
            let other = format!("find_task_by_pid_ns({pid}, &init_pid_ns)");
            out.value(Operator::OtherTask, node, other);
        }
        ("current_user_ns", []) => out.value(Operator::OtherNamespace, node, "&init_user_ns"),
        ("capable", [cap]) if knows_current(f) => {
            let other = format!("ns_capable(current_user_ns(), {cap})");
            out.value(Operator::OtherNamespace, node, other);
        }
        (_, []) if knows_current(f) => {
            if let Some(capability) = names::helper(name) {
                let own = format!("ns_capable(current_user_ns(), {capability})");
                let own = format!("{own} || {}", names::capable(f, "CAP_SYS_ADMIN"));
                out.truth(Operator::OtherNamespace, node, own);
            }
        }
        ("ns_capable", [_, cap]) => {
            out.value(Operator::OtherNamespace, node, format!("capable({cap})"));
        }
        ("from_kuid" | "from_kgid", [other, id])
            if *other != "current_user_ns()" && knows_current(f) =>
        {
            let other = format!("{name}(current_user_ns(), {id})");
            out.value(Operator::OtherNamespace, node, other);
        }
        _ => {}
    }
}

fn identifier(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    let name = f.text(node);
    let Some(parent) = node.parent() else { return };
    let argument = parent.kind() == "argument_list";
    let followed = parent.kind() == "field_expression";
    if name == "current" {
        let user = if followed {
            field(parent, "field").map(|name| f.text(name))
        } else {
            parent.parent().and_then(|call| f.callee(call))
        };
        let shared = user.is_some_and(|name| SHARED.contains(&name));
        if !shared && (argument || followed || parent.kind() == "assignment_expression") {
            out.value(Operator::OtherTask, node, "current->group_leader");
        }
        return;
    }
    if !(argument || followed && !is_written(f, parent)) || is_place(node) || declares(node) {
        return;
    }
    for (_, other) in SIDS.iter().filter(|(known, _)| *known == name && argument) {
        if mentions(f, other) {
            out.value(Operator::OtherCredentials, node, *other);
        }
    }
    let credentials = f.pointers("cred");
    if credentials.contains(&name) {
        for other in credentials.iter().filter(|other| **other != name) {
            out.value(Operator::OtherCredentials, node, *other);
        }
    }
    if argument && f.pointers("task_struct").contains(&name) {
        out.value(Operator::OtherTask, node, "current");
    }
}

/// True for the left side of an assignment, and the like: the object that is written is not a
/// question of identity.
fn is_written(f: &Function<'_>, node: Node<'_>) -> bool {
    let Some(parent) = node.parent() else { return false };
    match parent.kind() {
        "assignment_expression" => field(parent, "left") == Some(node),
        "argument_list" => {
            let writer = parent.parent().and_then(|call| f.callee(call));
            writer.is_some_and(|name| WRITERS.contains(&name))
        }
        _ => false,
    }
}

/// False in a header that is included before the task's namespace is declared.
fn knows_current(f: &Function<'_>) -> bool {
    !f.file.path().ends_with(".h") || f.file.bare().contains("current_user_ns")
}

/// True inside the declaration of the variable itself.
fn declares(node: Node<'_>) -> bool {
    ancestors(node).any(|outer| outer.kind() == "parameter_declaration")
}

fn mentions(f: &Function<'_>, name: &str) -> bool {
    [f.header(), f.body()].iter().any(|text| scan::words(text).any(|(_, word)| word == name))
}
