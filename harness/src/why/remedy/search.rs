//! The search: the first refusal is lifted, in one of several ways, until nothing is refused.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::CapSet;
use perfsec_wire::caps::{BPF, DAC_OVERRIDE, DAC_READ_SEARCH, IPC_LOCK, PERFMON, SYS_ADMIN};

use super::Change;
use crate::allow::{Rule, RuleScope};
use crate::why::ask::{Asked, CallRefusal, Changed, Obstacle, ask};

/// Changes with which nothing is refused, as was computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// The changes, all of them needed.
    pub(crate) changes: Vec<Change>,
}

/// The way in which a missing capability is made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    /// The kernel is excluded.
    UserSide,
    /// Capabilities of the container.
    Container,
    /// Capabilities on the file.
    File,
    /// Capabilities on the file after the level is that of upstream.
    FileAtUpstreamsLevel,
    /// Ambient capabilities.
    Ambient,
    /// A lower level.
    Level,
    /// Root.
    Root,
    /// No container.
    Outside,
}

const ROUTES: [Route; 8] = [
    Route::UserSide,
    Route::Container,
    Route::File,
    Route::FileAtUpstreamsLevel,
    Route::Ambient,
    Route::Level,
    Route::Root,
    Route::Outside,
];

/// Upstream's highest level.
const HIGHEST_LEVEL: i32 = 2;

/// More changes than any way needs.
const MOST: usize = 16;

/// Searches the changes, safest first. Each was computed again, and none of them can be left out.
pub(crate) fn remedies(start: &Changed) -> Vec<Remedy> {
    let mut found: Vec<Remedy> = Vec::new();
    for route in ROUTES {
        for first in beginnings(route, start) {
            let Some(changes) = repair(route, first, start) else { continue };
            let remedy = Remedy { changes: pruned(changes, start) };
            // A way that has all of another and more is no better.
            let needless = |it: &Remedy| it.changes.iter().all(|one| remedy.changes.contains(one));
            if !remedy.changes.is_empty() && !found.iter().any(needless) {
                found.push(remedy);
                break;
            }
        }
    }
    let worst = |it: &Remedy| it.changes.iter().map(Change::rank).max();
    found.sort_by_key(|it| (worst(it), it.changes.len()));
    found
}

/// The changes with which a way can begin, the best first.
fn beginnings(route: Route, start: &Changed) -> Vec<Vec<Change>> {
    let facts = &start.facts;
    match route {
        // It does not look at its capabilities.
        Route::File | Route::FileAtUpstreamsLevel | Route::Ambient | Route::Level
            if start.command.tool.root && facts.uid.value != 0 =>
        {
            Vec::new()
        }
        Route::UserSide if start.command.can_exclude_kernel() => vec![vec![Change::ExcludeKernel]],
        Route::UserSide => Vec::new(),
        Route::Container if facts.container.is_none() || facts.userns.value => Vec::new(),
        // A process that exists gets nothing from its file any more.
        Route::File | Route::FileAtUpstreamsLevel if facts.effective.is_some() => Vec::new(),
        Route::FileAtUpstreamsLevel if facts.level.value <= HIGHEST_LEVEL => Vec::new(),
        Route::FileAtUpstreamsLevel => vec![vec![Change::Level(HIGHEST_LEVEL)]],
        // A container's root has its capabilities already.
        Route::File | Route::Ambient if facts.container.is_some() && facts.uid.value == 0 => {
            Vec::new()
        }
        Route::Level => {
            (-1..facts.level.value).rev().map(|level| vec![Change::Level(level)]).collect()
        }
        Route::Root if facts.uid.value == 0 && !facts.userns.value => Vec::new(),
        Route::Root => vec![vec![Change::Root]],
        Route::Outside if facts.container.is_none() || !facts.userns.value => Vec::new(),
        Route::Outside => vec![vec![Change::Outside]],
        Route::Container | Route::File | Route::Ambient => vec![Vec::new()],
    }
}

/// Lifts one refusal after the other; `None` if this way does not lead anywhere.
fn repair(route: Route, first: Vec<Change>, start: &Changed) -> Option<Vec<Change>> {
    let mut changes = first;
    for _ in 0..MOST {
        let now = apply(&changes, start);
        let asked = ask(&now);
        let Some((_, refusal)) = asked.first() else { return Some(changes) };
        let next = lift(route, refusal, &now)?;
        // The same change again would help as little.
        if changes.contains(&next) {
            return None;
        }
        merge(&mut changes, next);
    }
    None
}

