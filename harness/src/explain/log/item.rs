//! Explains one permission of a program's records.

use std::fmt::Write as _;

use crate::audit::{AuditedCall, CallOutcome, RecordGroup};
use crate::counted::counted;
use crate::coverage::Point;
use crate::text::Text;

use super::super::knowledge::{Knowledge, Permission};
use super::super::text::paragraph;

/// The number of checkpoints to name for a permission. `perfsec coverage --list` has them all.
const CHECKPOINTS: usize = 3;

/// Explains one permission.
pub(super) fn item(
    out: &mut Text,
    group: &RecordGroup,
    name: &str,
    number: usize,
    calls: &[&AuditedCall],
    knowledge: &Knowledge,
) {
    let class = &group.denial.class;
    let times = if number > 1 { format!(", {}", counted(number, "record")) } else { String::new() };
    let Some(permission) = knowledge.permission(class, name) else {
        paragraph(
            out,
            2,
            &format!(
                "{class} {{ {name} }}{times}: perfsec has no description of \
            it"
            ),
        );
        return;
    };
    let cap = permission
        .capability
        .map_or(String::new(), |cap| format!(" (CAP_{}, {cap})", permission.name.to_uppercase()));
    paragraph(out, 2, &format!("{class} {{ {name} }}{cap}{times}: to {}", permission.what));
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let points = knowledge.checkpoints(permission, &names);
    paragraph(out, 4, &format!("checked by {}", locate(permission, &points, knowledge, &names)));
    let ended = calls.iter().filter(|call| call.outcome != CallOutcome::Unknown);
    let mut ends: Vec<_> = ended.map(ToString::to_string).collect();
    ends.sort();
    ends.dedup();
    // CAP_SYS_ADMIN can replace these, so a refusal alone ends nothing.
    let replaceable = ["perfmon", "bpf"].iter().any(|cap| group.denial.has_capability(cap));
    match permission.refused.as_deref() {
        _ if !ends.is_empty() => paragraph(out, 4, &ends.join(", ")),
        Some(errno) if group.denial.refused() && !replaceable => {
            let end = match group.denial.permissive {
                Some(_) => format!("the call fails with {errno}"),
                None => format!("the call fails with {errno} if this was enforced"),
            };
            paragraph(out, 4, &end);
        }
        _ => {}
    }
    if let (Some(whose), true) = (&permission.target, group.denial.source != group.denial.target) {
        let target = &group.denial.target;
        let target = if target.is_omitted() { "" } else { target.short() };
        paragraph(out, 4, format!("the target {target} is {whose}").trim_start());
    }
    if group.denial.source.invalid || group.denial.target.invalid {
        paragraph(
            out,
            4,
            "the loaded policy does not define the context, so SELinux treats it as unlabeled",
        );
    }
}

/// Names the kernel functions, files and system calls that check a permission.
pub(in super::super) fn locate(
    permission: &Permission,
    points: &[&Point],
    knowledge: &Knowledge,
    calls: &[&str],
) -> String {
    let mut text = permission.hook.clone();
    if points.is_empty() {
        let _ = write!(text, " ({})", permission.source);
        return text;
    }
    let functions: Vec<_> = points
        .iter()
        .take(CHECKPOINTS)
        .map(|point| {
            let function = point.functions.first().map_or(point.name.as_str(), String::as_str);
            format!("{function}()")
        })
        .collect();
    let mut files: Vec<_> =
        points.iter().take(CHECKPOINTS).map(|point| point.file.as_str()).collect();
    files.dedup();
    let _ = write!(text, " in {} ({})", functions.join(", "), files.join(", "));
    if points.len() > CHECKPOINTS {
        let more = points.len() - CHECKPOINTS;
        let what = if more == 1 { "place" } else { "places" };
        let _ = write!(text, " and {more} more {what} (`perfsec coverage --list`)");
    }
    let mut syscalls: Vec<_> = points.iter().flat_map(|point| knowledge.syscalls(point)).collect();
    syscalls.sort_unstable();
    syscalls.dedup();
    syscalls.retain(|name| calls.is_empty() || calls.contains(name));
    if !syscalls.is_empty() {
        let names: Vec<_> = syscalls.iter().map(|name| format!("{name}(2)")).collect();
        let _ = write!(text, ", during {}", names.join(", "));
    }
    text
}
