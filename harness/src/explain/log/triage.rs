//! Sorts the records of a log by whether they are about perf.

use crate::audit::{Log, RecordGroup, is_capability};

use super::super::knowledge::Knowledge;
use super::effect::is_harmless;

/// The records of a log, by whether they are about perf.
#[derive(Debug, Default)]
pub struct Triage<'a> {
    /// Records about perf, as far as they and their system call show.
    pub about_perf: Vec<&'a RecordGroup>,
    /// Records that may not be about perf: other parts of the kernel ask for these capabilities
    /// too, and no SYSCALL record shows the call.
    pub undetermined: Vec<&'a RecordGroup>,
    /// Records that are not about perf.
    pub unrelated: Vec<&'a RecordGroup>,
}

/// The prefix of the names of perf and similar programs.
const PERF: &str = "perf";

impl<'a> Triage<'a> {
    /// Sorts a log's records.
    #[must_use]
    pub fn new(log: &'a Log, knowledge: &Knowledge) -> Self {
        let certain: Vec<&RecordGroup> = log
            .groups
            .iter()
            .filter(|group| group.denial.class == "perf_event" || is_certain(group))
            .collect();
        let mut this = Self::default();
        for group in &log.groups {
            let known = group.denial.permissions.iter().any(|name| fits(group, name, knowledge));
            if !known {
                this.unrelated.push(group);
            } else if is_certain(group)
                || !is_capability(&group.denial.class)
                || !group.calls.is_empty()
            {
                this.about_perf.push(group);
            } else {
                let comm = group.denial.comm.as_deref().unwrap_or_default();
                let is_perf = comm.starts_with(PERF);
                match is_perf || certain.iter().any(|other| share_process(group, other)) {
                    true => this.about_perf.push(group),
                    false => this.undetermined.push(group),
                }
            }
        }
        this
    }

    /// The records about perf that a rule should allow: not those of calls that succeeded without.
    pub fn needed(&self) -> impl Iterator<Item = &'a RecordGroup> {
        self.about_perf.iter().copied().filter(|group| !is_harmless(group))
    }
}

/// True for a capability for which only perf and BPF ask.
fn is_certain(group: &RecordGroup) -> bool {
    ["perfmon", "bpf"].iter().any(|name| group.denial.has_capability(name))
}

/// True if two groups may have records of the same process.
fn share_process(one: &RecordGroup, other: &RecordGroup) -> bool {
    one.denial.comm == other.denial.comm
        && one.denial.source == other.denial.source
        && (one.pids.is_empty() && other.pids.is_empty() || !one.pids.is_disjoint(&other.pids))
}

/// True if a permission can be about perf in the group's system calls.
fn fits(group: &RecordGroup, name: &str, knowledge: &Knowledge) -> bool {
    let denial = &group.denial;
    let Some(permission) = knowledge.permission(&denial.class, name) else { return false };
    let within = |only: &[String]| group.calls.iter().any(|call| only.contains(&call.name));
    let fits = permission.only_in.is_empty() || within(&permission.only_in);
    let path = permission.only_path.is_none() || permission.only_path == denial.path;
    let reason = permission.only_reason.is_empty()
        || denial.lockdown_reason.as_ref().is_none_or(|it| permission.only_reason.contains(it));
    // Other parts of the kernel ask for these capabilities too.
    let elsewhere = permission.capability.is_some()
        && !is_certain(group)
        && !group.calls.is_empty()
        && !group.calls.iter().any(|call| knowledge.concerns_perf(&call.name));
    fits && path && reason && !elsewhere
}
