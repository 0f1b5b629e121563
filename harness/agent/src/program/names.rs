//! Names for the numbers in a program's events.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use perfsec_wire::program::{ProgramCall, ProgramRequest};

use crate::knob;
use crate::trace::tracefs;

/// `PERF_TYPE_TRACEPOINT`
const TRACEPOINT: u32 = 2;
/// `PERF_TYPE_MAX`: larger types are those of PMUs that were registered.
const STATIC_TYPES: u32 = 6;

/// Names of numbers that were looked up.
#[derive(Debug, Default)]
pub(super) struct EventNames {
    tracepoints: HashMap<u64, String>,
}

/// Numbers with their names.
type Named<N> = Vec<(N, String)>;

impl EventNames {
    /// The names of the tracepoints and of the PMUs in these calls.
    pub(super) fn of(&mut self, calls: &[ProgramCall]) -> (Named<u64>, Named<u32>) {
        let (mut tracepoints, mut pmus) = (BTreeSet::new(), BTreeSet::new());
        for call in calls {
            let ProgramRequest::Open { attr: Some(attr), .. } = &call.request else { continue };
            match attr[0] as u32 {
                TRACEPOINT => drop(tracepoints.insert(attr[1])),
                kind if kind >= STATIC_TYPES => drop(pmus.insert(kind)),
                _ => {}
            }
        }
        if tracepoints.iter().any(|number| !self.tracepoints.contains_key(number)) {
            self.read();
        }
        let name = |number| Some((number, self.tracepoints.get(&number)?.clone()));
        let tracepoints = tracepoints.into_iter().filter_map(name).collect();
        (tracepoints, if pmus.is_empty() { Vec::new() } else { self::pmus(&pmus) })
    }

    /// Reads the numbers of all tracepoints.
    fn read(&mut self) {
        let root = tracefs().join("events");
        for group in folders(&root) {
            for event in folders(&root.join(&group)) {
                let id = knob::read(root.join(&group).join(&event).join("id"));
                if let Some(number) = id.ok().and_then(|id| id.parse().ok()) {
                    self.tracepoints.insert(number, format!("{group}:{event}"));
                }
            }
        }
    }
}

fn pmus(wanted: &BTreeSet<u32>) -> Named<u32> {
    let root = Path::new("/sys/bus/event_source/devices");
    let mut found = Vec::new();
    for name in folders(root) {
        let number = knob::read(root.join(&name).join("type"));
        let number = number.ok().and_then(|number| number.parse().ok());
        found.extend(number.filter(|number| wanted.contains(number)).map(|number| (number, name)));
    }
    found.sort();
    found
}

/// Names of the directories in a directory.
fn folders(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().is_dir());
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
