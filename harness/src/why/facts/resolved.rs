//! All the facts that an answer depends on: given, read or assumed.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use perfsec_wire::step::Execve;
use perfsec_wire::{CapSet, Lockdown, Mode};
use schemars::JsonSchema;
use serde::Serialize;

use super::distribution::UPSTREAM;
use super::{
    Container, DataError, Distribution, Distributions, FactSource, Given, Known, SeccompFilter,
};
use crate::asks::{AllowAll, SecurityServer};
use crate::case::UNPRIVILEGED;
use crate::errno::Errno;
use crate::kernel::KernelVersion;

/// A kernel newer than every condition.
pub(crate) const NEWEST: KernelVersion = KernelVersion::new(u32::MAX, 0, 0);

/// The highest level of upstream.
const HIGHEST_LEVEL: i32 = 2;

/// `kernel.perf_event_mlock_kb` at boot, in KiB: 512 and a page.
const MLOCK_KB: u64 = 516;

/// The first release whose RLIMIT_MEMLOCK is 8 MiB at boot; before, it is 64 KiB.
const MEMLOCK_8_MIB: KernelVersion = KernelVersion::new(5, 16, 0);

/// The facts.
#[derive(Clone)]
pub struct Facts {
    /// The kernel's version.
    pub kernel: Known<KernelVersion>,
    /// The ID of the distribution that built the kernel.
    pub distribution: Known<String>,
    /// `kernel.perf_event_paranoid`
    pub level: Known<i32>,
    /// `kernel.kptr_restrict`
    pub kptr: Known<i32>,
    /// `kernel.unprivileged_bpf_disabled`
    pub unprivileged_bpf: Known<i32>,
    /// `kernel.perf_event_mlock_kb`, in KiB.
    pub mlock_kb: Known<u64>,
    /// RLIMIT_MEMLOCK in bytes; `u64::MAX` for no limit.
    pub memlock: Known<u64>,
    /// The number of CPUs.
    pub cpus: Known<u32>,
    /// The user ID, in the process's user namespace.
    pub uid: Known<u32>,
    /// The file that is executed.
    pub file: Known<Execve>,
    /// The effective set of a process that makes the calls itself; `None` if it executes the file.
    pub effective: Option<Known<CapSet>>,
    /// The ambient set.
    pub ambient: Known<CapSet>,
    /// The bounding set.
    pub bounding: Known<CapSet>,
    /// `no_new_privs` is set.
    pub no_new_privs: Known<bool>,
    /// The process is in a user namespace of its own.
    pub userns: Known<bool>,
    /// The container.
    pub container: Option<Known<Container>>,
    /// The seccomp filter.
    pub filter: Known<SeccompFilter>,
    /// The lockdown level.
    pub lockdown: Known<Lockdown>,
    /// The SELinux mode.
    pub selinux: Known<Mode>,
    /// The context or the type of the process.
    pub domain: Known<String>,
    /// The answers of the policy.
    pub policy: Rc<dyn SecurityServer>,
    /// True if the answers are those of a loaded policy.
    pub policy_is_loaded: bool,
    /// The user may read the events of tracefs.
    pub tracefs: Known<bool>,
    /// The PMUs of the machine, if they are known.
    pub pmus: Option<Known<BTreeSet<String>>>,
    /// The other process belongs to the same user.
    pub own_process: Known<bool>,
    /// The errno that was seen.
    pub errno: Option<Errno>,
    /// The AppArmor profile.
    pub apparmor: Option<Known<String>>,
}

/// A fact, as an answer lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FactLine {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Its source.
    #[serde(flatten)]
    pub source: FactSource,
}

