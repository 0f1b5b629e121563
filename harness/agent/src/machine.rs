//! The machine under test: its set-up, and the files that stay open between cells.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::time::{ClockId, clock_gettime};
use perf_event_open_sys::bindings::perf_event_attr;
use perfsec_wire::message::{AuditFacts, AuditMeans};
use perfsec_wire::observation::Record;
use perfsec_wire::{Cell, Facts, Lane, LanePolicy, Refusal, Step, paths};

use crate::audit::{Audit, Mark};
use crate::children::Children;
use crate::error::{Error, ErrorContext};
use crate::here::journal;
use crate::kmsg::Kmsg;
use crate::lockdown::LockdownState;
use crate::program::Programs;
use crate::selinux::{self, Policies, Selinux};
use crate::subject::{self, Executables, Names, Region};
use crate::sysctl::Sysctls;
use crate::trace::{Instance, Trace};
use crate::{error, facts, knob, sys};

/// The machine under test.
pub(crate) struct Machine {
    pub(crate) surroundings: Surroundings,
    /// `None` in a boot with `audit=0`.
    pub(crate) audit: Option<Audit>,
    pub(crate) trace: Trace,
    pub(crate) kmsg: Kmsg,
    /// `None` in a boot without a policy, which has no modes.
    pub(crate) selinux: Option<Selinux>,
    pub(crate) policies: Policies,
    pub(crate) lockdown: LockdownState,
    pub(crate) sysctls: Sysctls,
    pub(crate) executables: Executables,
    pub(crate) children: Children,
    pub(crate) region: Region,
    pub(crate) programs: Programs,
    /// Numbers in tracefs by `CATEGORY:NAME`.
    tracepoints: HashMap<String, u64>,
    /// The result of opening `cpu-cycles`.
    cycles: i64,
    /// SELinux's messages while the policy was loaded.
    policy_messages: Vec<String>,
    /// The watched sysctls at boot.
    boot_sysctls: Vec<(String, String)>,
    /// Time of the agent's start, in milliseconds since boot.
    started_ms: u32,
}

/// A guest that can join any lane that its kernel's parameters fit.
pub(crate) struct Prepared {
    surroundings: Surroundings,
    files: Files,
    sysctls: Vec<(String, String)>,
    started_ms: u32,
    cycles: i64,
    kmsg: Kmsg,
    trace: Trace,
}

/// The surroundings of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    /// Nothing else runs: the agent is process 1.
    Alone,
    /// A system with an init and an audit daemon of its own, which must not notice the agent.
    System,
    /// A machine that is not perfsec's, and is left as it was.
    Machine,
}

/// The agent's files.
pub(crate) struct Files {
    /// The encoded [`Preparation`](perfsec_wire::Preparation).
    pub(crate) preparation: Vec<u8>,
    /// The program that subjects execute.
    pub(crate) subject: Vec<u8>,
    /// The directory of the policies.
    pub(crate) policies: PathBuf,
}

impl Files {
    /// Reads them.
    pub(crate) fn read() -> error::Result<Self> {
        let (preparation, subject) = (Path::new(paths::PREPARATION), Path::new(paths::SUBJECT));
        Self::read_from(preparation, subject, selinux::folder())
    }

    /// Reads them from other places.
    pub(crate) fn read_from(
        preparation: &Path,
        subject: &Path,
        policies: &Path,
    ) -> error::Result<Self> {
        let read = |path: &Path| std::fs::read(path).doing(format_args!("read {}", path.display()));
        let (preparation, subject) = (read(preparation)?, read(subject)?);
        Ok(Self { preparation, subject, policies: policies.to_owned() })
    }
}

/// Milliseconds since boot, as in `/proc/uptime`.
pub(crate) fn uptime_ms() -> u32 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let (seconds, nanos) = (time.tv_sec() as u64, time.tv_nsec() as u64);
        u32::try_from(seconds * 1000 + nanos / 1_000_000).unwrap_or(u32::MAX)
    })
}

/// Kernel release, as in `uname -r`.
pub(crate) fn release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| String::new(), |names| names.release().to_string_lossy().into_owned())
}

impl Prepared {
    /// Prepares what every lane needs and no policy changes. That is most of what takes time.
    /// `sysctls` are the watched ones before the agent writes any.
    ///
    /// # Errors
    ///
    /// The reason why no cell can run here.
    pub(crate) fn new(
        surroundings: Surroundings,
        coverage: Option<&[String]>,
        files: Files,
        sysctls: Vec<(String, String)>,
        started_ms: u32,
    ) -> Result<Self, Refusal> {
        let setup = error::Error::refusal;
        let cycles = open_cycles()?;
        let kmsg = Kmsg::open().map_err(setup)?;
        expedite().map_err(setup)?;
        let instance = match surroundings {
            Surroundings::Alone => Ok(Instance::whole()),
            Surroundings::System | Surroundings::Machine => Instance::own(),
        };
        let trace = Trace::new(instance.map_err(setup)?, coverage).map_err(setup)?;
        Ok(Self { surroundings, files, sysctls, started_ms, cycles, kmsg, trace })
    }

