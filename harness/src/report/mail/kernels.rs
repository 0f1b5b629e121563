//! The kernels under test, their lanes, and what ran them.

use std::collections::BTreeSet;

use super::labels::{TestedKernel, base, boot_description, short};
use super::page::Page;
use crate::counted::counted;
use crate::kernel::{Config, Kernel, Origin};
use crate::record::{LaneRun, LaneStarted, Run, RunStarted};
use crate::report::wording::guests;

/// Options that a reviewer asks about, without `CONFIG_`: each can change who is refused, what is
/// logged, or what perfsec can observe.
const RELEVANT: [&str; 10] = [
    "SECURITY_SELINUX_DEVELOP",
    "SECURITY_PERF_EVENTS_RESTRICT",
    "SECURITY_LOCKDOWN_LSM",
    "BPF_UNPRIV_DEFAULT_OFF",
    "PREEMPT_DYNAMIC",
    "KPROBE_EVENTS",
    "UPROBE_EVENTS",
    "USER_EVENTS",
    "KASAN",
    "PROVE_LOCKING",
];

/// Options in a run record whose differences do not interest a reviewer: storage of symbols, sizes
/// of tables, and options that have a line of their own. A leading `_` makes it a suffix, else it
/// is a prefix.
const IRRELEVANT: [&str; 6] = ["CC_VERSION_TEXT", "LSM", "FTRACE", "KALLSYMS", "_BITS", "_SIZE"];

/// Writes each kernel, newest first, and what ran them.
pub(super) fn write(run: &Run, kernels: &[TestedKernel<'_>], page: &mut Page) {
    let mut before = None;
    for tested in kernels {
        one(tested, before, page);
        before = Some(tested);
    }
    if kernels.len() > 1 {
        differences(kernels, page);
    }
    tools(&run.started, run.lanes.iter().map(|lane| &lane.started), page);
}

/// Writes what ran the kernels: perfsec, host and machines.
pub(super) fn tools<'a>(
    run: &RunStarted,
    lanes: impl Iterator<Item = &'a LaneStarted>,
    page: &mut Page,
) {
    page.heading("Tested with:");
    page.field("perfsec", &format!("{}, {}", run.perfsec, cases(run)));
    page.field("host", &run.host);
    let machines: BTreeSet<_> =
        lanes.map(|lane| format!("{}, {}", lane.machinery.machine, lane.machinery.accel)).collect();
    for machine in machines {
        page.field("machine", &machine);
    }
    page.field("begun", &minute(&run.started));
}

fn one(tested: &TestedKernel<'_>, before: Option<&TestedKernel<'_>>, page: &mut Page) {
    let kernel = tested.kernel;
    page.heading("Kernel:");
    page.field("version", &version(kernel));
    page.field("from", &origin(kernel));
    page.field("compiler", compiler(kernel).unwrap_or("unknown"));
    let config = relevant_options(kernel.config.as_ref());
    match before {
        Some(before) if relevant_options(before.kernel.config.as_ref()) == config => {
            page.field("config", &format!("these options as in {}", before.label));
        }
        _ => page.field("config", &config),
    }
    if let Some(modules) = modules(tested) {
        page.field("LSMs", &modules);
    }
    for lane in &tested.lanes {
        page.field("lane", &lane_summary(lane));
    }
}

pub(super) fn version(kernel: &Kernel) -> String {
    let release = &kernel.release;
    let commit = match commit(release) {
        Some(commit) if release.ends_with("-dirty") => format!(", commit {commit} with changes"),
        Some(commit) => format!(", commit {commit}"),
        None => String::new(),
    };
    format!("{} ({release}){commit}", kernel.version)
}

/// The commit that `scripts/setlocalversion` put into a release: `6.19.0-rc1-00012-gabcdef012345`.
fn commit(release: &str) -> Option<&str> {
    let (_, rest) = release.rsplit_once("-g")?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
    (end >= 7 && rest[end..].trim_start_matches("-dirty").is_empty()).then(|| &rest[..end])
}

/// Origin of a kernel, without directories of this host.
fn origin(kernel: &Kernel) -> String {
    match &kernel.origin {
        Origin::File { path } | Origin::Deb { path, .. } | Origin::Rpm { path, .. } => {
            let name = base(path);
            let package = match &kernel.origin {
                Origin::Deb { package, version, .. } | Origin::Rpm { package, version, .. } => {
                    format!(" ({package} {version})")
                }
                _ => String::new(),
            };
            let hash = kernel.sha256().map(|sha256| format!(", sha256 {}", short(sha256)));
            format!("{name}{package}{}", hash.unwrap_or_default())
        }
        known @ (Origin::Debian { .. } | Origin::Running { .. }) => known.to_string(),
        Origin::Tree { commit, described, subject, fragments, variables, .. } => {
            let commit = short(commit);
            let name = if described == commit { String::new() } else { format!("{described}, ") };
            let parts = [fragments.join(" + "), variables.join(" ")];
            let with: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("{name}commit {commit} (\"{subject}\"), built with {}", with.join(", "))
        }
    }
}