impl Facts {
    /// Completes facts with assumptions. `policy` has the answers of a loaded policy.
    ///
    /// # Errors
    ///
    /// Mistakes in the data about distributions, which the project's tests rule out.
    pub fn new(
        given: Given,
        policy: Option<Rc<dyn SecurityServer>>,
    ) -> Result<Self, &'static DataError> {
        let data = Distributions::built_in()?;
        let given_level = given.level.as_ref().map(|level| level.value);
        let distribution =
            given.distribution.unwrap_or_else(|| assumed_distribution(data, given_level));
        let built_by = data.get(&distribution.value);
        let kernel = given.kernel.unwrap_or_else(|| Known::assumed(NEWEST, "none is named"));
        let level = given.level.unwrap_or_else(|| assumed_level(&distribution, built_by));
        let at_boot = |value: Option<i32>, upstream: i32, what: &str| match value {
            Some(value) => Known::assumed(value, format!("{} has it {what}", distribution.value)),
            None => Known::assumed(upstream, format!("upstream has it {what}")),
        };
        let container = given.container;
        let user_ns = given.userns.unwrap_or_else(|| match &container {
            Some(it) if it.value.rootless => {
                Known::assumed(true, "a rootless container has one of its own")
            }
            Some(it) if it.value.has_user_namespace() => {
                Known::assumed(true, format!("{} usually gives a container one", it.value))
            }
            _ => Known::assumed(false, "nothing says that there is one"),
        });
        let uid = given.uid.unwrap_or_else(|| match container {
            Some(_) => Known::assumed(0, "most containers run as root"),
            None => Known::assumed(UNPRIVILEGED, "a user without privileges"),
        });
        let caps = given.caps.unwrap_or_else(|| {
            Known::assumed(CapSet::EMPTY, "nothing says that the file has capabilities")
        });
        let lacks = |set: CapSet| CapSet(set.0 & !given.lacks.0);
        let bounding = given.bounding.unwrap_or_else(|| match &container {
            Some(it) => {
                let default = it.value.data().map_or(CapSet::EMPTY, |runtime| runtime.caps);
                let why = format!("the default of {} and what was added", it.value);
                Known::assumed(lacks(default.with(caps.value)), why)
            }
            // Root with these capabilities has no others.
            None if uid.value == 0 && !caps.value.is_empty() => {
                Known { value: lacks(caps.value), source: caps.source.clone() }
            }
            None => Known::assumed(lacks(CapSet::ALL), "nothing says that it is smaller"),
        });
        let filter = assumed_filter(given.seccomp, container.as_ref(), bounding.value);
        // Root needs no capabilities on the file.
        let on_file = if uid.value == 0 { CapSet::EMPTY } else { lacks(caps.value) };
        let file = Execve {
            effective: !given.not_effective,
            setuid: given.setuid.as_ref().is_some_and(|it| it.value),
            nosuid: given.nosuid.as_ref().is_some_and(|it| it.value),
            ..Execve::granted(on_file)
        };
        let caps = match uid.value {
            0 => Known::assumed(CapSet::EMPTY, "root needs none on the file"),
            _ => caps,
        };
        let file = match given.nosuid.filter(|it| it.value).map(|it| it.source) {
            Some(source) if caps.source.is_assumed() => Known { value: file, source },
            _ => Known { value: file, source: caps.source },
        };
        let selinux = given.selinux.unwrap_or_else(|| match &given.domain {
            Some(_) => Known::assumed(Mode::Enforcing, "a domain was given"),
            None => Known::assumed(Mode::Enforcing, "if SELinux is there at all"),
        });
        let memlock = match kernel.value >= MEMLOCK_8_MIB {
            true => 8 << 20,
            false => 64 << 10,
        };
        let none = "nothing says that there is one";
        Ok(Self {
            level,
            kptr: given
                .kptr
                .unwrap_or_else(|| at_boot(built_by.and_then(|it| it.kptr), 0, "at boot")),
            unprivileged_bpf: given
                .unprivileged_bpf
                .unwrap_or_else(|| at_boot(built_by.and_then(|it| it.bpf), 2, "at boot")),
            mlock_kb: given.mlock_kb.unwrap_or_else(|| Known::assumed(MLOCK_KB, "at boot")),
            memlock: given.memlock.unwrap_or_else(|| Known::assumed(memlock, "the default")),
            cpus: given.cpus.unwrap_or_else(|| Known::assumed(1, "it rarely matters")),
            uid,
            file,
            effective: given.effective,
            ambient: given.ambient.unwrap_or_else(|| Known::assumed(CapSet::EMPTY, none)),
            bounding,
            no_new_privs: given
                .no_new_privs
                .unwrap_or_else(|| Known::assumed(false, "nothing says that it is set")),
            userns: user_ns,
            container,
            filter,
            lockdown: given.lockdown.unwrap_or_else(|| Known::assumed(Lockdown::None, none)),
            selinux,
            domain: given
                .domain
                .unwrap_or_else(|| Known::assumed("DOMAIN".to_owned(), "it stands for any")),
            policy_is_loaded: policy.is_some(),
            policy: policy.unwrap_or_else(|| Rc::new(AllowAll)),
            tracefs: given
                .tracefs
                .unwrap_or_else(|| Known::assumed(false, "only root can read it by default")),
            pmus: given.pmus,
            own_process: given.own_process.unwrap_or_else(|| {
                Known::assumed(false, "nothing says that it belongs to the same user")
            }),
            errno: given.errno,
            apparmor: given.apparmor,
            kernel,
            distribution,
        })
    }

    /// The data about the distribution, if perfsec has any.
    #[must_use]
    pub fn built_by(&self) -> Option<&'static Distribution> {
        Distributions::built_in().ok()?.get(&self.distribution.value)
    }

    /// Pages of 4096 bytes that the buffer of an event may have without CAP_IPC_LOCK if there is
    /// one for each CPU (`perf_mmap()`).
    #[must_use]
    pub fn free_pages(&self) -> u64 {
        let beyond = self.memlock.value / 4096 / u64::from(self.cpus.value.max(1));
        self.mlock_kb.value / 4 + beyond
    }

    /// The facts, as an answer lists them.
    #[must_use]
    pub fn lines(&self) -> Vec<FactLine> {
        let mut lines = Vec::new();
        let mut add = |name: &'static str, value: String, source: &FactSource| {
            lines.push(FactLine { name, value, source: source.clone() });
        };
        let version = match self.kernel.value {
            NEWEST => "the newest".to_owned(),
            version => version.to_string(),
        };
        add("kernel", version, &self.kernel.source);
        add("distribution", self.distribution.value.clone(), &self.distribution.source);
        add("perf_event_paranoid", self.level.value.to_string(), &self.level.source);
        let user = match self.uid.value {
            0 => "root".to_owned(),
            UNPRIVILEGED => "a user".to_owned(),
            uid => format!("uid {uid}"),
        };
        add("user", user, &self.uid.source);
        match &self.effective {
            Some(held) => add("effective capabilities", listed(held.value), &held.source),
            None => add("file", described(&self.file.value), &self.file.source),
        }
        add("ambient capabilities", listed(self.ambient.value), &self.ambient.source);
        add("bounding set", described_set(self.bounding.value), &self.bounding.source);
        let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
        add("no_new_privs", yes(self.no_new_privs.value), &self.no_new_privs.source);
        add("own user namespace", yes(self.userns.value), &self.userns.source);
        if let Some(container) = &self.container {
            add("container", container.value.to_string(), &container.source);
        }
        add("seccomp filter", self.filter.value.to_string(), &self.filter.source);
        add("lockdown", self.lockdown.value.to_string(), &self.lockdown.source);
        add("selinux", self.selinux.value.to_string(), &self.selinux.source);
        if self.selinux.value != Mode::Disabled {
            add("domain", self.domain.value.clone(), &self.domain.source);
        }
        if let Some(profile) = &self.apparmor {
            add("apparmor profile", profile.value.clone(), &profile.source);
        }
        add("tracefs readable", yes(self.tracefs.value), &self.tracefs.source);
        if let Some(errno) = self.errno {
            add("errno", errno.to_string(), &FactSource::Given);
        }
        lines
    }
}

