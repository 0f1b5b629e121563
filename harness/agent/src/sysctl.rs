//! Sysctls: written for a cell, put back before the next.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perfsec_wire::Cell;

use crate::error::{Error, Result};
use crate::knob::{self, Knob};
use crate::undo::Undo;

/// Those that results depend on, whether a cell names them or not.
const WATCHED: [&str; 7] = [
    "kernel.kptr_restrict",
    "kernel.perf_event_max_sample_rate",
    "kernel.perf_event_max_stack",
    "kernel.perf_event_mlock_kb",
    "kernel.perf_event_paranoid",
    "kernel.printk_ratelimit",
    "kernel.unprivileged_bpf_disabled",
];

/// Every sysctl that a cell may write, with its boot value.
pub(crate) struct Sysctls {
    known: BTreeMap<String, Known>,
}

struct Known {
    knob: Knob,
    boot: String,
    /// The last cell wrote it.
    changed: bool,
}

impl Sysctls {
    /// Reads the boot values of all that the cells name. One that does not exist is an error of the
    /// cell that names it, not of the lane.
    pub(crate) fn new(cells: &[Cell], undo: &mut Undo) -> Self {
        let mut known = BTreeMap::new();
        for (name, _) in cells.iter().flat_map(|cell| &cell.sysctls) {
            if known.contains_key(name) {
                continue;
            }
            if let Ok(knob) = Knob::open(path(name))
                && let Ok(boot) = knob.read()
            {
                undo.write(path(name), &boot);
                known.insert(name.clone(), Known { knob, boot, changed: false });
            }
        }
        Self { known }
    }

    /// Boot values, for the facts.
    pub(crate) fn boot_values(&self) -> Vec<(String, String)> {
        let mut values: BTreeMap<_, _> =
            self.known.iter().map(|(name, known)| (name.clone(), known.boot.clone())).collect();
        for name in WATCHED {
            if let Ok(value) = knob::read(path(name)) {
                values.entry(name.to_owned()).or_insert(value);
            }
        }
        values.into_iter().collect()
    }

    /// Puts back what the cell before wrote and writes what this one wants.
    pub(crate) fn apply(&mut self, wanted: &[(String, String)]) -> Result<()> {
        for (name, known) in &mut self.known {
            if known.changed && !wanted.iter().any(|(other, _)| other == name) {
                known.knob.set(&known.boot)?;
                known.changed = false;
            }
        }
        for (name, value) in wanted {
            let known = self.known.get_mut(name).ok_or_else(|| {
                Error::new(format_args!("set {name}"), "this kernel has no such sysctl")
            })?;
            known.changed = true;
            known.knob.set(value)?;
        }
        Ok(())
    }
}

/// `kernel.perf_event_paranoid` as a path. A name cannot leave `/proc/sys`: its dots become slashes.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace("/", "-").replace('.', "/"))
}
