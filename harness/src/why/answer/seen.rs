//! The causes that an errno fits, and those that it excludes.

use std::rc::Rc;

use perfsec_wire::{CapSet, Lockdown, Mode};

use crate::asks::{Loaded, SecurityServer};
use crate::errno::Errno;
use crate::policy::{Answer, Answers};
use crate::why::ask::{Changed, Obstacle, ask};
use crate::why::facts::{Facts, Known, SeccompFilter};

/// A possible cause that the facts do not state.
struct Cause {
    /// The cause, as the subject of a sentence.
    name: &'static str,
    /// True if the facts leave it open.
    is_open: fn(&Facts) -> bool,
    /// It is what people suspect first, and worth excluding.
    decides: bool,
    /// Makes the facts say that it is the cause.
    assume: fn(&mut Facts),
}

/// The causes, the most likely of those with the same errno first.
const CAUSES: &[Cause] = &[
    Cause {
        name: "a seccomp filter, as containers have",
        decides: true,
        is_open: |facts| facts.filter.source.is_assumed() || facts.filter.value.unknown,
        assume: |facts| {
            let filter =
                SeccompFilter { perf: Some(Errno::EPERM), bpf: Some(Errno::EPERM), unknown: false };
            facts.filter = Known::assumed(filter, "the errno that was seen fits it");
            // Its filter does not know the capability: the runtime is older.
            if let Some(container) = facts.container.as_mut()
                && container.value.data().is_some_and(|runtime| runtime.since.is_some())
            {
                container.value.version.get_or_insert_with(|| vec![0]);
            }
        },
    },
    Cause {
        name: "the limit of locked memory (perf_event_mlock_kb, RLIMIT_MEMLOCK)",
        decides: false,
        is_open: |facts| facts.memlock.source.is_assumed(),
        assume: |facts| {
            let none = |_: u64| Known::assumed(0, "the errno that was seen fits it");
            (facts.memlock, facts.mlock_kb) = (none(0), none(0));
        },
    },
    Cause {
        name: "a capability that the process does not hold after all",
        decides: false,
        is_open: |facts| !facts.file.value.permitted.is_empty() || !facts.ambient.value.is_empty(),
        assume: |facts| {
            facts.file.value.permitted = CapSet::EMPTY;
            facts.ambient.value = CapSet::EMPTY;
        },
    },
    Cause {
        name: "kernel.perf_event_paranoid",
        decides: true,
        is_open: |facts| facts.level.source.is_assumed(),
        assume: |facts| facts.level = Known::assumed(2, "the errno that was seen fits it"),
    },
    Cause {
        name: "SELinux",
        decides: true,
        is_open: |facts| facts.selinux.value == Mode::Enforcing && !facts.policy_is_loaded,
        assume: |facts| facts.policy = Rc::new(DenyAll),
    },
    Cause {
        name: "lockdown confidentiality",
        decides: false,
        is_open: |facts| facts.lockdown.source.is_assumed(),
        assume: |facts| {
            let level = Lockdown::Confidentiality;
            facts.lockdown = Known::assumed(level, "the errno that was seen fits it");
        },
    },
];

/// The conclusions from an errno.
#[derive(Clone, Default)]
pub(super) struct Seen {
    /// Sentences.
    pub(super) lines: Vec<String>,
    /// The facts with the cause that fits, if those that are known do not explain the errno.
    pub(super) adopted: Option<Facts>,
}