    /// Sets the guest up for a lane.
    ///
    /// # Errors
    ///
    /// The reason why no cell of the lane can run here.
    pub(crate) fn join(self, lane: &Lane) -> Result<Machine, Refusal> {
        let Self { surroundings, files, sysctls, started_ms, cycles, mut kmsg, trace } = self;
        let setup = error::Error::refusal;
        selinux::modules(lane.boot)?;
        let mut audit = match lane.boot.has_audit() {
            true => Some(Audit::open().map_err(no_audit)?),
            false => None,
        };
        let mut policies = Policies::new(&files.policies);
        let policy_messages = match &lane.policy {
            Some(LanePolicy::Loaded(name)) => {
                policies.note_loaded(name);
                Vec::new()
            }
            Some(LanePolicy::Load(name)) => {
                let binary = policies.read(name).map_err(setup)?;
                policies.note_loaded(name);
                // Its error is not about this policy.
                journal::note_policy().map_err(setup)?;
                selinux::load(&binary, &mut kmsg)?
            }
            None => Vec::new(),
        };
        let in_system = surroundings == Surroundings::System;
        let selinux = match lane.boot.has_policy() {
            true => Some(Selinux::open().map_err(setup)?),
            false => None,
        };
        if let Some(audit) = &mut audit {
            let wanted = lane.boot.enables_audit();
            match surroundings {
                Surroundings::Alone => audit.register(wanted).map_err(no_audit),
                Surroundings::System => audit.listen(wanted).map_err(no_audit),
                Surroundings::Machine => audit.join(wanted).map_err(setup),
            }?;
        }
        Ok(Machine {
            surroundings,
            audit,
            trace,
            kmsg,
            selinux,
            policies,
            lockdown: LockdownState::new(),
            sysctls: Sysctls::default(),
            // Labelled by the policy, as all that a subject uses.
            executables: Executables::new(files.subject, in_system).map_err(setup)?,
            children: Children::new().map_err(setup)?,
            region: Region::new(true).map_err(setup)?,
            programs: Programs::default(),
            tracepoints: HashMap::new(),
            cycles,
            policy_messages,
            boot_sysctls: sysctls,
            started_ms,
        })
    }
}

impl Prepared {
    /// Releases the guest to people who use it: nothing is traced.
    pub(crate) fn release(self) {
        self.trace.remove();
    }
}

impl Machine {
    /// Reads the guest back, in front of the first cell. `channel` says how the agent reports.
    ///
    /// # Errors
    ///
    /// The reason why no cell can run here.
    pub(crate) fn facts(&mut self, lane: &Lane, channel: String) -> Result<Facts, Refusal> {
        let setup = error::Error::refusal;
        // Records that were lost until now belong to no cell.
        self.kmsg.drain().map_err(setup)?;
        let audit = match &mut self.audit {
            Some(audit) => audit_facts(audit, lane.boot.enables_audit())?,
            None => AuditFacts::default(),
        };
        let selinux = self.selinux.as_ref().map(Selinux::facts).transpose().map_err(setup)?;
        let cmdline = knob::read("/proc/cmdline").unwrap_or_default();
        Ok(Facts {
            release: release(),
            version: knob::read("/proc/version").unwrap_or_default(),
            lsm: selinux::modules(lane.boot)?,
            machine: facts::machine(self.cycles, self.lockdown.now(), &cmdline),
            cmdline,
            selinux: selinux.unwrap_or_default(),
            audit,
            sysctls: self.boot_sysctls.clone(),
            caps_unseen: self.trace.caps.as_ref().err().cloned(),
            caps_means: self.trace.caps.clone().unwrap_or_default(),
            channel,
            policy_messages: self.policy_messages.clone(),
            uptime_ms: (self.started_ms, uptime_ms()),
        })
    }

    /// Releases the guest to a person: audit records go to the console again, where they would
    /// otherwise pile up in the agent's socket, and nothing is traced.
    pub(crate) fn release(self) {
        if let Some(mut audit) = self.audit {
            audit.unregister();
        }
        self.trace.remove();
    }

    /// Puts a mark into the stream of audit records; `None` without audit.
    pub(crate) fn mark(&mut self, name: impl Display) -> error::Result<Option<Mark>> {
        self.audit.as_mut().map(|audit| audit.mark(name)).transpose()
    }

