//! Runs that another check need not do again: of the same kernel, with the same cells, by the same perfsec.
//!
//! This is how a check that was killed goes on: its kernels are in the cache of builds, and its runs here.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::run::Recorded;
use crate::cache::{Cache, CacheError};
use crate::judge::Verdict;
use crate::kernel::hash;
use crate::record::{self, Run};

/// The room of the cache in which they are named.
const ROOM: &str = "series";

/// What decides how a run ends, beside the kernel.
#[derive(Clone, Debug, Default)]
pub struct Terms(Vec<String>);

#[derive(Serialize, Deserialize)]
struct Entry {
    record: PathBuf,
    sha256: String,
}

impl Terms {
    /// Of this perfsec.
    #[must_use]
    pub fn of_perfsec() -> Self {
        let programs = [crate::AGENT, crate::SUBJECT].map(hash::of_bytes);
        let mut terms = Self(vec![env!("CARGO_PKG_VERSION").to_owned()]);
        programs.iter().for_each(|program| terms.add(program));
        terms.add(&record::FORMAT.to_string());
        terms
    }

    /// One more.
    pub fn add(&mut self, term: &str) {
        self.0.push(term.to_owned());
    }

    /// The run of the kernel with this image, if there is one.
    #[must_use]
    pub fn find(&self, image: &str, cache: &Cache) -> Option<Recorded> {
        let text = std::fs::read(cache.path(ROOM, &self.name(image))).ok()?;
        let Entry { record, sha256 } = serde_json::from_slice(&text).ok()?;
        // A record that was changed since, or deleted, is none.
        let same = hash::of_path(&record).is_ok_and(|found| found == sha256);
        let run = same.then(|| record::read(&record).ok()).flatten()?.run;
        Some(Recorded { run, record, sha256 })
    }

    /// Keeps a run of the kernel with this image if every cell ran; whether it did.
    ///
    /// # Errors
    ///
    /// When the cache cannot be written to.
    pub fn keep(
        &self,
        image: &str,
        recorded: &Recorded,
        cache: &Cache,
    ) -> Result<bool, CacheError> {
        if !is_whole(&recorded.run) {
            return Ok(false);
        }
        let Recorded { record, sha256, .. } = recorded;
        let entry = Entry { record: record.clone(), sha256: sha256.clone() };
        let name = self.name(image);
        let text = serde_json::to_vec(&entry)
            .map_err(|error| cache.error("write", &cache.path(ROOM, &name), error.into()))?;
        cache.publish_bytes(ROOM, &name, &text)?;
        Ok(true)
    }

    fn name(&self, image: &str) -> String {
        let all = self.0.iter().map(|term| format!("{} {term}\n", term.len()));
        let text: String = all.chain([image.to_owned()]).collect();
        format!("{}.json", hash::of_bytes(text.as_bytes()))
    }
}

/// Whether every cell ran. One that could not be carried out most often never can be, for want of its
/// control; a kernel that did not come up for its cells may do so another time.
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
    use crate::record::LaneRefusal;

    /// A place with a cache and the record of a run in which all is well.
    fn place() -> (TempDir, Cache, Recorded) {
        let directory = TempDir::new().unwrap();
        let cache = Cache::at(&directory.path().join("cache")).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/different.jsonl");
        let record = directory.path().join("run.jsonl");
        std::fs::copy(from, &record).unwrap();
        let run = record::read(&record).unwrap().run;
        let sha256 = hash::of_path(&record).unwrap();
        (directory, cache, Recorded { run, record, sha256 })
    }

    #[test]
    fn a_run_is_found_again_on_the_same_terms_only() {
        let (_directory, cache, recorded) = place();
        let terms = Terms::of_perfsec();
        assert!(terms.find("image", &cache).is_none());
        terms.keep("image", &recorded, &cache).unwrap();
        assert_eq!(terms.find("image", &cache).unwrap().sha256, recorded.sha256);
        assert!(terms.find("other", &cache).is_none());
        let mut other = terms.clone();
        other.add("panic=1");
        assert!(other.find("image", &cache).is_none());
    }

    #[test]
    fn a_record_that_was_changed_or_deleted_is_none() {
        let (_directory, cache, recorded) = place();
        let terms = Terms::of_perfsec();
        terms.keep("image", &recorded, &cache).unwrap();
        std::fs::write(&recorded.record, "{}").unwrap();
        assert!(terms.find("image", &cache).is_none());
        std::fs::remove_file(&recorded.record).unwrap();
        assert!(terms.find("image", &cache).is_none());
    }

    #[rstest]
    #[case::whole(|_: &mut Run| {}, true)]
    #[case::cut(|run: &mut Run| run.end = None, false)]
    #[case::interrupted(|run: &mut Run| run.end.as_mut().unwrap().interrupted = true, false)]
    #[case::unseen(|run: &mut Run| run.started.cells += 1, false)]
    #[case::missed(|run: &mut Run| run.lanes[0].cells[0].judgement.verdict = Verdict::Miss, false)]
    #[case::never_ready(|run: &mut Run| run.lanes[0].ready.clear(), false)]
    #[case::refused(|run: &mut Run| run.lanes[0].end.as_mut().unwrap().refused = refused(), false)]
    #[case::not_judged(|run: &mut Run| run.lanes[0].cells[0].judgement.verdict = Verdict::Error, true)]
    fn only_a_run_in_which_every_cell_ran_is_kept(
        #[case] change: fn(&mut Run),
        #[case] kept: bool,
    ) {
        let (_directory, cache, mut recorded) = place();
        change(&mut recorded.run);
        let terms = Terms::of_perfsec();
        assert_eq!(terms.keep("image", &recorded, &cache).unwrap(), kept);
        assert_eq!(terms.find("image", &cache).is_some(), kept);
    }

    fn refused() -> Option<LaneRefusal> {
        Some(LaneRefusal { reason: "no SELinux".to_owned(), console: String::new() })
    }
}
