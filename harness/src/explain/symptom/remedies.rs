//! The least privilege that lifts a refusal, and the SELinux rules for it.

use std::collections::BTreeSet;

use perfsec_wire::CapSet;
use perfsec_wire::caps::{PERFMON, SYS_ADMIN};

use super::model::Symptom;
use super::open::{Host, MONITORED};
use crate::explain::text::paragraph;
use crate::grant::{cap_class, cap_constant, cap_name};
use crate::text::{Text, line};

/// A way to get the access.
pub(super) struct Remedy {
    pub(super) text: String,
    /// The capability that it gives to perf.
    capability: Option<u32>,
}

/// The SELinux rules for the checks of a kernel, beside those for class perf_event.
pub(super) struct CheckRules {
    /// Capabilities, and true if the process lacks the capability and the answer advises it.
    capabilities: BTreeSet<(u32, bool)>,
    ptrace: Option<PtraceRule>,
}

/// When the domain needs `file { read }` on the monitored process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PtraceRule {
    /// In any case.
    Always,
    /// If the user follows the advice to lower the level, rather than to add CAP_PERFMON.
    WithoutPerfmon,
}

impl CheckRules {
    fn has(&self, capability: u32) -> bool {
        self.capabilities.iter().any(|(known, _)| *known == capability)
    }
}

impl Symptom {
    /// The least privileges that would allow it: a capability, or a level that needs none.
    pub(super) fn remedies(&self, host: &Host<'_>) -> Vec<Remedy> {
        let lower = |holder: CapSet| self.highest(holder, host);
        let on_host = if self.container { " on the host" } else { "" };
        let sysctl = |level: i32| format!("`sysctl kernel.perf_event_paranoid={level}`{on_host}");
        let given = |capability: u32| {
            let name = cap_name(capability);
            let setcap = format!("`setcap cap_{name}=ep $(command -v perf)`");
            match (self.container, self.root == Some(true)) {
                (true, true) => {
                    format!("{} (`--cap-add {}`)", cap_constant(capability), name.to_uppercase())
                }
                (true, false) => format!(
                    "{} (`--cap-add {}`, and in the container {setcap} for a user other than root)",
                    cap_constant(capability),
                    name.to_uppercase()
                ),
                (false, true) => format!("{} in root's effective set", cap_constant(capability)),
                (false, false) => format!("{} ({setcap})", cap_constant(capability)),
            }
        };
        let capability = [PERFMON, SYS_ADMIN]
            .into_iter()
            .find(|capability| self.refusal(CapSet::one(*capability), host).is_none())
            .filter(|_| !self.userns);
        let mut remedies = Vec::new();
        let mut add =
            |text: String, capability: Option<u32>| remedies.push(Remedy { text, capability });
        if capability == Some(PERFMON) {
            add(given(PERFMON), Some(PERFMON));
        }
        if let Some(highest) = lower(CapSet::one(PERFMON)).filter(|_| capability == Some(SYS_ADMIN))
            && Some(highest) != lower(CapSet::EMPTY)
        {
            add(format!("{} and {}", sysctl(highest), given(PERFMON)), Some(PERFMON));
        }
        if let Some(lower) = lower(CapSet::EMPTY) {
            add(format!("no capability, with {} for all users", sysctl(lower)), None);
        }
        if capability == Some(SYS_ADMIN) {
            let text = match self.container {
                true => given(SYS_ADMIN),
                false => cap_constant(SYS_ADMIN),
            };
            add(format!("{text}, which is far more than perf needs"), Some(SYS_ADMIN));
        }
        if remedies.is_empty() {
            let text = "run perf outside the container".to_owned();
            remedies.push(Remedy { text, capability: None });
        }
        remedies
    }

    /// The highest level below this one at which no check refuses the holder.
    fn highest(&self, holder: CapSet, host: &Host<'_>) -> Option<i32> {
        let allows = |level: &i32| self.refusal(holder, &Host { level: *level, ..*host }).is_none();
        (-1..host.level).rev().find(allows)
    }

    /// The rules for the capabilities that the process holds and uses, or else for those that the
    /// answer advises; and for ptrace access.
    pub(super) fn check_rules(&self, host: &Host<'_>) -> CheckRules {
        let opened = self.open(self.holder(), host);
        if opened.refusal.is_none() {
            let used = opened.used_capabilities().map(|capability| (capability, false)).collect();
            let ptrace = opened.asks_ptrace().then_some(PtraceRule::Always);
            return CheckRules { capabilities: used, ptrace };
        }
        let remedies = self.remedies(host).into_iter();
        let advised = remedies.filter_map(|remedy| Some((remedy.capability?, true))).collect();
        let lower = self.highest(CapSet::EMPTY, host);
        let at = |level: i32| self.open(CapSet::EMPTY, &Host { level, ..*host });
        let asks_ptrace = lower.is_some_and(|level| at(level).asks_ptrace());
        CheckRules {
            capabilities: advised,
            ptrace: asks_ptrace.then_some(PtraceRule::WithoutPerfmon),
        }
    }

    /// Prints the rules that the domain needs. `rules` are those of Debian and upstream, or of one.
    pub(super) fn selinux(&self, out: &mut Text, host: &Host<'_>, rules: &[CheckRules]) {
        let opened = self.open(CapSet::ALL, host);
        // perf enables its events and reads them or their buffer.
        let needed: BTreeSet<_> = opened.hooks().chain(["read", "write"]).collect();
        let needed: Vec<_> = needed.into_iter().collect();
        let domain = self.domain.as_deref().unwrap_or("DOMAIN");
        let mode = match self.mode {
            Some(perfsec_wire::Mode::Permissive) => {
                "SELinux is permissive and refuses nothing. In enforcing mode the domain needs:"
            }
            _ => "Where SELinux is enforcing, the domain also needs:",
        };
        paragraph(out, 0, mode);
        line!(out, "  allow {domain} self:perf_event {{ {} }};", needed.join(" "));
        let mut all: Vec<_> = rules.iter().flat_map(|rules| &rules.capabilities).copied().collect();
        all.sort_by_key(|(capability, advised)| (std::cmp::Reverse(*capability), *advised));
        all.dedup_by_key(|(capability, _)| *capability);
        for (capability, advised) in all {
            let class = cap_class(capability, true);
            let has = |rules: &CheckRules| rules.has(capability);
            let when = match (advised, rules) {
                (true, _) => format!(" # if given {}", cap_constant(capability)),
                (false, [debian, upstream]) if has(debian) && !has(upstream) => {
                    " # on Debian kernels".to_owned()
                }
                (false, [debian, upstream]) if has(upstream) && !has(debian) => {
                    " # on upstream kernels".to_owned()
                }
                (false, _) => String::new(),
            };
            let name = cap_name(capability);
            line!(out, "  allow {domain} self:{class} {name};{when}");
        }
        let ptrace: Vec<_> = rules.iter().filter_map(|rules| rules.ptrace).collect();
        let when = match ptrace.as_slice() {
            [] => return,
            some if some.contains(&PtraceRule::Always) => "",
            _ => " # without CAP_PERFMON",
        };
        line!(out, "  allow {domain} {MONITORED}:file read;{when}");
    }
}
