//! Lists every expectation, on every kernel that conditions distinguish: a change of the evaluator
//! or of a shared list shows as a difference of this text.

use std::collections::BTreeMap;

use super::{Case, Circumstances, Condition, Library};
use crate::kernel::KernelVersion;
use crate::text::{Text, line};

/// A kernel, and its name in the list.
struct Example<'a> {
    name: String,
    kernel: Circumstances<'a>,
}

impl Library {
    /// The name of each case, with what each of its chosen cells must see on which kernels.
    pub fn expectations(&self, chosen: impl Fn(&str) -> bool) -> Vec<(&str, Text)> {
        let conditions = self.cases.iter().flat_map(|case| case.conditions());
        let conditions: Vec<_> = conditions.map(|(_, condition)| condition).collect();
        let examples = examples(&conditions);
        let list = |case: &'_ Case| list(case, &examples, &chosen);
        self.cases.iter().map(|case| (case.name.as_str(), list(case))).collect()
    }
}

/// One kernel for each combination of conditions that can hold together: every release that one
/// names and the one before it, of Debian and of others, with what a configuration or a machine
/// adds and without (`-`).
fn examples<'a>(conditions: &[&Condition]) -> Vec<Example<'a>> {
    let named = conditions.iter().flat_map(|condition| condition.versions());
    let before = |version: KernelVersion| match version {
        KernelVersion { patch: 1.., .. } => KernelVersion { patch: version.patch - 1, ..version },
        KernelVersion { minor: 1.., .. } => {
            KernelVersion { minor: version.minor - 1, patch: u32::MAX, ..version }
        }
        _ => {
            KernelVersion { major: version.major - 1, minor: u32::MAX, patch: u32::MAX, ..version }
        }
    };
    let mut versions: Vec<_> = named.flat_map(|version| [before(version), version]).collect();
    versions.push(KernelVersion::PERFMON);
    versions.retain(|version| *version >= KernelVersion::PERFMON);
    versions.sort_unstable();
    versions.dedup();
    let mut examples = Vec::new();
    for distribution in [None, Some("debian")] {
        for assumed in [true, false] {
            examples.extend(versions.iter().map(|version| Example {
                name: format!(
                    "{}{}{}",
                    distribution.map_or(String::new(), |name| format!("{name}:")),
                    label(*version),
                    if assumed { "" } else { "-" },
                ),
                kernel: Circumstances {
                    version: *version,
                    distribution,
                    config: None,
                    machine: None,
                    assumed,
                },
            }));
        }
    }
    examples
}

/// A version; the last of a series or of a major number without a number that does not exist.
fn label(version: KernelVersion) -> String {
    match version {
        KernelVersion { major, minor: u32::MAX, .. } => format!("{major}.x"),
        KernelVersion { major, minor, patch: u32::MAX, .. } => format!("{major}.{minor}.x"),
        version => version.to_string(),
    }
}

fn list(case: &Case, examples: &[Example<'_>], chosen: &impl Fn(&str) -> bool) -> Text {
    // Kernels that agree in every condition of the case expect the same.
    let mut classes: BTreeMap<Vec<bool>, Vec<usize>> = BTreeMap::new();
    for (index, example) in examples.iter().enumerate() {
        let holds = case.conditions().map(|(_, condition)| condition.holds(&example.kernel));
        classes.entry(holds.collect()).or_default().push(index);
    }
    let mut out = Text::new();
    for at in case.axes.coordinates().filter(|at| chosen(&case.cell_name(at))) {
        let mut texts: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for members in classes.values() {
            let text = case.expected(&at, &examples[members[0]].kernel.into()).to_string();
            texts.entry(text).or_default().extend(members);
        }
        let mut texts: Vec<_> = texts.into_iter().collect();
        texts.iter_mut().for_each(|(_, members)| members.sort_unstable());
        texts.sort_by(|a, b| a.1.cmp(&b.1));
        for (text, members) in texts {
            let kernels = match members.len() == examples.len() {
                true => String::new(),
                false => format!(" on {}", ranges(&members, examples)),
            };
            line!(out, "{}{kernels}", case.cell_name(&at));
            out.block(text).end();
        }
    }
    out
}

/// The kernels with these indices: `5.8-6.4.x 6.5 debian:…`.
fn ranges(members: &[usize], examples: &[Example<'_>]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &member in members {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == member => *last = member,
            _ => runs.push((member, member)),
        }
    }
    let name = |(first, last): (usize, usize)| match first == last {
        true => examples[first].name.clone(),
        false => format!("{}..{}", examples[first].name, examples[last].name),
    };
    runs.into_iter().map(name).collect::<Vec<_>>().join(" ")
}
