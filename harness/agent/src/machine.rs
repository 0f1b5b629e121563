//! The kernel under test, made ready for cells, and everything that stays open between them.

use std::collections::HashMap;

use nix::libc;
use nix::time::{ClockId, clock_gettime};
use perf_event_open_sys::bindings::perf_event_attr;
use perfsec_wire::{Cell, Facts, Refusal};

use crate::audit::Audit;
use crate::children::Children;
use crate::executables::Executables;
use crate::kmsg::Kmsg;
use crate::report::Report;
use crate::selinux::{self, Selinux};
use crate::sysctl::Sysctls;
use crate::trace::Trace;
use crate::undo::Undo;
use crate::{error, knob, sys};

/// What cells need. Fields are dropped in this order: the files of the trace are closed before `undo` removes
/// its instance.
pub(crate) struct Machine {
    pub(crate) audit: Audit,
    pub(crate) trace: Trace,
    pub(crate) kmsg: Kmsg,
    pub(crate) selinux: Selinux,
    pub(crate) sysctls: Sysctls,
    pub(crate) executables: Executables,
    pub(crate) children: Children,
    pub(crate) report: Report,
    /// `CATEGORY:NAME` and the number in tracefs.
    pub(crate) tracepoint_numbers: HashMap<String, u64>,
    /// The `lost` counter when it was last read.
    pub(crate) lost: u32,
    _undo: Undo,
}

/// Milliseconds since boot, as `/proc/uptime` has them.
pub(crate) fn uptime_ms() -> u32 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(0, |time| {
        let (seconds, nanos) = (time.tv_sec() as u64, time.tv_nsec() as u64);
        u32::try_from(seconds * 1000 + nanos / 1_000_000).unwrap_or(u32::MAX)
    })
}

/// `uname -r`.
pub(crate) fn release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| String::new(), |names| names.release().to_string_lossy().into_owned())
}

impl Machine {
    /// Sets everything up and reads it back.
    ///
    /// # Errors
    ///
    /// The reason why no cell can run here.
    pub(crate) fn new(
        cells: &[Cell],
        coverage: bool,
        policy: Option<&[u8]>,
        mut undo: Undo,
        started_ms: u32,
    ) -> Result<(Self, Facts), Refusal> {
        let setup = error::Error::refusal;
        let lsm = selinux::modules()?;
        perf_exists()?;
        let no_audit = |error: error::Error| Refusal::NoAudit { detail: error.to_string() };
        let mut audit = Audit::open(undo.wanted()).map_err(no_audit)?;
        let mut kmsg = Kmsg::open().map_err(setup)?;
        expedite(&mut undo).map_err(setup)?;
        let sysctls = Sysctls::new(cells, &mut undo);
        let boot_values = sysctls.boot_values();
        let policy_messages = match policy {
            Some(policy) => selinux::load(policy, &mut kmsg)?,
            None => Vec::new(),
        };
        let selinux = Selinux::open(&mut undo).map_err(setup)?;
        audit.register().map_err(no_audit)?;
        let trace = Trace::new(&mut undo, coverage).map_err(setup)?;
        let executables = Executables::new().map_err(setup)?;
        let children = Children::new().map_err(setup)?;
        let report = Report::new().map_err(setup)?;

        // What was queued since boot is of no cell; it has arrived when these marks have.
        let (begin, end) =
            (audit.mark("boot").map_err(setup)?, audit.mark("ready").map_err(setup)?);
        audit.between(&begin, &end).map_err(setup)?;
        let audit_facts = audit.facts().map_err(setup)?;
        let pid = std::process::id();
        if (audit_facts.enabled, audit_facts.pid, audit_facts.rate_limit) != (1, pid, 0) {
            return Err(Refusal::NoAudit { detail: format!("it reads {audit_facts:?}") });
        }
        let selinux_facts = selinux.facts().map_err(setup)?;
        let facts = Facts {
            release: release(),
            version: knob::read("/proc/version").unwrap_or_default(),
            cmdline: knob::read("/proc/cmdline").unwrap_or_default(),
            lsm,
            selinux: selinux_facts,
            audit: audit_facts,
            sysctls: boot_values,
            caps_unseen: trace.caps.as_ref().err().cloned(),
            caps_means: trace.caps.clone().unwrap_or_default(),
            policy_messages,
            uptime_ms: (started_ms, uptime_ms()),
        };
        let tracepoint_numbers = HashMap::new();
        let lost = audit_facts.lost;
        let machine = Self {
            audit,
            trace,
            kmsg,
            selinux,
            sysctls,
            executables,
            children,
            report,
            tracepoint_numbers,
            lost,
            _undo: undo,
        };
        Ok((machine, facts))
    }
}

/// Whether the kernel has perf events: the sysctl appears with them (`kernel/events/core.c`).
fn perf_exists() -> Result<(), Refusal> {
    let attr = perf_event_attr::default();
    let answer = sys::perf_event_open(&attr, 0, -1, -1);
    let sysctl = std::path::Path::new("/proc/sys/kernel/perf_event_paranoid").exists();
    if answer == -i64::from(libc::ENOSYS) || !sysctl { Err(Refusal::NoPerf) } else { Ok(()) }
}

/// Settings that cost or hide something otherwise.
fn expedite(undo: &mut Undo) -> error::Result<()> {
    // An AVC flush ends in synchronize_net() (`sel_netif_avc_callback()`), which without this waits
    // for whole RCU grace periods in every cell.
    let expedited = "/sys/kernel/rcu_expedited";
    undo.file(expedited);
    // Absent on a kernel with tiny RCU, where there is nothing to wait for.
    let _ = knob::write(expedited, "1");
    // The rate limit applies to audit_log_lost() and to what SELinux says of a policy.
    let ratelimit = "/proc/sys/kernel/printk_ratelimit";
    undo.file(ratelimit);
    knob::Knob::open(ratelimit)?.set("0")
}
