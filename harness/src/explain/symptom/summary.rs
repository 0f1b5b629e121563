//! Restates a symptom as it was understood.

use std::collections::BTreeSet;

use perfsec_wire::attr::{Address, Event};

use super::answer::{DEBIANS_LEVEL, DEFAULT_LEVEL};
use super::model::{PerfTool, Symptom};
use crate::grant::cap_constant;

impl Symptom {
    /// Lists what the words say, without assumptions.
    pub(super) fn stated(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut add = |stated: bool, text: String| {
            if stated {
                words.push(text);
            }
        };
        add(self.tool.is_some(), self.tool.map_or("", PerfTool::name).to_owned());
        add(self.cgroup, "a cgroup (-G), on every CPU".to_owned());
        add(self.whole_system() && !self.cgroup, "every task on a CPU (-a)".to_owned());
        if self.other_process {
            let text = match self.own {
                true => "one of the user's own processes (-p)",
                false => "another user's process (-p; assumed without `own process`)",
            };
            add(true, text.to_owned());
        }
        add(self.callchains, "call chains (-g)".to_owned());
        add(self.user_side, "user space only (:u)".to_owned());
        add(self.kernel_side, "the kernel only (:k)".to_owned());
        add(self.namespaces, "namespaces (--namespaces)".to_owned());
        match &self.event {
            Some(Event::Tracepoint { category, name }) => {
                add(true, format!("tracepoint {category}:{name}"));
            }
            Some(Event::Kprobe(_)) => add(true, "the kprobe PMU".to_owned()),
            Some(Event::Uprobe) => add(true, "the uprobe PMU".to_owned()),
            Some(Event::Breakpoint { address: Address::Kernel, .. }) => {
                add(true, "a breakpoint in the kernel".to_owned());
            }
            Some(Event::Breakpoint { .. }) => add(true, "a breakpoint".to_owned()),
            Some(_) => add(true, "a counter".to_owned()),
            None => {}
        }
        if let Some(root) = self.root {
            add(true, if root { "root" } else { "a user" }.to_owned());
        }
        add(self.container && !self.userns, "in a container".to_owned());
        add(self.userns, "in a container with its own user namespace".to_owned());
        let named = |set: &BTreeSet<u32>| {
            let names: Vec<_> = set.iter().map(|cap| cap_constant(*cap)).collect();
            names.join(" and ")
        };
        add(!self.capabilities.is_empty(), format!("with {}", named(&self.capabilities)));
        add(!self.lacks.is_empty(), format!("without {}", named(&self.lacks)));
        add(self.no_capabilities, "without capabilities".to_owned());
        if let Some(level) = self.level {
            add(true, format!("kernel.perf_event_paranoid = {level}"));
        }
        if let Some(domain) = &self.domain {
            add(true, format!("domain {domain}"));
        }
        if let Some(mode) = self.mode {
            add(true, format!("SELinux {mode}"));
        }
        if let Some(errno) = self.errno {
            add(true, errno.to_string());
        }
        add(self.limited, "perf's message for EACCES or EPERM".to_owned());
        add(self.mmap, "mapping the buffer (-m)".to_owned());
        add(self.silent, "no AVC record".to_owned());
        words
    }

    /// Lists what the words say and what is assumed.
    pub(super) fn understood(&self, level: i32) -> String {
        let mut words = self.stated();
        if self.tool.is_none() {
            words.insert(0, "a perf event".to_owned());
        }
        if self.root.is_none() {
            words.push("a user (assumed)".to_owned());
        }
        if self.level.is_none() {
            words.push(format!(
                "kernel.perf_event_paranoid = {level} (assumed: upstream's default is \
                 {DEFAULT_LEVEL}, Debian's {DEBIANS_LEVEL})"
            ));
        }
        words.join(", ")
    }
}