/// Compares an errno with what the facts predict, and with every other cause.
pub(super) fn seen(errno: Errno, changed: &Changed) -> Seen {
    let mut seen = Seen::default();
    let mut base = changed.clone();
    let first = |changed: &Changed| ask(changed).first().map(|(_, refusal)| refusal.errno);
    if let Some(other) = filter_excluded(errno, changed) {
        seen.lines.push(format!(
            "{errno} is the kernel's own errno: the seccomp filter of such a container would give \
             {other}, so it lets the call through."
        ));
        base.facts.filter =
            Known::assumed(SeccompFilter::default(), "the errno that was seen excludes one");
        seen.adopted = Some(base.facts.clone());
    }
    let predicted = first(&base);
    let (mut fitting, mut excluded) = (Vec::new(), Vec::new());
    for cause in CAUSES.iter().filter(|cause| (cause.is_open)(&base.facts)) {
        let mut other = base.clone();
        (cause.assume)(&mut other.facts);
        match first(&other) {
            Some(found) if found == errno => {
                if predicted != Some(errno) && fitting.is_empty() {
                    seen.adopted = Some(other.facts);
                }
                fitting.push(cause.name);
            }
            // One that comes after what refuses in any case shows nothing.
            Some(found) if Some(found) == predicted && !cause.decides => {}
            Some(found) => excluded.push((cause.name, found)),
            // A cause that refuses nothing here is none.
            None => {}
        }
    }
    match predicted {
        Some(same) if same == errno => {
            seen.lines.push(format!("The errno that was seen, {errno}, fits this refusal."));
            excluded.retain(|(_, other)| *other != errno);
        }
        Some(other) => seen.lines.push(format!(
            "The errno that was seen, {errno}, does not fit what the facts predict, which is \
             {other}: something refuses before it."
        )),
        None => seen.lines.push(format!(
            "By these facts nothing refuses, but {errno} was seen: one of them does not hold."
        )),
    }
    if predicted != Some(errno) {
        seen.lines.push(match fitting.as_slice() {
            [] => format!("No cause that perfsec knows gives {errno} here."),
            causes => format!("{errno} here comes from: {}.", causes.join("; ")),
        });
    }
    let words: Vec<_> =
        excluded.iter().map(|(name, errno)| format!("{name} (it gives {errno} here)")).collect();
    if !words.is_empty() {
        seen.lines.push(format!("Excluded by the errno: {}.", words.join("; ")));
    }
    seen
}

/// The errno of a filter that is only assumed, if the errno that was seen is not it.
fn filter_excluded(errno: Errno, changed: &Changed) -> Option<Errno> {
    let asked = ask(changed);
    let (_, refusal) = asked.first()?;
    let assumed = changed.facts.filter.source.is_assumed();
    let is_filter = refusal.obstacle == Obstacle::SeccompFilter && refusal.errno != errno;
    (assumed && is_filter).then_some(refusal.errno)
}

/// The meaning of an errno that no check gives.
pub(super) fn meaning(errno: Errno) -> String {
    use nix::errno::Errno as E;
    let is = |known: E| errno.0 == known as i32;
    let why = match () {
        () if is(E::ENOENT) => {
            "no PMU of this machine takes the event (perf_init_event()): a virtual machine without \
             performance counters, an event of another CPU, or a tracepoint that does not exist. \
             Software events work all the same"
        }
        () if is(E::EINVAL) => {
            "the kernel does not take these options of the event: exclude bits of a PMU that counts \
             for the whole CPU, a sample type, a size"
        }
        () if is(E::EOPNOTSUPP) => "the PMU cannot do this: precise_ip, branch stacks, sampling",
        () if is(E::ENODEV) || is(E::ENXIO) => {
            "the PMU, the CPU or the machine does not have this event"
        }
        () if is(E::ESRCH) => "there is no such process or thread any more",
        () if is(E::EBUSY) => "another event uses the PMU exclusively",
        () if is(E::EMFILE) || is(E::ENFILE) => {
            "too many open files: perf opens one for each event and CPU (`ulimit -n`)"
        }
        () if is(E::ENOSPC) => "the hardware has no free breakpoint or counter",
        () if is(E::ENOMEM) => "the kernel has no memory for the buffer",
        () if is(E::ENOSYS) => {
            "the kernel has no such system call, or a seccomp filter says so: podman's does with \
             CAP_SYS_ADMIN alone, until a change of 2025-10-29"
        }
        () if is(E::E2BIG) => "perf is newer than the kernel and uses a larger perf_event_attr",
        () => "no check of privileges gives it",
    };
    format!("{errno} is not a refusal: {why}. No capability, level or SELinux rule changes that.")
}

/// A policy that denies everything.
#[derive(Clone, Copy, Debug)]
struct DenyAll;

impl SecurityServer for DenyAll {
    fn answers(&self, _: &Loaded) -> Box<dyn Answers + '_> {
        Box::new(self)
    }
}

impl Answers for DenyAll {
    fn answer(&self, _: &str, _: &str, _: &str, _: &str) -> Answer {
        Answer { allowed: false, audit_denied: true, audit_granted: false, permissive: false }
    }
}