/// Adds a change; one that replaces another of its kind takes its place.
fn merge(changes: &mut Vec<Change>, next: Change) {
    let same_kind = |it: &&mut Change| std::mem::discriminant(*it) == std::mem::discriminant(&next);
    match (changes.iter_mut().find(same_kind), next) {
        (Some(Change::Module(rules)), Change::Module(more)) => {
            for (scope, rule) in more {
                rules.entry(scope).or_default().permissions.extend(rule.permissions);
            }
        }
        (Some(Change::Ambient(caps)), Change::Ambient(more))
        | (Some(Change::ContainerCaps(caps)), Change::ContainerCaps(more))
        | (Some(Change::Bounding(caps)), Change::Bounding(more)) => *caps = caps.with(more),
        (Some(known), next) => *known = next,
        (None, next) => changes.push(next),
    }
}

fn apply(changes: &[Change], start: &Changed) -> Changed {
    changes.iter().fold(start.clone(), |now, change| change.apply(&now))
}

/// The change that lifts a refusal on this way.
fn lift(route: Route, refusal: &CallRefusal, now: &Changed) -> Option<Change> {
    let facts = &now.facts;
    match &refusal.obstacle {
        Obstacle::Absolute | Obstacle::Invalid => None,
        Obstacle::SeccompFilter => {
            let sets = [
                CapSet::one(PERFMON),
                CapSet::one(BPF),
                CapSet::one(PERFMON).with(CapSet::one(BPF)),
                CapSet::one(SYS_ADMIN),
                CapSet::one(PERFMON).with(CapSet::one(SYS_ADMIN)),
            ];
            let opens = |change: &Change| {
                let after = ask(&change.apply(now));
                !after.first().is_some_and(|(_, it)| it.obstacle == Obstacle::SeccompFilter)
            };
            let by_caps = sets.into_iter().map(Change::ContainerCaps).find(opens);
            match route {
                Route::Container => Some(by_caps.unwrap_or(Change::SeccompFilter)),
                _ => Some(Change::SeccompFilter),
            }
        }
        Obstacle::Bounding => {
            let missing = CapSet(facts.file.value.permitted.0 & !facts.bounding.value.0);
            (!facts.userns.value).then_some(Change::Bounding(missing))
        }
        Obstacle::Denial { source, target, class, permissions } => {
            let scope =
                RuleScope { source: kind(source), target: kind(target), class: class.clone() };
            // The policy is asked by whole contexts.
            let scope = if facts.policy_is_loaded {
                RuleScope { source: source.clone(), target: target.clone(), ..scope }
            } else {
                scope
            };
            let permissions = permissions.iter().cloned().collect::<BTreeSet<_>>();
            let rule = Rule { permissions, records: Vec::new() };
            Some(Change::Module(BTreeMap::from([(scope, rule)])))
        }
        Obstacle::Capability(IPC_LOCK) => Some(Change::Locked),
        Obstacle::Capability(DAC_READ_SEARCH) => Some(Change::Tracefs),
        // Files of tracefs are written as their owner.
        Obstacle::Capability(DAC_OVERRIDE) => None,
        Obstacle::Capability(cap) => capability(route, *cap, now),
    }
}

/// The change that gives a capability on this way.
fn capability(route: Route, cap: u32, now: &Changed) -> Option<Change> {
    let facts = &now.facts;
    let wanted = CapSet::one(cap);
    match route {
        Route::UserSide | Route::Level | Route::Root | Route::Outside => None,
        // capable() is about the initial user namespace.
        _ if facts.userns.value => None,
        Route::Container if !facts.bounding.value.has(cap) => Some(Change::ContainerCaps(wanted)),
        Route::File | Route::FileAtUpstreamsLevel | Route::Container => {
            let file = &facts.file.value;
            let held = file.permitted.has(cap) && file.effective;
            match () {
                () if !held => Some(Change::FileCaps(file.permitted.with(wanted))),
                () if file.nosuid => Some(Change::OtherMount),
                () if facts.no_new_privs.value => Some(Change::NewPrivileges),
                () if !facts.bounding.value.has(cap) => Some(Change::Bounding(wanted)),
                () => None,
            }
        }
        Route::Ambient if !facts.bounding.value.has(cap) => Some(Change::Bounding(wanted)),
        Route::Ambient if facts.ambient.value.has(cap) => {
            // An exec of a file with capabilities drops the ambient set.
            let file = facts.file.value.permitted;
            (!file.is_empty()).then_some(Change::FileCaps(CapSet::EMPTY))
        }
        Route::Ambient => Some(Change::Ambient(wanted)),
    }
}

