//! Changes of the facts, the command or the policy.

use std::collections::BTreeMap;

use perfsec_wire::CapSet;
use perfsec_wire::caps::SYS_ADMIN;

use crate::allow::{Rule, RuleScope};
use crate::grant::cap_name;
use crate::why::ask::Changed;
use crate::why::facts::{Known, SeccompFilter};

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// `:u`
    ExcludeKernel,
    /// A smaller buffer or a higher limit.
    Locked,
    /// A module with these rules.
    Module(BTreeMap<RuleScope, Rule>),
    /// Capabilities on the file, with those that it has.
    FileCaps(CapSet),
    /// Ambient capabilities from the service manager.
    Ambient(CapSet),
    /// Capabilities of the container.
    ContainerCaps(CapSet),
    /// Read access to the events of tracefs.
    Tracefs,
    /// The file on a file system without `nosuid`.
    OtherMount,
    /// No `no_new_privs`.
    NewPrivileges,
    /// Capabilities in the bounding set.
    Bounding(CapSet),
    /// Another seccomp filter.
    SeccompFilter,
    /// `kernel.perf_event_paranoid`
    Level(i32),
    /// Root of the initial user namespace.
    Root,
    /// Outside of the user namespace.
    Outside,
}

impl Change {
    /// The facts, the command and the rules with this change.
    pub(crate) fn apply(&self, to: &Changed) -> Changed {
        let mut changed = to.clone();
        let facts = &mut changed.facts;
        match self {
            Self::ExcludeKernel => changed.command = to.command.without_kernel(),
            Self::Locked => facts.memlock = Known::given(u64::MAX),
            Self::Module(rules) => changed.rules.extend(rules.clone()),
            Self::FileCaps(caps) => {
                facts.file.value.permitted = *caps;
                facts.file.value.effective = true;
            }
            Self::Ambient(caps) => facts.ambient.value = facts.ambient.value.with(*caps),
            Self::ContainerCaps(caps) => {
                facts.bounding.value = facts.bounding.value.with(*caps);
                let container = facts.container.as_ref();
                if let Some((it, runtime)) = container.and_then(|it| Some((it, it.value.data()?))) {
                    let version = it.value.version.as_deref();
                    facts.filter.value = runtime.filter(version, facts.bounding.value);
                }
            }
            Self::Tracefs => facts.tracefs.value = true,
            Self::OtherMount => facts.file.value.nosuid = false,
            Self::NewPrivileges => facts.no_new_privs.value = false,
            Self::Bounding(caps) => facts.bounding.value = facts.bounding.value.with(*caps),
            Self::SeccompFilter => facts.filter.value = SeccompFilter::default(),
            Self::Level(level) => facts.level.value = *level,
            Self::Root => {
                facts.uid.value = 0;
                facts.userns.value = false;
                facts.effective = None;
                facts.bounding.value = CapSet::ALL;
            }
            Self::Outside => {
                facts.userns.value = false;
                facts.container = None;
                facts.filter.value = SeccompFilter::default();
                facts.bounding.value = CapSet::ALL;
                if facts.uid.value == 0 {
                    facts.uid.value = crate::case::UNPRIVILEGED;
                }
            }
        }
        changed
    }

    /// Its place in the order from safe to dangerous.
    pub(crate) fn rank(&self) -> u32 {
        let caps = |caps: CapSet| if caps.has(SYS_ADMIN) { 8 } else { 3 };
        match self {
            Self::ExcludeKernel | Self::Locked => 0,
            Self::Module(rules) => {
                let sys_admin = rules.values().any(|rule| rule.permissions.contains("sys_admin"));
                if sys_admin { 7 } else { 1 }
            }
            Self::FileCaps(set) | Self::Ambient(set) | Self::ContainerCaps(set) => caps(*set),
            Self::OtherMount => 2,
            Self::Tracefs | Self::Bounding(_) => 4,
            Self::NewPrivileges | Self::SeccompFilter => 5,
            Self::Level(level) => {
                if *level >= 2 {
                    2
                } else {
                    6
                }
            }
            Self::Outside => 7,
            Self::Root => 9,
        }
    }

