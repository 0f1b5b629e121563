//! Merges the records of the shards of a run, and of runs on several kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use perfsec_wire::BootMode;

use super::{LaneEnded, LaneRun, LaneStarted, Run, RunEnded, RunStarted, Selection};
use crate::config;
use crate::plan::{self, Filter, Shard};

/// Records do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Their runs differ in more than the shard and the kernels.
    #[error("merge {a} and {b}: {what} differs", a = .a.display(), b = .b.display())]
    Unlike {
        /// The first record.
        a: PathBuf,
        /// A record that differs from it.
        b: PathBuf,
        /// The difference.
        what: &'static str,
    },
    /// Two records have the same shard of the same kernel's cells.
    #[error(
        "merge {a} and {b}: both have {part} of Linux {release}",
        a = .a.display(), b = .b.display()
    )]
    Doubled {
        /// The first record.
        a: PathBuf,
        /// The second.
        b: PathBuf,
        /// The shard, or `all`.
        part: String,
        /// The kernel's release.
        release: String,
    },
    /// Shards are missing.
    #[error("merge the records of Linux {release}: no record of shard {missing}")]
    Missing {
        /// The kernel's release.
        release: String,
        /// The missing shards, separated by commas.
        missing: String,
    },
    /// No record was given.
    #[error("merge records: none given")]
    Nothing,
}

/// Several runs merged into one.
#[derive(Debug)]
pub struct MergedRun {
    /// The merged run.
    pub run: Run,
    /// Names of cells that ran in several parts, as controls, with different results.
    pub unstable: Vec<String>,
}

/// A lane of one part, with the shard of that part.
type LanePart = (Option<Shard>, LaneRun);

/// SHA-256 of a kernel and of a policy: parts with the same pair belong together.
type KernelAndPolicy = (String, String);

fn kernel_and_policy(lane: &LaneRun) -> KernelAndPolicy {
    (lane.started.kernel.identity().to_owned(), lane.started.policy_sha256.clone())
}

/// Merges the shards of one run, and runs on several kernels that are otherwise the same.
///
/// # Errors
///
/// If they do not belong together, or a shard is missing or given twice.
pub fn merge(runs: Vec<(PathBuf, Run)>) -> Result<MergedRun, MergeError> {
    let Some((first, of_first)) = runs.first() else { return Err(MergeError::Nothing) };
    for (path, run) in &runs {
        if let Some(what) = unlike(&of_first.started, &run.started) {
            return Err(MergeError::Unlike { a: first.clone(), b: path.clone(), what });
        }
    }
    require_every_shard(&runs)?;

    let mut started = of_first.started.clone();
    started.asked.filter.shard = None;
    started.command = config::command_line();
    started.configured = config::noted().to_vec();
    let earliest = runs.iter().map(|(_, run)| &run.started.started).min();
    started.started = earliest.cloned().unwrap_or_default();
    let ends: Option<Vec<RunEnded>> = runs.iter().map(|(_, run)| run.end.clone()).collect();
    let unseen: usize = runs.iter().map(|(_, run)| run.unseen()).sum();

    let mut joined: BTreeMap<(KernelAndPolicy, BootMode), Vec<LanePart>> = BTreeMap::new();
    let mut order = Vec::new();
    for (_, run) in runs {
        let shard = run.started.asked.filter.shard;
        for lane in run.lanes {
            let key = (kernel_and_policy(&lane), lane.started.boot);
            if !joined.contains_key(&key) {
                order.push(key.clone());
            }
            joined.entry(key).or_default().push((shard, lane));
        }
    }
    let mut merged = MergedRun { run: Run::new(started), unstable: Vec::new() };
    for (number, key) in order.into_iter().enumerate() {
        let parts = joined.remove(&key).unwrap_or_default();
        if let Some(lane) = join(number, parts, &mut merged.unstable) {
            merged.run.lanes.push(lane);
        }
    }
    merged.run.started.cells = merged.run.cells().count() + unseen;
    merged.run.end = ends.map(|ends| RunEnded {
        counts: merged.run.counts().iter().collect(),
        interrupted: ends.iter().any(|end| end.interrupted),
        millis: ends.iter().map(|end| end.millis).sum(),
    });
    Ok(merged)
}

/// The first difference between two runs that keeps them from being merged.
fn unlike(a: &RunStarted, b: &RunStarted) -> Option<&'static str> {
    let asked = |run: &RunStarted| Selection {
        filter: Filter { shard: None, ..run.asked.filter.clone() },
        cases_directory: None,
        completes: None,
        ..run.asked.clone()
    };
    let parts = |run: &RunStarted| run.asked.filter.shard.map(Shard::total);
    let pairs = [
        (a.perfsec == b.perfsec, "the version of perfsec"),
        (a.agent == b.agent, "the agent"),
        (a.asked.cases_sha256 == b.asked.cases_sha256, "the set of cases"),
        (asked(a) == asked(b), "the choice of cells"),
        (parts(a) == parts(b), "the number of shards"),
    ];
    pairs.into_iter().find(|(alike, _)| !alike).map(|(_, what)| what)
}

