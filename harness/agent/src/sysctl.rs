//! Sysctls: written for a cell, restored before the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perfsec_wire::Cell;

use crate::error::{Error, Result};
use crate::knob::{self, Knob};

/// Sysctls that results depend on even if no cell names them.
const WATCHED: [&str; 7] = [
    "kernel.kptr_restrict",
    "kernel.perf_event_max_sample_rate",
    "kernel.perf_event_max_stack",
    "kernel.perf_event_mlock_kb",
    "kernel.perf_event_paranoid",
    "kernel.printk_ratelimit",
    "kernel.unprivileged_bpf_disabled",
];

/// Every sysctl that a cell may write.
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
    /// Reads the boot values of all sysctls that the cells name. A missing one is an error of the
    /// cell that names it, not of the lane.
    pub(crate) fn new(cells: &[Cell]) -> Self {
        let mut known = BTreeMap::new();
        for (name, _) in cells.iter().flat_map(|cell| &cell.sysctls) {
            if known.contains_key(name) {
                continue;
            }
            if let Ok(knob) = Knob::open(path(name))
                && let Ok(boot) = knob.read()
            {
                known.insert(name.clone(), Sysctl { knob, boot, changed: false });
            }
        }
        Self { known }
    }

    /// Boot values, for the facts.
    pub(crate) fn boot_values(&self) -> Vec<(String, String)> {
        let mut values: BTreeMap<_, _> =
            self.known.iter().map(|(name, sysctl)| (name.clone(), sysctl.boot.clone())).collect();
        for name in WATCHED {
            if let Ok(value) = knob::read(path(name)) {
                values.entry(name.to_owned()).or_insert(value);
            }
        }
        values.into_iter().collect()
    }

    /// Restores what the previous cell wrote and writes the values that this one needs.
    pub(crate) fn apply(&mut self, wanted: &[(String, String)]) -> Result<()> {
        for (name, sysctl) in &mut self.known {
            if sysctl.changed && !wanted.iter().any(|(other, _)| other == name) {
                sysctl.knob.set(&sysctl.boot)?;
                sysctl.changed = false;
            }
        }
        for (name, value) in wanted {
            let sysctl = self.known.get_mut(name).ok_or_else(|| {
                Error::new(format_args!("set {name}"), "this kernel has no such sysctl")
            })?;
            sysctl.changed = true;
            sysctl.knob.set(value)?;
        }
        Ok(())
    }
}

/// `kernel.perf_event_paranoid` as a path. A name cannot lead out of `/proc/sys`: its dots become
/// slashes.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace("/", "-").replace('.', "/"))
}