    /// The audit records between two marks.
    pub(crate) fn records(
        &mut self,
        begin: Option<Mark>,
        end: Option<Mark>,
    ) -> error::Result<Vec<Record>> {
        match (&mut self.audit, begin, end) {
            (Some(audit), Some(begin), Some(end)) => audit.between(&begin, &end),
            _ => Ok(Vec::new()),
        }
    }

    /// The number of audit records lost since the last call, by the kernel's log as far as it was
    /// read. After the last record and message of a cell, it covers the cell and its set-up.
    pub(crate) fn lost_records(&mut self) -> u32 {
        let logged = self.kmsg.audit_lost();
        self.audit.as_mut().map_or(0, |audit| audit.lost(logged))
    }

    /// Checks that the kernel's log mentioned every lost audit record.
    pub(crate) fn check_lost_records(&mut self) -> error::Result<()> {
        let Some(audit) = &mut self.audit else { return Ok(()) };
        // The counter may only be ahead of the log that was read.
        self.kmsg.drain()?;
        audit.check_lost(self.kmsg.audit_lost())
    }

    /// Numbers of the PMUs that a cell's events name, and of the tracepoints of its given steps and
    /// processes; the subject cannot look them up.
    pub(crate) fn names(&mut self, cell: &Cell) -> error::Result<Names> {
        let processes = cell.processes.iter().flat_map(|process| &process.steps);
        let others = cell.given.iter().chain(processes);
        let pmus = subject::pmus(others.clone().chain(&cell.steps))?;
        Ok(Names { tracepoints: self.tracepoints(others)?, pmus, ..Names::default() })
    }

    /// Numbers of the tracepoints that the events of steps name.
    pub(crate) fn tracepoints<'a>(
        &mut self,
        steps: impl Iterator<Item = &'a Step>,
    ) -> error::Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        for (name, file) in steps.filter_map(subject::tracepoint) {
            let number = match self.tracepoints.get(&name) {
                Some(number) => *number,
                None => {
                    let doing = format!("look up the tracepoint {name}");
                    let text = knob::read(file)
                        .map_err(|error| Error { doing: doing.clone(), ..error })?;
                    let number = text.parse().map_err(|_| Error::new(doing, &text))?;
                    // A probe that is defined again has another number.
                    if !name.starts_with("kprobes:") {
                        self.tracepoints.insert(name.clone(), number);
                    }
                    number
                }
            };
            all.push((name, number));
        }
        Ok(all)
    }
}

fn no_audit(error: Error) -> Refusal {
    Refusal::NoAudit { detail: error.to_string() }
}

/// Waits for the records queued since boot, which belong to no cell, and reads audit's state back.
fn audit_facts(audit: &mut Audit, enabled: bool) -> Result<AuditFacts, Refusal> {
    let setup = error::Error::refusal;
    let (begin, end) = (audit.mark("boot").map_err(setup)?, audit.mark("ready").map_err(setup)?);
    audit.between(&begin, &end).map_err(setup)?;
    let facts = audit.facts().map_err(setup)?;
    let right = match facts.means {
        AuditMeans::Daemon => facts.pid == std::process::id(),
        AuditMeans::Multicast => facts.pid != 0,
    };
    if !right || (facts.enabled, facts.rate_limit) != (enabled.into(), 0) {
        return Err(Refusal::NoAudit { detail: format!("its status is {facts:?}") });
    }
    Ok(facts)
}

/// Opens `cpu-cycles` and closes it; returns the result of the open. The kernel has perf events if
/// it has the sysctl (`kernel/events/core.c`).
fn open_cycles() -> Result<i64, Refusal> {
    // All zero: PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES.
    let attr = perf_event_attr::default();
    let result = sys::perf_event_open(&attr);
    if let Ok(fd) = i32::try_from(result)
        && fd >= 0
    {
        sys::close(fd);
    }
    let sysctl = std::path::Path::new("/proc/sys/kernel/perf_event_paranoid").exists();
    if result == -i64::from(libc::ENOSYS) || !sysctl { Err(Refusal::NoPerf) } else { Ok(result) }
}

/// Changes settings that cost time or hide messages.
fn expedite() -> error::Result<()> {
    // An AVC flush ends in synchronize_net() (`sel_netif_avc_callback()`), which otherwise waits
    // for whole RCU grace periods in every cell. Missing on a kernel with tiny RCU, which does not
    // wait at all.
    let _ = knob::write("/sys/kernel/rcu_expedited", "1");
    // The rate limit of audit_log_lost(). Messages with their own limit (`pr_*_ratelimited`: those
    // of SELinux about a policy that it rejects, those of lockdown) can still be missing.
    knob::Knob::open("/proc/sys/kernel/printk_ratelimit")?.set("0")
}