/// The distribution of a kernel with this level, if nobody names one.
fn assumed_distribution(data: &Distributions, level: Option<i32>) -> Known<String> {
    match level.and_then(|level| data.only_with_level(level)) {
        Some(only) => {
            let why =
                format!("the one whose kernels give level {} a meaning", only.gate.unwrap_or(0));
            Known::assumed(only.id.clone(), why)
        }
        None => Known::assumed(UPSTREAM.to_owned(), "none is named"),
    }
}

fn assumed_level(distribution: &Known<String>, built_by: Option<&Distribution>) -> Known<i32> {
    match built_by.and_then(|it| it.level) {
        Some(level) => {
            let builder = match distribution.value.as_str() {
                UPSTREAM => "the default of upstream; Debian's is 3, Ubuntu's 4".to_owned(),
                name => format!("the default of {name}"),
            };
            Known::assumed(level, builder)
        }
        None => {
            let why =
                format!("the default of upstream; that of {} is not known", distribution.value);
            Known::assumed(HIGHEST_LEVEL, why)
        }
    }
}

/// The filter of a process, by its container.
fn assumed_filter(
    seccomp: Option<Known<bool>>,
    container: Option<&Known<Container>>,
    caps: CapSet,
) -> Known<SeccompFilter> {
    let refusing =
        SeccompFilter { perf: Some(Errno::EPERM), bpf: Some(Errno::EPERM), unknown: false };
    match (seccomp, container.map(|it| (it, it.value.data()))) {
        (Some(Known { value: false, source }), _) => {
            Known { value: SeccompFilter::default(), source }
        }
        (seccomp, Some((it, Some(runtime)))) => {
            let mut filter = runtime.filter(it.value.version.as_deref(), caps);
            // It can be another than the runtime's.
            filter.unknown |= seccomp.is_some_and(|known| known.source != FactSource::Given);
            Known::assumed(filter, format!("the default profile of {}", it.value))
        }
        (Some(Known { source: FactSource::Given, .. }), None) => Known::given(refusing),
        (Some(Known { source, .. }), _) => {
            Known { value: SeccompFilter { unknown: true, ..SeccompFilter::default() }, source }
        }
        (None, Some((it, None))) => {
            let why = format!("most runtimes have one, and nothing names that of {}", it.value);
            // With CAP_PERFMON most let the call through.
            match caps.is_empty() {
                true => Known::assumed(refusing, why),
                false => {
                    Known::assumed(SeccompFilter { unknown: true, ..SeccompFilter::default() }, why)
                }
            }
        }
        (None, None) => Known::assumed(SeccompFilter::default(), "nothing says that there is one"),
    }
}

