//! Runs that another check need not repeat: the same cells on the same kernel by the same perfsec.
//!
//! A check that was killed goes on from here: its kernels are in the cache of builds, and its runs
//! in this one.

use std::path::PathBuf;
use std::sync::Arc;

use perfsec_wire::BootMode;
use serde::{Deserialize, Serialize};

use super::{Engine, RecordedRun, Suite};
use crate::cache::{Cache, CacheError, Room};
use crate::judge::Verdict;
use crate::kernel::hash;
use crate::plan::PlannedCell;
use crate::policy::Policy;
use crate::record::{self, Run};

/// Kept runs that were made under the same conditions.
#[derive(Clone, Debug)]
pub struct KeptRuns {
    cache: Cache,
    /// Everything besides the kernel that decides how a run ends.
    conditions: Vec<String>,
}

/// A kept run: its record, which may be anywhere, and the record's SHA-256.
#[derive(Serialize, Deserialize)]
struct Entry {
    record: PathBuf,
    sha256: String,
}

impl KeptRuns {
    /// Runs of these cells under these policies with this engine.
    #[must_use]
    pub fn of(
        engine: &Engine<'_>,
        suite: &Suite,
        policies: &[Arc<Policy>],
        cells: &[PlannedCell],
    ) -> Self {
        let mut kept = Self::of_perfsec(engine.cache().clone());
        kept.add(&suite.library.sha256());
        kept.add(&hash::sha256(perfsec_cases::known().as_bytes()));
        let names: Vec<String> = cells.iter().map(PlannedCell::name).collect();
        kept.add(&names.join("\n"));
        policies.iter().for_each(|it| kept.add(&format!("{} {}", it.name, it.sha256)));
        kept.add(&engine.pool().describe(BootMode::default()).machine);
        let setup = engine.setup();
        kept.add(&format!("{:?} {:?} {}", setup.machine, setup.distribution, setup.retries));
        kept
    }

    /// Runs by this perfsec.
    fn of_perfsec(cache: Cache) -> Self {
        let mut kept = Self { cache, conditions: vec![env!("CARGO_PKG_VERSION").to_owned()] };
        kept.add(&hash::sha256(crate::AGENT));
        kept.add(&hash::sha256(crate::SUBJECT));
        kept.add(&record::FORMAT.to_string());
        kept
    }

    /// Adds a condition.
    pub fn add(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    /// The kept run of a kernel, if there is one.
    #[must_use]
    pub fn find(&self, kernel: &str) -> Option<RecordedRun> {
        let Entry { record, sha256 } = self.cache.read_json(Room::SERIES, &self.name(kernel))?;
        // A record that was changed or deleted since does not count.
        let same = hash::sha256_path(&record).is_ok_and(|found| found == sha256);
        let run = same.then(|| record::read(&record).ok()).flatten()?.run;
        Some(RecordedRun { run, record, sha256 })
    }

    /// Keeps the run of a kernel if every cell ran. Returns true if it did.
    ///
    /// # Errors
    ///
    /// Returns an error if the cache cannot be written.
    pub fn keep(&self, kernel: &str, recorded: &RecordedRun) -> Result<bool, CacheError> {
        if !is_whole(&recorded.run) {
            return Ok(false);
        }
        let RecordedRun { record, sha256, .. } = recorded;
        let entry = Entry { record: record.clone(), sha256: sha256.clone() };
        self.cache.publish_json(Room::SERIES, &self.name(kernel), &entry)?;
        Ok(true)
    }

    /// SHA-256 of the conditions and the kernel, in hexadecimal.
    #[must_use]
    pub fn key(&self, kernel: &str) -> String {
        let all = self.conditions.iter().map(|it| format!("{} {it}\n", it.len()));
        let text: String = all.chain([kernel.to_owned()]).collect();
        hash::sha256(text.as_bytes())
    }

    fn name(&self, kernel: &str) -> String {
        format!("{}.json", self.key(kernel))
    }
}

/// True if every cell ran. A cell with ERROR counts: most often it can never run, because its
/// control fails. A kernel that did not come up may do so the next time.
fn is_whole(run: &Run) -> bool {
    run.end.as_ref().is_some_and(|end| !end.interrupted)
        && run.unseen() == 0
        && run.counts().get(Verdict::Miss) == 0
        && run.lanes.iter().all(|lane| !lane.ready.is_empty() && lane.refused().is_none())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;
    use crate::record::LaneRefusal;

    /// An empty cache, and the record of a run in which every cell ran.
    fn fixture() -> (TempDir, KeptRuns, RecordedRun) {
        let directory = TempDir::new().unwrap();
        let cache = Cache::at(&directory.path().join("cache")).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/different.jsonl");
        let record = directory.path().join("run.jsonl");
        std::fs::copy(from, &record).unwrap();
        let run = record::read(&record).unwrap().run;
        let sha256 = hash::sha256_path(&record).unwrap();
        (directory, KeptRuns::of_perfsec(cache), RecordedRun { run, record, sha256 })
    }

    #[test]
    fn a_run_is_found_again_under_the_same_conditions_only() {
        let (_directory, kept, recorded) = fixture();
        assert!(kept.find("image").is_none());
        kept.keep("image", &recorded).unwrap();
        assert_eq!(kept.find("image").unwrap().sha256, recorded.sha256);
        assert!(kept.find("other").is_none());
        let mut other = kept.clone();
        other.add("panic=1");
        assert!(other.find("image").is_none());
    }

    #[test]
    fn a_record_that_was_changed_or_deleted_does_not_count() {
        let (_directory, kept, recorded) = fixture();
        kept.keep("image", &recorded).unwrap();
        std::fs::write(&recorded.record, "{}").unwrap();
        assert!(kept.find("image").is_none());
        std::fs::remove_file(&recorded.record).unwrap();
        assert!(kept.find("image").is_none());
    }

    #[test]
    fn a_damaged_entry_does_not_count() {
        let (_directory, kept, recorded) = fixture();
        let keep = || assert!(kept.keep("image", &recorded).unwrap());
        let is_found = || kept.find("image").is_some();
        spoil::is_never_believed(&kept.cache, Room::SERIES, keep, is_found);
    }

    #[rstest]
    #[case::whole(|_: &mut Run| {}, true)]
    #[case::cut(|run: &mut Run| run.end = None, false)]
    #[case::interrupted(|run: &mut Run| run.end.as_mut().unwrap().interrupted = true, false)]
    #[case::unseen(|run: &mut Run| run.started.cells += 1, false)]
    #[case::missed(|run: &mut Run| run.lanes[0].cells[0].judgement.verdict = Verdict::Miss, false)]
    #[case::never_ready(|run: &mut Run| run.lanes[0].ready.clear(), false)]
    #[case::refused(|run: &mut Run| run.lanes[0].end.as_mut().unwrap().refused = refused(), false)]
    #[case::error(|run: &mut Run| run.lanes[0].cells[0].judgement.verdict = Verdict::Error, true)]
    fn only_a_run_in_which_every_cell_ran_is_kept(
        #[case] change: fn(&mut Run),
        #[case] is_kept: bool,
    ) {
        let (_directory, kept, mut recorded) = fixture();
        change(&mut recorded.run);
        assert_eq!(kept.keep("image", &recorded).unwrap(), is_kept);
        assert_eq!(kept.find("image").is_some(), is_kept);
    }

    fn refused() -> Option<LaneRefusal> {
        Some(LaneRefusal { reason: "no SELinux".to_owned(), console: String::new() })
    }
}