    /// The command or the setting that makes the change.
    pub(crate) fn how(&self, before: &Changed) -> String {
        let facts = &before.facts;
        let program = before.command.program();
        let file = match program {
            // These stand for any program.
            "perf_event_open" | "bpf" | "bcc" => "FILE".to_owned(),
            path if path.contains('/') => path.to_owned(),
            name => format!("$(command -v {name})"),
        };
        let on_host = if facts.container.is_some() { " on the host" } else { "" };
        match self {
            Self::ExcludeKernel => {
                "exclude the kernel: `:u` behind each event, or --all-user".to_owned()
            }
            Self::Locked => {
                let more = match facts.container.as_ref().and_then(|it| it.value.data()) {
                    Some(runtime) => format!(", or the container's `{}`", runtime.memlock),
                    None => ", or RLIMIT_MEMLOCK (LimitMEMLOCK= of a unit)".to_owned(),
                };
                format!(
                    "use a smaller buffer (-m), or raise `sysctl kernel.perf_event_mlock_kb`{on_host}\
                     {more}"
                )
            }
            Self::Module(rules) => {
                let rules: Vec<_> = rules.iter().map(|(scope, rule)| te(scope, rule)).collect();
                format!("a policy module with `{}`", rules.join(" "))
            }
            Self::FileCaps(caps) if caps.is_empty() => format!("`setcap -r {file}`"),
            Self::FileCaps(caps) => format!("`setcap {}=ep {file}`", libcap(*caps)),
            Self::Ambient(caps) => format!(
                "run it from a unit with `AmbientCapabilities={}` (or `systemd-run -p \
                 AmbientCapabilities=…`, or `capsh --addamb=…`)",
                constants(*caps)
            ),
            Self::ContainerCaps(caps) => {
                let runtime = facts.container.as_ref().and_then(|it| it.value.data());
                let options = names(*caps).map(|cap| match runtime {
                    Some(runtime) => runtime.adding(&cap),
                    None => format!("--cap-add {}", cap.to_uppercase()),
                });
                let options: Vec<_> = options.collect();
                format!("start the container with `{}`", options.join(" "))
            }
            Self::Tracefs => format!(
                "let users read tracefs{on_host}: `mount -o remount,mode=755 /sys/kernel/tracing` \
                 and `chmod -R a+rX /sys/kernel/tracing/events`, or gid= for one group"
            ),
            Self::OtherMount => format!(
                "remount the file system of {program} without nosuid, or execute a copy on another \
                 one"
            ),
            Self::NewPrivileges => {
                "start it without no_new_privs (NoNewPrivileges=no in the unit; sudo and containers \
                 have options of their own)"
                    .to_owned()
            }
            Self::Bounding(caps) => format!(
                "leave {} in the bounding set (CapabilityBoundingSet= of the unit)",
                constants(*caps)
            ),
            Self::SeccompFilter => match facts.container.as_ref().and_then(|it| it.value.data()) {
                Some(runtime) => match &runtime.profile {
                    Some(profile) => format!(
                        "a seccomp profile of your own that allows the call: `{profile}`"
                    ),
                    None => "a seccomp profile of your own that allows the call".to_owned(),
                },
                None => "a seccomp filter that allows the call: of a container, `--cap-add PERFMON` \
                         where its filter knows the capability (Docker from 23.0 on), else \
                         `--security-opt seccomp=PROFILE.json`; of a unit, SystemCallFilter="
                    .to_owned(),
            },
            Self::Level(level) => format!("`sysctl kernel.perf_event_paranoid={level}`{on_host}"),
            Self::Root => match facts.container {
                Some(_) => "run it in a container of the real root (`sudo`, not rootless), or on the host as root".to_owned(),
                None => "run it as root (`sudo`)".to_owned(),
            },
            Self::Outside => "run it on the host, outside of the container".to_owned(),
        }
    }

    /// Its cost: who gets access to what, as a clause.
    pub(crate) fn gives_away(&self) -> String {
        match self {
            Self::ExcludeKernel => "nothing; the kernel's side is not counted".to_owned(),
            Self::Locked => "memory that cannot be swapped".to_owned(),
            Self::Module(_) => "every program of the domain has these permissions".to_owned(),
            Self::FileCaps(caps) if caps.is_empty() => "nothing".to_owned(),
            Self::FileCaps(caps) => format!(
                "every user who may execute the file has {}; restrict it to a group (chgrp, chmod \
                 o-x)",
                power(*caps)
            ),
            Self::Ambient(caps) => {
                format!("this service, and what it executes, has {}", power(*caps))
            }
            Self::ContainerCaps(caps) => {
                format!("root in this container has {} on the whole host", power(*caps))
            }
            Self::Tracefs => "every user sees the kernel's trace events".to_owned(),
            Self::OtherMount => "files of that mount can give privileges".to_owned(),
            Self::NewPrivileges => "the process can gain privileges by exec again".to_owned(),
            Self::Bounding(_) => "the process can gain these capabilities by exec".to_owned(),
            Self::SeccompFilter => "the container reaches a large, complex system call".to_owned(),
            Self::Level(2) => "every user may monitor own processes in user space".to_owned(),
            Self::Level(1) => "every user may profile the kernel through own processes".to_owned(),
            Self::Level(0) => "every user may monitor every process of a CPU".to_owned(),
            Self::Level(-1) => {
                "every user may do almost everything, raw tracepoints included".to_owned()
            }
            Self::Level(_) => "every user has what this level allows".to_owned(),
            Self::Root => "everything".to_owned(),
            Self::Outside => "the isolation of the container".to_owned(),
        }
    }
}

/// A rule by the types in its contexts.
pub(crate) fn te(scope: &RuleScope, rule: &Rule) -> String {
    let kind = |context: &str| context.split(':').nth(2).unwrap_or(context).to_owned();
    let (source, target) = (kind(&scope.source), kind(&scope.target));
    rule.te(&RuleScope { source, target, class: scope.class.clone() })
}

/// The names of capabilities, in ascending order of their numbers.
fn names(caps: CapSet) -> impl Iterator<Item = String> {
    (0..u64::BITS).filter(move |cap| caps.has(*cap)).map(cap_name)
}

/// As setcap(8) takes them: `cap_bpf,cap_perfmon`.
pub(crate) fn libcap(caps: CapSet) -> String {
    let mut all: Vec<_> = names(caps).map(|name| format!("cap_{name}")).collect();
    all.sort();
    all.join(",")
}

/// As units and capabilities(7) write them.
fn constants(caps: CapSet) -> String {
    names(caps).map(|name| format!("CAP_{}", name.to_uppercase())).collect::<Vec<_>>().join(" ")
}

fn power(caps: CapSet) -> String {
    let what = constants(caps).replace(' ', " and ");
    if caps.has(SYS_ADMIN) { format!("{what}, which is almost root") } else { what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_sets_all_capabilities_of_a_file() {
        assert_eq!(libcap("bpf+perfmon".parse().unwrap()), "cap_bpf,cap_perfmon");
        assert!(Change::FileCaps("sys_admin".parse().unwrap()).rank() > Change::Level(0).rank());
        assert!(Change::FileCaps("perfmon".parse().unwrap()).rank() < Change::Level(0).rank());
    }
}