/// Requires every shard of every kernel's cells exactly once. A shard without cells has booted no
/// kernel, so it counts for all of them.
fn require_every_shard(runs: &[(PathBuf, Run)]) -> Result<(), MergeError> {
    let release: BTreeMap<KernelAndPolicy, &str> = (runs.iter().flat_map(|(_, run)| &run.lanes))
        .map(|lane| (kernel_and_policy(lane), lane.started.kernel.release.as_str()))
        .collect();
    for (key, release) in release {
        let mut seen: BTreeMap<Option<Shard>, &Path> = BTreeMap::new();
        for (path, run) in runs {
            if !run.lanes.is_empty() && !run.lanes.iter().any(|lane| kernel_and_policy(lane) == key)
            {
                continue;
            }
            let shard = run.started.asked.filter.shard;
            if let Some(before) = seen.insert(shard, path) {
                return Err(MergeError::Doubled {
                    a: before.to_owned(),
                    b: path.clone(),
                    part: shard.map_or("all".to_owned(), |shard| format!("shard {shard}")),
                    release: release.to_owned(),
                });
            }
        }
        let of = seen.keys().flatten().map(|shard| shard.total()).next();
        let there: BTreeSet<u32> = seen.keys().flatten().map(|shard| shard.number()).collect();
        let missing: Vec<String> = (1..=of.unwrap_or(0))
            .filter(|number| !there.contains(number))
            .map(|number| format!("{number}/{}", of.unwrap_or(0)))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(MergeError::Missing { release: release.to_owned(), missing });
        }
    }
    Ok(())
}