pub(super) fn compiler(kernel: &Kernel) -> Option<&str> {
    let configured = kernel.config.as_ref().and_then(|config| config.get("CONFIG_CC_VERSION_TEXT"));
    // Linux version 6.1.0 (builder@host) (gcc …, GNU ld …) #1 …
    let banner = || {
        let (_, rest) = kernel.banner.split_once(") (")?;
        Some(rest.rsplit_once(") #").map_or(rest, |(compiler, _)| compiler))
    };
    configured.or_else(banner)
}

pub(super) fn relevant_options(config: Option<&Config>) -> String {
    let Some(config) = config.filter(|config| !config.is_empty()) else {
        return "unknown: the kernel does not contain it".to_owned();
    };
    let option = |name: &&str| format!("{name}={}", value(config, &format!("CONFIG_{name}")));
    RELEVANT.iter().map(option).collect::<Vec<_>>().join(" ")
}

fn value<'a>(config: &'a Config, name: &str) -> &'a str {
    config.get(name).unwrap_or("n")
}

/// The security modules in order, as read back from the guest, else as configured.
fn modules(tested: &TestedKernel<'_>) -> Option<String> {
    let mut ready = tested.lanes.iter().flat_map(|lane| &lane.ready);
    let read = ready.find(|ready| !ready.facts.lsm.is_empty());
    let configured = || tested.kernel.config.as_ref()?.get("CONFIG_LSM");
    read.map(|ready| ready.facts.lsm.join(", "))
        .or_else(|| configured().map(|list| list.replace(',', ", ")))
}

/// The boot mode of a lane, with its policy and the hash of that.
pub(super) fn boot_and_policy(lane: &LaneStarted) -> String {
    let policy = short(&lane.policy_sha256);
    let boot = boot_description(lane);
    if lane.boot.has_policy() { format!("{boot} (sha256 {policy})") } else { boot }
}

fn lane_summary(lane: &LaneRun) -> String {
    let boot = boot_and_policy(&lane.started);
    let counts = lane.counts();
    let (Some(end), Some(guests)) = (&lane.end, guests(lane)) else {
        return format!("{boot}: {counts}; did not end");
    };
    format!("{boot}: {counts}; {guests}, {:.1} s", end.millis as f64 / 1000.0)
}

/// A time to the minute.
fn minute(started: &str) -> String {
    let time: Result<jiff::Timestamp, _> = started.parse();
    time.map_or(started.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// The cases, and the filter on them.
fn cases(run: &RunStarted) -> String {
    let asked = &run.asked;
    let hash = short(&asked.cases_sha256);
    let whose = if asked.cases_directory.is_some() { "other cases" } else { "its own cases" };
    let filter = &asked.filter;
    let mut which: Vec<String> = filter.names.clone();
    which.extend(filter.grants.iter().map(|grant| format!("grant {grant}")));
    which.extend(filter.modes.iter().map(|mode| format!("mode {mode}")));
    which.extend(filter.shard.map(|shard| format!("shard {shard}")));
    let which =
        if which.is_empty() { String::new() } else { format!(", only {}", which.join(", ")) };
    format!("{whose} (sha256 {hash}){which}, {}", counted(run.cells, "cell"))
}

/// Writes the options in which the kernels differ.
fn differences(kernels: &[TestedKernel<'_>], page: &mut Page) {
    let known: Vec<(&str, &Config)> = kernels
        .iter()
        .filter_map(|tested| Some((tested.label.as_str(), tested.kernel.config.as_ref()?)))
        .filter(|(_, config)| !config.is_empty())
        .collect();
    let names: BTreeSet<&str> =
        known.iter().flat_map(|(_, config)| config.options()).map(|(name, _)| name).collect();
    let lines = names.into_iter().filter(|name| !is_irrelevant(name)).filter_map(|name| {
        let values: Vec<_> = known.iter().map(|(_, config)| value(config, name)).collect();
        let differ = values.iter().any(|value| *value != values[0]);
        differ.then_some((name, values))
    });
    let mut first = true;
    for (name, values) in lines {
        if std::mem::take(&mut first) {
            page.heading("Config options in which the kernels differ:");
        }
        let each: Vec<_> = std::iter::zip(&known, values)
            .map(|((label, _), value)| format!("{value} on {label}"))
            .collect();
        page.item(2, &format!("{name}: {}", each.join("; ")));
    }
}

fn is_irrelevant(name: &str) -> bool {
    let name = name.trim_start_matches("CONFIG_");
    IRRELEVANT.iter().any(|affix| match affix.strip_prefix('_') {
        Some(_) => name.ends_with(affix),
        None => name.starts_with(affix),
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("6.19.0-rc1-00012-gabcdef012345", Some("abcdef012345"))]
    #[case("6.19.0-rc1-00012-gabcdef012345-dirty", Some("abcdef012345"))]
    #[case("6.1.0-56-amd64", None)]
    #[case("6.1.0-generic", None)]
    #[case("6.1.0-gabc", None)]
    fn a_release_names_its_commit(#[case] release: &str, #[case] expected: Option<&str>) {
        assert_eq!(commit(release), expected);
    }
}
