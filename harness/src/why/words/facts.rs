//! Facts about the process and the machine, in words.

use std::sync::LazyLock;

use perfsec_wire::caps::PERFMON;
use perfsec_wire::{CapSet, Lockdown, Mode};
use regex::{Captures, Regex};

use super::scan::{Scan, Scanned};
use crate::case::UNPRIVILEGED;
use crate::grant::cap_number;
use crate::kernel::KernelVersion;
use crate::why::facts::{Container, Containers, Distributions, Known};

/// Notes a match; true if it is understood.
type Understand = fn(&mut Scanned, &Captures<'_>) -> bool;

/// A pattern, and what is done with its matches.
type Rule = (&'static str, Understand);

/// The rules, in the order in which they take their matches out of the text.
const RULES: &[Rule] = &[
    (r"(?i)AmbientCapabilities\s*=\s*((?:CAP_\w+[ ,]*)+)", ambient),
    (r"(?i)CapabilityBoundingSet\s*=\s*((?:CAP_\w+[ ,]*)*)|\bbounding set\b", bounding),
    (
        r"(?i)\b(?:without|no|lacks?|lacking|not|minus)\s+((?:cap_\w+(?:\s*(?:,|and|or|nor|\+)\s*)?)+)",
        lacks,
    ),
    (r"(?i)--cap-add[= ](?:CAP_)?(\w+)", added),
    (r"(?i)\b(cap_[a-z_]+(?:[,+](?:cap_)?[a-z_]+)*)(?:[=+]([eip]+))?", caps),
    (r"(?i)\b((?:perfmon|sys_admin|bpf|sys_ptrace)(?:\+[a-z_]+)+)\b", caps),
    (r"\b(PERFMON|SYS_ADMIN|SYS_PTRACE)\b", added),
    (r"(?i)\b(?:no|without|any)\s+capabilit(?:y|ies)\b", no_caps),
    (r"(?i)\bkptr_restrict\b\D{0,6}(\d)?", kptr),
    (r"(?i)\bunprivileged_bpf_disabled\b\D{0,6}(\d)", unprivileged_bpf),
    (
        r"(?i)\b(?:/proc/sys/)?(?:kernel[./])?(?:perf_event_)?paranoid(?:ia)?(?:\s+(?:setting|level|value|is|was|set|to|at|of))*\s*[=:]?\s*(?:is\s+)?(-?\d)\b",
        level,
    ),
    (r"(?i)\bparanoi(?:d|a)\s+level\s*[=:]?\s*(-?\d)\b", level),
    (r"(?i)\blevel\s*(?:is|of|=|:)?\s*(-?\d)\b", level),
    (r"(?i)\bbut it is (-?\d)\b", level),
    (r"(?i)\bthe current value is (-?\d)\b:?", level),
    (r"(?i)\bperf_event_mlock_kb\b|\bRLIMIT_MEMLOCK\b|\bmmap(?:\(\))?|\bmlock\b|\bmapping\b", mmap),
    (r"(?i)\b(\d+)\s+(?:CPUs?|cores|processors)\b", cpus),
    (r"(?i)\bno_?new_?priv(?:ilege)?s?(?:\s*=\s*\w+)?", no_new_privs),
    (r"(?i)\bnosuid\b", nosuid),
    (r"(?i)\bseccomp(?:\s+filter)?\b|\bSystemCallFilter\b\S*", seccomp),
    (
        r"(?i)\block(?:ed[ _]?)?down\b(?:\s*(?:level|mode|is|=|:))*\s*(none|integrity|confidentiality)?",
        lockdown,
    ),
    (r"(?i)\b(?:own\s+)?user\s?namespaces?\b|\buserns\b", userns),
    (r"(?i)\brootless\b", rootless),
    (r"(?i)\b([a-z][a-z0-9-]+)(?:[ :/]v?(\d+(?:\.\d+)*))?\b", named),
    (
        r"(?i)\b(?:non-?root|not (?:as )?root|without root|unprivileged(?: user)?|nobody|(?:as|by|for) (?:an? |my )?(?:ordinary |normal |plain )?user|(?:ordinary|normal|plain) user)\b",
        user,
    ),
    (r"(?i)\b(?:another|other|a different) user(?:'?s'?)?(?: process(?:es)?)?\b", of_another),
    (r"(?i)\buser[- ]?(?:space|land|mode|side)\b", user_space),
    (r"(?i)\buser\b", user),
    (r"(?i)\buid\s*[= ]\s*(\d+)\b", uid),
    (r"(?i)\b(?:as )?root\b|\bsudo\b", root),
    (
        r"(?i)\bselinux\s+(?:is\s+)?(disabled|off|permissive|enforcing)\b|\b(permissive|enforcing)\b",
        selinux,
    ),
    (r"\b(\w+:\w+:\w+_t(?::[\w:.,-]+)?|[a-z][a-z0-9_]*_t)\b", domain),
    (r"(?i)\b(?:my|its|his|their|one'?s)?\s*own (?:process|thread|child|program)(?:es|s)?\b", own),
    (
        r"(?i)\b(?:kernel|linux|since|before|after|on|v)?\s*\bv?(\d{1,2}\.\d{1,3}(?:\.\d{1,3})?(?:-rc\d+)?)(?:[-+]\S*)?",
        kernel,
    ),
    (r"(?i)\b(?:no|without(?: an?)?)\s+avc(?:\s+(?:records?|denials?|messages?))?", silent),
];

static COMPILED: LazyLock<Vec<(Regex, Understand)>> = LazyLock::new(|| {
    let compile = |(pattern, apply): &Rule| Some((Regex::new(pattern).ok()?, *apply));
    RULES.iter().filter_map(compile).collect()
});

/// Finds the facts.
pub(super) fn read(scan: &mut Scan) {
    for (regex, apply) in &*COMPILED {
        scan.each(regex, *apply);
    }
}

/// The kernel says that it is locked down.
pub(super) fn locked_down(found: &mut Scanned) {
    found.given.lockdown = Some(Known::given(Lockdown::Confidentiality));
    found.understand("lockdown confidentiality");
}

/// The capabilities in a list.
fn set(text: &str) -> CapSet {
    let names = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    let numbers = names.filter_map(|name| {
        let name = name.to_lowercase();
        cap_number(name.strip_prefix("cap_").unwrap_or(&name)).ok()
    });
    numbers.fold(CapSet::EMPTY, |set, cap| set.with(CapSet::one(cap)))
}

fn add_caps(found: &mut Scanned, more: CapSet) -> bool {
    if more.is_empty() {
        return false;
    }
    let known = found.given.caps.as_ref().map_or(CapSet::EMPTY, |it| it.value);
    found.given.caps = Some(Known::given(known.with(more)));
    found.understand(format!("the capabilities {more}"));
    found.concerns_perf |= more.has(PERFMON);
    true
}

fn caps(found: &mut Scanned, it: &Captures<'_>) -> bool {
    if it.get(2).is_some_and(|flags| !flags.as_str().contains('e')) {
        found.given.not_effective = true;
        found.understand("without the effective bit");
    }
    add_caps(found, set(&it[1]))
}

fn added(found: &mut Scanned, it: &Captures<'_>) -> bool {
    add_caps(found, set(&it[1]))
}

fn ambient(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let caps = set(&it[1]);
    found.given.ambient = Some(Known::given(caps));
    found.understand(format!("the ambient capabilities {caps}"));
    true
}

fn bounding(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let listed = it.get(1).map(|list| set(list.as_str()));
    // Named without a list, it lacks what perf needs.
    let without = CapSet(CapSet::ALL.0 & !CapSet::one(PERFMON).0);
    let value = listed.unwrap_or(without);
    found.given.bounding = Some(Known::given(value));
    found.understand("a smaller bounding set");
    true
}

fn lacks(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let caps = set(&it[1]);
    found.given.lacks = found.given.lacks.with(caps);
    found.understand(format!("without {caps}"));
    !caps.is_empty()
}

fn no_caps(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.caps = Some(Known::given(CapSet::EMPTY));
    found.understand("no capabilities");
    true
}

fn kptr(found: &mut Scanned, it: &Captures<'_>) -> bool {
    found.about_kptr = true;
    found.concerns_perf = true;
    if let Some(Ok(level)) = it.get(1).map(|level| level.as_str().parse()) {
        found.given.kptr = Some(Known::given(level));
        found.understand(format!("kptr_restrict {level}"));
    }
    true
}

fn unprivileged_bpf(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let Ok(value) = it[1].parse() else { return false };
    found.given.unprivileged_bpf = Some(Known::given(value));
    found.understand(format!("unprivileged_bpf_disabled {value}"));
    true
}

fn level(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let Ok(level) = it[1].parse::<i32>() else { return false };
    if found.given.level.is_none() {
        found.given.level = Some(Known::given(level));
        found.understand(format!("perf_event_paranoid {level}"));
    }
    found.concerns_perf = true;
    true
}

fn mmap(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.focus = Some("mmap");
    found.concerns_perf = true;
    found.understand("mapping the buffer");
    found.command.get_or_insert_with(|| vec!["perf".to_owned(), "record".to_owned()]);
    true
}

fn cpus(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let Ok(count) = it[1].parse() else { return false };
    found.given.cpus = Some(Known::given(count));
    found.understand(format!("{count} CPUs"));
    true
}

fn no_new_privs(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let off =
        ["=no", "= no", "=false", "= 0", "=0"].iter().any(|no| it[0].to_lowercase().ends_with(no));
    found.given.no_new_privs = Some(Known::given(!off));
    found.understand(if off { "no_new_privs is not set" } else { "no_new_privs" });
    true
}

fn nosuid(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.nosuid = Some(Known::given(true));
    found.understand("a nosuid mount");
    true
}

fn seccomp(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.seccomp = Some(Known::given(true));
    found.understand("a seccomp filter");
    true
}

fn lockdown(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let level = match it.get(1).map(|level| level.as_str().to_lowercase()).as_deref() {
        Some("none") => Lockdown::None,
        Some("integrity") => Lockdown::Integrity,
        _ => Lockdown::Confidentiality,
    };
    found.given.lockdown = Some(Known::given(level));
    found.understand(format!("lockdown {level}"));
    true
}

fn userns(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.userns = Some(Known::given(true));
    found.understand("a user namespace of its own");
    true
}

fn rootless(found: &mut Scanned, _: &Captures<'_>) -> bool {
    let runtime = Container { runtime: None, version: None, rootless: true };
    let container = found.given.container.get_or_insert(Known::given(runtime));
    container.value.rootless = true;
    found.understand("a rootless container");
    true
}

/// A name of a distribution or of a container runtime, with a version.
fn named(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let (Ok(distributions), Ok(containers)) = (Distributions::built_in(), Containers::built_in())
    else {
        return false;
    };
    let word = it[1].to_lowercase();
    if word == "container" || word == "containers" {
        let container = Container { runtime: None, version: None, rootless: false };
        found.given.container.get_or_insert(Known::given(container));
        found.understand("a container");
        return true;
    }
    if let Some(runtime) = containers.named(&word) {
        let numbers = it.get(2).map(|it| it.as_str().split('.').map_while(|it| it.parse().ok()));
        let version = numbers.map(Iterator::collect::<Vec<u32>>);
        match &mut found.given.container {
            Some(known) if known.value.runtime.is_some() => {}
            Some(known) => {
                known.value.runtime = Some(runtime.name.clone());
                known.value.version = version;
            }
            none => {
                let runtime = Some(runtime.name.clone());
                *none = Some(Known::given(Container { runtime, version, rootless: false }));
            }
        }
        if let Some(container) = &found.given.container {
            let text = container.value.to_string();
            found.understand(text);
        }
        return true;
    }
    // "on", "mint" and the like are also words; only one behind the first distribution is left.
    match distributions.named(&word) {
        Some(id) if found.given.distribution.is_none() => {
            found.given.distribution = Some(Known::given(id.to_owned()));
            let release = it.get(2).map_or(String::new(), |it| format!(" {}", it.as_str()));
            found.understand(format!("{id}{release}"));
            true
        }
        Some(_) => true,
        None => false,
    }
}

fn set_uid(found: &mut Scanned, uid: u32, words: &str) -> bool {
    if found.given.uid.is_none() {
        found.given.uid = Some(Known::given(uid));
        found.understand(words);
    }
    true
}

fn user(found: &mut Scanned, _: &Captures<'_>) -> bool {
    set_uid(found, UNPRIVILEGED, "a user")
}

fn uid(found: &mut Scanned, it: &Captures<'_>) -> bool {
    it[1].parse().is_ok_and(|uid| set_uid(found, uid, &format!("uid {uid}")))
}

fn root(found: &mut Scanned, _: &Captures<'_>) -> bool {
    set_uid(found, 0, "root")
}

fn selinux(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let word = it.get(1).or(it.get(2)).map(|it| it.as_str().to_lowercase());
    let mode = match word.as_deref() {
        Some("permissive") => Mode::Permissive,
        Some("enforcing") => Mode::Enforcing,
        _ => Mode::Disabled,
    };
    found.given.selinux = Some(Known::given(mode));
    found.understand(format!("SELinux {mode}"));
    true
}

fn domain(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let context = &it[1];
    let kind = context.split(':').nth(2).unwrap_or(context);
    found.given.domain = Some(Known::given(kind.to_owned()));
    found.understand(format!("the domain {kind}"));
    true
}

fn own(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.own_process = Some(Known::given(true));
    found.understand("its own process");
    true
}

fn of_another(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.given.own_process = Some(Known::given(false));
    found.understand("a process of another user");
    true
}

fn user_space(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.understand("user space");
    true
}

/// A version of the kernel. Other programs have versions, too, but not of this form and age.
fn kernel(found: &mut Scanned, it: &Captures<'_>) -> bool {
    let Ok(version) = it[1].parse::<KernelVersion>() else { return false };
    if version.series() < KernelVersion::PERFMON.series() || version.major > 9 {
        return false;
    }
    if found.given.kernel.is_none() {
        found.given.kernel = Some(Known::given(version));
        found.understand(format!("kernel {version}"));
    }
    true
}

fn silent(found: &mut Scanned, _: &Captures<'_>) -> bool {
    found.understand("no AVC record");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_well_formed() {
        assert_eq!(COMPILED.len(), RULES.len());
    }
}
