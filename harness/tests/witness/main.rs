//! The audit daemon of a guest system as a witness: the records that auditd wrote, as
//! `ausearch --raw` returns them, are those that perfsec's agent observed, field by field, in the
//! same order, with nothing lost or added.
//!
//! Needs QEMU, the guest system `PERFSEC_TEST_GUEST` (built if it is not in the cache) and the
//! kernel `PERFSEC_TEST_KERNEL`, as for `perfsec run`.

mod auditd;
mod observed;

#[expect(dead_code, reason = "shared with tests that need no guest")]
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use auditd::Log;
use support::{Ended, Place};

/// Areas of the suite whose cells leave records under a distribution's policy.
const AREAS: [&str; 4] = ["event", "open", "order", "thread"];
/// A case with a real program: the others take longer and leave fewer records.
const PROGRAM: &str = "perf/stat-of-the-thread.toml";
/// Fewer would not show much.
const LEAST_RECORDS: usize = 1000;

/// A record without its type: `audit(TIME:SERIAL): TEXT`.
type Text = String;

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Copies a folder of case files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the suite is there").flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
    }
}

#[test]
#[ignore = "needs QEMU, PERFSEC_TEST_GUEST and PERFSEC_TEST_KERNEL: cargo xtask system"]
fn the_records_of_auditd_are_those_of_the_agent() {
    let place = Place::new();
    let suite = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/suite");
    let cases = place.path().join("cases");
    for area in AREAS {
        copy(&suite.join(area), &cases.join(area));
    }
    fs::create_dir_all(cases.join("perf")).expect("a directory");
    fs::copy(suite.join(PROGRAM), cases.join(PROGRAM)).expect("a copy");
    auditd::write_cases(&cases);
    let (guest, kernel) = (environment("PERFSEC_TEST_GUEST"), environment("PERFSEC_TEST_KERNEL"));
    let record = place.path().join("run.jsonl");
    let arguments = ["run", "--guest", &guest, "--kernel", &kernel, "--jobs", "1"];
    let mut command = place.command(&arguments);
    // The image is in the user's cache.
    command.env_remove("PERFSEC_CACHE_DIR").arg("--cases").arg(&cases).arg("--out").arg(&record);
    let ended = Ended::of(command.output().expect("perfsec starts"));
    let record = fs::read_to_string(&record).expect("a run record");
    let cells = observed::cells(&record);
    // A guest that is replaced takes its log with it.
    let boots: BTreeSet<_> = cells.iter().map(|cell| cell.boot).collect();
    assert_eq!(boots.len(), 1, "one guest: {}{}", ended.stdout, ended.stderr);

    let log = Log::read(&cells);
    let mut compared = 0;
    // Cells that expect a denial run last, and so after the log was printed.
    let before = cells.iter().take_while(|cell| !cell.is_part_of_log());
    for (index, cell) in before.enumerate() {
        let written = log.of(index, cell);
        let differs = std::iter::zip(&written, &cell.records).find(|(one, other)| one != other);
        if let Some((written, observed)) = differs {
            panic!("{}:\nauditd wrote   {written:?}\nagent observed {observed:?}", cell.name);
        }
        let (written, observed) = (written.len(), cell.records.len());
        assert_eq!(written, observed, "records of {} by auditd and by the agent", cell.name);
        compared += observed;
    }
    println!("{compared} records are the same");
    assert!(compared >= LEAST_RECORDS, "{compared} records");
}