/// Joins the parts of a lane. A cell that also ran as another part's control is kept once, as its
/// own part saw it. Each part asked the policy for other answers, so all of these cells are kept.
fn join(number: usize, parts: Vec<LanePart>, unstable: &mut Vec<String>) -> Option<LaneRun> {
    let own = |shard: &Option<Shard>, case: &str| {
        plan::is_answers(case) || shard.is_none_or(|shard| shard.contains(case))
    };
    let owned: BTreeSet<String> = (parts.iter())
        .flat_map(|(shard, lane)| lane.cells.iter().filter(|cell| own(shard, &cell.case)))
        .map(|cell| cell.name.clone())
        .collect();
    let mut joined = LaneRun::new(LaneStarted { lane: number, ..parts.first()?.1.started.clone() });
    let whole = parts.iter().all(|(_, lane)| lane.end.is_some());
    let mut end = LaneEnded { lane: number, boots: 0, millis: 0, refused: None };
    let (mut seen, mut kept) = (BTreeMap::new(), BTreeSet::new());
    let mut boots = 0;
    for (shard, lane) in parts {
        let renumbered = |boot: usize| boots + boot;
        for cell in lane.cells {
            let judgement = &cell.judgement;
            let outcome = (judgement.verdict, judgement.observed.clone());
            let first = seen.entry(cell.name.clone()).or_insert_with(|| outcome.clone());
            if *first != outcome && !plan::is_answers(&cell.case) {
                unstable.push(cell.name.clone());
            }
            let own = own(&shard, &cell.case);
            if own || (!owned.contains(&cell.name) && kept.insert(cell.name.clone())) {
                let boot = renumbered(cell.boot);
                let place = joined.cells.len();
                let answers = lane.answers.iter().filter(|it| it.number == cell.number);
                joined.answers.extend(answers.map(|it| super::LaneAnswers {
                    lane: number,
                    boot,
                    number: place,
                    ..it.clone()
                }));
                joined.cells.push(super::CellResult { lane: number, boot, number: place, ..cell });
            }
        }
        let numbers = lane.ready.iter().map(|ready| ready.boot);
        let last = numbers.chain(lane.deaths.iter().map(|death| death.boot)).max();
        joined.ready.extend(lane.ready.into_iter().map(|ready| super::LaneReady {
            lane: number,
            boot: renumbered(ready.boot),
            ..ready
        }));
        joined.deaths.extend(lane.deaths.into_iter().map(|death| super::Death {
            lane: number,
            boot: renumbered(death.boot),
            ..death
        }));
        joined.coverage.extend(lane.coverage.into_iter().map(|coverage| super::BootCoverage {
            lane: number,
            boot: renumbered(coverage.boot),
            ..coverage
        }));
        if let Some(part) = lane.end {
            end.boots += part.boots;
            end.millis += part.millis;
            end.refused = end.refused.or(part.refused);
            boots += part.boots;
        } else {
            boots += last.map_or(0, |last| last + 1);
        }
    }
    joined.started.cells = joined.cells.len();
    joined.end = whole.then_some(end);
    Some(joined)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::judge::Verdict;
    use crate::record::LoadedRecord;

    /// The record of a real run: one lane on each of two kernels.
    fn whole() -> Run {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
        let LoadedRecord { run, cut } = crate::record::read(&path).unwrap();
        assert_eq!(cut, None);
        run
    }

    /// The run as it would have been as this shard, on the kernels of these lanes.
    fn part(shard: &str, lanes: &[usize]) -> (PathBuf, Run) {
        let mut run = whole();
        let shard: Shard = shard.parse().unwrap();
        run.started.asked.filter.shard = Some(shard);
        run.lanes.retain(|lane| lanes.contains(&lane.started.lane));
        for lane in &mut run.lanes {
            lane.cells.retain(|cell| shard.contains(&cell.case));
        }
        run.started.cells = run.cells().count();
        (PathBuf::from(format!("{shard}-{lanes:?}")), run)
    }

    fn names(run: &Run) -> BTreeSet<(String, String)> {
        let of_lane = |lane: &LaneRun| {
            let release = lane.started.kernel.release.clone();
            let names = lane.cells.iter().map(|cell| cell.name.clone());
            names.map(move |name| (release.clone(), name)).collect::<Vec<_>>()
        };
        run.lanes.iter().flat_map(of_lane).collect()
    }

    #[test]
    fn the_parts_of_a_run_make_the_run() {
        let parts = vec![part("2/2", &[1]), part("1/2", &[0, 1]), part("2/2", &[0])];
        let merged = merge(parts).unwrap();
        assert_eq!(names(&merged.run), names(&whole()));
        assert_eq!(merged.run.counts(), whole().counts());
        assert_eq!(merged.run.lanes.len(), whole().lanes.len());
        assert!(merged.run.end.is_some() && merged.unstable.is_empty());
        assert_eq!(merged.run.unseen(), 0);
    }

    #[test]
    fn the_events_of_a_merged_run_are_a_record() {
        let merged = merge(vec![part("1/2", &[0, 1]), part("2/2", &[0, 1])]).unwrap();
        let again = Run::of(merged.run.events()).unwrap();
        assert_eq!(names(&again), names(&merged.run));
    }

    #[test]
    fn a_control_of_another_part_is_kept_once_and_as_its_own_part_saw_it() {
        let (path, mut other) = part("1/2", &[0]);
        let own = part("2/2", &[0]);
        let mut control = own.1.lanes[0].cells[0].clone();
        control.judgement.verdict = Verdict::Miss;
        let name = control.name.clone();
        other.lanes[0].cells.push(control);
        let merged = merge(vec![(path, other), own]).unwrap();
        let kept: Vec<_> = merged.run.cells().filter(|cell| cell.name == name).collect();
        assert_eq!(kept.len(), 1);
        assert_ne!(kept[0].judgement.verdict, Verdict::Miss);
        assert_eq!(merged.unstable, [name]);
    }

    #[test]
    fn a_truncated_part_leaves_the_run_without_an_end() {
        let (path, mut cut) = part("1/2", &[0]);
        cut.end = None;
        cut.lanes[0].end = None;
        cut.lanes[0].cells.pop();
        let merged = merge(vec![(path, cut), part("2/2", &[0])]).unwrap();
        assert!(merged.run.end.is_none());
        assert_eq!(merged.run.unseen(), 1);
    }

    #[rstest]
    #[case::missing(vec![part("1/3", &[0]), part("3/3", &[0])], "no record of shard 2/3")]
    #[case::missing_of_one(vec![part("1/2", &[0, 1]), part("2/2", &[0])], "no record of shard 2/2")]
    #[case::doubled(vec![part("1/2", &[0]), part("1/2", &[0])], "both have shard 1/2")]
    #[case::split_otherwise(vec![part("1/2", &[0]), part("2/3", &[0])], "number of shards differs")]
    #[case::none(vec![], "none given")]
    fn parts_that_do_not_make_a_whole_are_refused(
        #[case] runs: Vec<(PathBuf, Run)>,
        #[case] words: &str,
    ) {
        let error = merge(runs).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    fn filter(run: &mut Run, name: &str) {
        run.started.asked.filter.names.push(name.to_owned());
    }

    #[rstest]
    #[case("the set of cases", |run: &mut Run| run.started.asked.cases_sha256 = "0".to_owned())]
    #[case("the agent", |run: &mut Run| run.started.agent = "0".to_owned())]
    #[case("the choice of cells", |run: &mut Run| filter(run, "open"))]
    fn runs_that_differ_in_more_than_the_shard_are_refused(
        #[case] words: &str,
        #[case] change: fn(&mut Run),
    ) {
        let (path, mut other) = part("2/2", &[0]);
        change(&mut other);
        let error = merge(vec![part("1/2", &[0]), (path, other)]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
