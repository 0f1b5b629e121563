//! Sysctls: written for a cell, restored before the next.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::knob::{self, Knob};

/// Sysctls that results depend on, for the facts.
const WATCHED: [&str; 12] = [
    "fs.suid_dumpable",
    "kernel.kptr_restrict",
    "kernel.nmi_watchdog",
    "kernel.perf_cpu_time_max_percent",
    "kernel.perf_event_max_sample_rate",
    "kernel.perf_event_max_stack",
    "kernel.perf_event_mlock_kb",
    "kernel.perf_event_paranoid",
    "kernel.printk_ratelimit",
    "kernel.randomize_va_space",
    "kernel.unprivileged_bpf_disabled",
    "kernel.yama.ptrace_scope",
];

/// The sysctls that cells wrote.
#[derive(Default)]
pub(crate) struct Sysctls {
    known: BTreeMap<String, Sysctl>,
}

struct Sysctl {
    knob: Knob,
    /// Boot value.
    boot: String,
    /// The last cell wrote it.
    changed: bool,
}

impl Sysctls {
    /// Restores what the previous cell wrote and writes the values that this one needs.
    pub(crate) fn apply(&mut self, wanted: &[(String, String)]) -> Result<()> {
        for (name, sysctl) in &mut self.known {
            if sysctl.changed && !wanted.iter().any(|(other, _)| other == name) {
                sysctl.knob.set(&sysctl.boot)?;
                sysctl.changed = false;
            }
        }
        for (name, value) in wanted {
            let sysctl = match self.known.entry(name.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Sysctl::open(name)?),
            };
            sysctl.changed = true;
            if !sysctl.knob.holds(value)? {
                sysctl.knob.set(value)?;
            }
        }
        Ok(())
    }
}

impl Sysctl {
    /// Opens a sysctl that no cell has written, so its value is that of the boot.
    fn open(name: &str) -> Result<Self> {
        let opened = Knob::open(path(name)).and_then(|knob| Ok((knob.read()?, knob)));
        let (boot, knob) = opened.map_err(|_| {
            Error::new(format_args!("set {name}"), "this kernel has no such sysctl")
        })?;
        Ok(Self { knob, boot, changed: false })
    }
}

/// The values of the watched sysctls.
pub(crate) fn watched() -> Vec<(String, String)> {
    let value = |name: &&str| Some(((*name).to_owned(), knob::read(path(name)).ok()?));
    WATCHED.iter().filter_map(value).collect()
}

/// `kernel.perf_event_paranoid` as a path. A name cannot lead out of `/proc/sys`: its dots become
/// slashes.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace("/", "-").replace('.', "/"))
}