/// The names of capabilities, which a line can be broken between.
fn listed(set: CapSet) -> String {
    set.to_string().replace('+', ", ")
}

fn described_set(set: CapSet) -> String {
    let missing = CapSet(CapSet::ALL.0 & !set.0);
    match missing.0.count_ones() {
        1..=8 => format!("all but {}", listed(missing)),
        _ => listed(set),
    }
}

fn described(file: &Execve) -> String {
    let mut words = match file.permitted.is_empty() {
        true => "no capabilities".to_owned(),
        false if file.effective => format!("{}=ep", file.permitted),
        false => format!("{}=p, without the effective bit", file.permitted),
    };
    if file.setuid {
        words += ", set-user-id root";
    }
    if file.nosuid {
        words += ", on a nosuid mount";
    }
    words
}

impl fmt::Display for SeccompFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.unknown, self.perf, self.bpf) {
            (true, None, None) => "yes, with rules that nothing shows",
            (false, None, None) => "none that matters",
            (_, Some(_), None) => "refuses perf_event_open",
            (_, None, Some(_)) => "refuses bpf",
            (_, Some(_), Some(_)) => "refuses perf_event_open and bpf",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_was_seen_may_be_another_than_the_runtimes() {
        let docker = Known::given("docker:24".parse::<Container>().unwrap());
        let unknown =
            |seccomp| assumed_filter(Some(seccomp), Some(&docker), CapSet::ALL).value.unknown;
        assert!(unknown(Known::read(true, "/proc/self/status, Seccomp".to_owned())));
        assert!(!unknown(Known::given(true)));
    }
}