/// Leaves out every change without which nothing is refused either.
fn pruned(changes: Vec<Change>, start: &Changed) -> Vec<Change> {
    for at in 0..changes.len() {
        let mut fewer = changes.clone();
        fewer.remove(at);
        if passes(&ask(&apply(&fewer, start))) {
            return pruned(fewer, start);
        }
    }
    changes
}

fn passes(asked: &Asked) -> bool {
    asked.passes()
}

/// The type in a context.
fn kind(context: &str) -> String {
    context.split(':').nth(2).unwrap_or(context).to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::why::command::ToolCommand;
    use crate::why::facts::{Facts, Given, Known};

    fn start(text: &str, given: Given) -> Changed {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        let command = ToolCommand::read(&words).unwrap();
        let facts = Facts::new(given, None).unwrap();
        Changed { facts, command, rules: BTreeMap::new(), focus: None }
    }

    fn found(start: &Changed) -> Vec<String> {
        let text = |it: &Remedy| {
            it.changes.iter().map(|change| change.how(start)).collect::<Vec<_>>().join(" and ")
        };
        remedies(start).iter().map(text).collect()
    }

    fn given(level: i32, caps: &str) -> Given {
        Given {
            level: Some(Known::given(level)),
            caps: Some(Known::given(caps.parse().unwrap())),
            ..Given::default()
        }
    }

    #[rstest]
    #[case("perf stat -a", given(2, "none"), "setcap cap_perfmon=ep", true)]
    #[case("perf stat -a", given(2, "none"), "perf_event_paranoid=0`", true)]
    #[case("perf stat -e cycles ls", given(2, "none"), ":u", true)]
    #[case("perf stat -e cycles ls", given(2, "none"), "perf_event_paranoid=1`", true)]
    #[case("perf stat -C 0 -e msr/tsc/", given(2, "none"), ":u", false)]
    #[case("perf stat -a", given(4, "perfmon"), "perf_event_paranoid=2`", true)]
    #[case(
        "perf stat -a",
        given(4, "none"),
        "perf_event_paranoid=2` and `setcap cap_perfmon=ep",
        true
    )]
    #[case("bpftool prog load x y", given(2, "bpf"), "setcap cap_bpf,cap_perfmon=ep", true)]
    #[case("bpftrace -e x", given(2, "bpf"), "setcap", false)]
    #[case("bpftrace -e x", given(2, "none"), "run it as root", true)]
    #[case("perf stat -a", Given { nosuid: Some(Known::given(true)), ..given(2, "perfmon") },
        "without nosuid", true)]
    #[case("perf stat -a", Given { nosuid: Some(Known::given(true)), ..given(2, "perfmon") },
        "setcap", false)]
    #[case("perf stat -a", Given { no_new_privs: Some(Known::given(true)), ..given(2, "perfmon") },
        "AmbientCapabilities=CAP_PERFMON", true)]
    #[case("perf stat -a", Given { userns: Some(Known::given(true)), ..given(2, "none") },
        "setcap", false)]
    #[case("perf stat -a",
        Given { container: Some(Known::given("docker:24".parse().unwrap())), ..given(2, "none") },
        "--cap-add PERFMON", true)]
    #[case("perf stat ls",
        Given { container: Some(Known::given("docker:20.10".parse().unwrap())), ..given(2, "none") },
        "seccomp=PROFILE.json", true)]
    #[case("perf stat -a",
        Given { container: Some(Known::given("rootless-podman".parse().unwrap())), ..given(2, "none") },
        "--cap-add", false)]
    fn a_remedy_is_found_and_a_useless_one_is_not(
        #[case] command: &str,
        #[case] given: Given,
        #[case] words: &str,
        #[case] expected: bool,
    ) {
        let found = found(&start(command, given));
        assert_eq!(found.iter().any(|it| it.contains(words)), expected, "{found:#?}");
    }

    #[test]
    fn every_remedy_passes_and_none_can_be_smaller() {
        for command in ["perf stat -a", "perf record -e sched:x", "bpftrace -e x", "perf top -p 1"]
        {
            for given in [given(3, "none"), given(2, "bpf"), given(4, "perfmon")] {
                let start = start(command, given);
                for remedy in remedies(&start) {
                    assert!(ask(&apply(&remedy.changes, &start)).passes());
                    assert_eq!(pruned(remedy.changes.clone(), &start), remedy.changes);
                }
            }
        }
    }

    #[test]
    fn lockdown_has_no_remedy() {
        let lockdown = Some(Known::given(perfsec_wire::Lockdown::Confidentiality));
        let given = Given { lockdown, ..given(2, "perfmon") };
        assert!(found(&start("perf stat -e kprobe ls", given)).is_empty());
    }
}
