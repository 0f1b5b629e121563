//! Bisections of small repositories, in which a file stands for the kernel of a commit.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use tempfile::TempDir;

use super::search::GitBisect;
use super::*;
use crate::cache::Cache;
use crate::engine::{Batch, EngineError, Lab, RecordedRun};
use crate::interrupt::Interrupt;
use crate::judge::Verdict;
use crate::kbuild::{BuildError, BuildFailure, BuiltKernel};
use crate::kernel::{Kernel, hash};
use crate::plan::Filter;
use crate::record::{Event, LaneRefusal, Run};
use crate::source::{Commit, GitError, Source};

/// The file. Its first line has a letter for each cell, or a word.
const STATE: &str = "state";

/// The number of cells that a kernel runs.
pub(super) const CELLS: usize = 3;

/// A user's repository, and a cache.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        fs::create_dir(place.repository()).unwrap();
        place.git(&["init", "--quiet", "--initial-branch=master", "."]);
        place
    }

    /// A linear history with a commit for each state.
    fn with(states: &[&str]) -> (Self, Vec<Commit>) {
        let place = Self::new();
        let commits = states.iter().enumerate();
        let commits = commits.map(|(at, state)| place.commit(&format!("c{at}"), state)).collect();
        (place, commits)
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("linux")
    }

    fn git(&self, words: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann Example", "-c", "user.email=ann@example.org"])
            .args(words)
            .current_dir(self.repository())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// A commit in this state, with an image of its own.
    fn commit(&self, subject: &str, state: &str) -> Commit {
        self.commit_with_image(subject, &format!("{state}\n{subject}\n"))
    }

    /// A commit with this text in the file; commits with the same text have the same image.
    fn commit_with_image(&self, subject: &str, text: &str) -> Commit {
        fs::write(self.repository().join(STATE), text).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    fn source(&self) -> Source {
        self.interrupted_by(&Interrupt::default())
    }

    fn interrupted_by(&self, interrupt: &Interrupt) -> Source {
        let cache = Cache::at(&self.dir.path().join("cache")).unwrap();
        Source::open(&self.repository(), "linux", &cache, interrupt, &|_| {}).unwrap()
    }

    fn search(&self, good: &Commit, bad: &Commit) -> (Result<Bisection, BisectError>, Script) {
        let source = self.source();
        search(&source, good, bad, &Interrupt::default())
    }
}

fn search(
    source: &Source,
    good: &Commit,
    bad: &Commit,
    interrupt: &Interrupt,
) -> (Result<Bisection, BisectError>, Script) {
    let script =
        Script { runs: Vec::new(), said: RefCell::default(), interrupt: interrupt.clone() };
    let mut lab = Scripted { source, script };
    let revision = |named: &str, commit: &Commit| Revision {
        named: named.to_owned(),
        words: CommitInfo::of(source, commit).unwrap(),
    };
    let all = Filter::default();
    let found = bisect(&mut lab, source, &all, revision("v6.1", good), revision("master", bad));
    assert_eq!(left_of_bisect(source.directory()), Vec::<String>::new());
    (found, lab.script)
}

/// Files and refs of `git bisect` in a repository.
fn left_of_bisect(repository: &Path) -> Vec<String> {
    let inside = repository.join(".git");
    let files = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap().file_name());
    let files = files.map(|name| name.into_string().unwrap());
    let mut left: Vec<_> = files.filter(|name| name.starts_with("BISECT")).collect();
    if let Ok(refs) = fs::read_dir(inside.join("refs/bisect")) {
        left.extend(refs.map(|entry| entry.unwrap().file_name().into_string().unwrap()));
    }
    left
}

/// The requests to the lab.
struct Script {
    /// The subject of each commit that ran, and with how many cells.
    runs: Vec<(String, usize)>,
    said: RefCell<Vec<String>>,
    interrupt: Interrupt,
}

struct Scripted<'a> {
    source: &'a Source,
    script: Script,
}

/// Three cells of a real run.
pub(super) fn fixture() -> Run {
    let text = include_str!("../../tests/report/run.jsonl");
    let mut run =
        Run::of(text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap())).unwrap();
    run.lanes.truncate(1);
    run.lanes[0].deaths.clear();
    run.lanes[0].cells.retain(|cell| cell.case == "open/cpu");
    run.lanes[0].cells.truncate(CELLS);
    run.started.cells = CELLS;
    run
}

/// A run in which each cell sees what its letter stands for.
pub(super) fn run_of(letters: &str) -> Run {
    let mut run = fixture();
    for (cell, letter) in run.lanes[0].cells.iter_mut().zip(letters.chars()) {
        let (returned, verdict) = match letter {
            'a' => ("fd", Verdict::Pass),
            'b' => ("EACCES", Verdict::Fail),
            'c' => ("EPERM", Verdict::Pass),
            'd' => ("EPERM", Verdict::Fail),
            'e' => ("EACCES", Verdict::Pass),
            'x' => ("fd", Verdict::Error),
            'f' => ("EACCES", Verdict::Flaky),
            other => panic!("{other}"),
        };
        cell.judgement.verdict = verdict;
        cell.judgement.reason = match verdict {
            Verdict::Error => Some("audit lost records".to_owned()),
            Verdict::Flaky => Some("2 attempts differ: FAIL, PASS".to_owned()),
            _ => None,
        };
        cell.judgement.observed =
            [format!("perf_event_open(software/dummy, pid=0, cpu=-1) = {returned}")]
                .into_iter()
                .collect();
    }
    run
}

pub(super) fn names() -> Vec<String> {
    fixture().lanes[0].cells.iter().map(|cell| cell.name.clone()).collect()
}

impl Scripted<'_> {
    fn state(&self, commit: &Commit) -> String {
        self.source.file(commit, STATE).unwrap().unwrap()
    }
}

impl Lab for Scripted<'_> {
    fn build(&mut self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError> {
        let (state, log) = (self.state(commit), PathBuf::from("log"));
        match state.lines().next().unwrap() {
            "nobuild" => {
                let subject = source.subject(commit).unwrap();
                let (commit, places) = (commit.clone(), Vec::new());
                let failure = BuildFailure { commit, subject, first: None, places, log };
                Err(BuildError::Failed(Box::new(failure)))
            }
            "host" => Err(BuildError::Full(PathBuf::new())),
            "interrupt" => {
                self.script.interrupt.raise();
                Err(BuildError::Interrupted(commit.clone()))
            }
            _ => {
                let kernel = fixture().lanes[0].started.kernel.clone();
                let banner = format!("{}\n{state}", source.subject(commit).unwrap());
                let mut image = kernel.image.clone().unwrap();
                image.sha256 = hash::sha256(state.as_bytes());
                let kernel = Kernel { image: Some(image), banner, ..kernel };
                Ok(BuiltKernel { kernel, warnings: BTreeSet::new(), log })
            }
        }
    }

    fn run(&mut self, kernels: &[Kernel], batch: &Batch) -> Result<RecordedRun, EngineError> {
        let mut lines = kernels[0].banner.lines();
        let (subject, state) = (lines.next().unwrap(), lines.next().unwrap());
        let mut run = run_of(if state == "noboot" { "" } else { state });
        let lane = &mut run.lanes[0];
        if state == "noboot" {
            lane.cells.clear();
            let refused = LaneRefusal { reason: "it hangs".to_owned(), console: String::new() };
            lane.end.as_mut().unwrap().refused = Some(refused);
        }
        let only = &batch.filter.names;
        lane.cells.retain(|cell| only.is_empty() || only.contains(&cell.name));
        self.script.runs.push((subject.to_owned(), lane.cells.len()));
        Ok(recorded(run, &format!("{subject}.jsonl")))
    }

    fn say(&self, _text: &str) {}

    fn note(&self, text: &str) {
        self.script.said.borrow_mut().push(text.to_owned());
    }

    fn stopped(&self) -> bool {
        self.script.interrupt.is_raised()
    }
}

pub(super) fn recorded(run: Run, record: &str) -> RecordedRun {
    RecordedRun { run, record: PathBuf::from(record), sha256: String::new() }
}

#[track_caller]
fn first(found: Result<Bisection, BisectError>) -> (String, Bisection) {
    let outcome = found.unwrap();
    match &outcome.found {
        Culprit::First { commit, .. } => (commit.subject.clone(), outcome),
        Culprit::Skipped { .. } => panic!("{:?}", outcome.found),
    }
}

#[test]
fn the_first_bad_commit_is_found_with_the_cells_that_differ_only() {
    let (place, commits) =
        Place::with(&["aaa", "aaa", "aaa", "aaa", "aaa", "aab", "aab", "aab", "aab"]);
    let (found, script) = place.search(&commits[0], &commits[8]);
    let (subject, outcome) = first(found);
    assert_eq!(subject, "c5");
    assert_eq!((outcome.commits, outcome.steps.len(), outcome.skipped()), (8, 3, 0));
    assert_eq!(outcome.cells, [names()[2].clone()]);
    assert_eq!(outcome.introduced(), commits[5].as_str());
    assert_eq!(outcome.across.a.from, format!("{} (\"c4\")", commits[4].short()));
    assert_eq!(outcome.across.different(), 1);
    assert_eq!(script.runs[..2], [("c0".to_owned(), CELLS), ("c8".to_owned(), CELLS)]);
    assert!(script.runs[2..].iter().all(|(_, cells)| *cells == 1), "{:?}", script.runs);
    // The parent was tested on the way.
    assert_eq!(script.runs.len(), 5);
    assert!(outcome.log.contains("# first bad commit: ["), "{}", outcome.log);
    let said = script.said.into_inner();
    let step = format!("bisecting: about 3 steps left; {} (c4)", commits[4].short());
    assert!(said.contains(&step), "{said:?}");
    assert!(
        said.contains(&format!("good: {}: 1 of 1 cell as at the good end", commits[4].short()))
    );
    let text = text(&outcome).plain();
    assert!(text.starts_with(&format!("{} is the first bad commit\n", commits[5])), "{text}");
    assert!(text.contains("v6.1: "), "{text}");
}

#[test]
fn the_users_repository_is_untouched() {
    let (place, commits) = Place::with(&["aaa", "aaa", "aab"]);
    fs::write(place.repository().join(STATE), "changed").unwrap();
    let before = place.git(&["status", "--porcelain=v2", "--branch"]);
    first(place.search(&commits[0], &commits[2]).0);
    assert_eq!(place.git(&["status", "--porcelain=v2", "--branch"]), before);
    assert_eq!(left_of_bisect(&place.repository()), Vec::<String>::new());
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1);
}

#[rstest]
#[case("nobuild", "does not build: make printed no error; the log is log")]
#[case("noboot", "cannot be tested: it hangs")]
fn a_commit_that_does_not_build_or_boot_is_skipped(#[case] state: &str, #[case] why: &str) {
    let states = ["aaa", "aaa", "aab", "aab", state, "aab", "aab", "aab", "aab"];
    let (place, commits) = Place::with(&states);
    let (subject, outcome) = first(place.search(&commits[0], &commits[8]).0);
    assert_eq!((subject.as_str(), outcome.skipped()), ("c2", 1));
    let step = &outcome.steps[0];
    assert_eq!(
        (step.commit.subject.as_str(), step.mark, step.why.as_str()),
        ("c4", BisectMark::Skip, why)
    );
}

#[test]
fn skipped_commits_leave_a_range() {
    let (place, commits) = Place::with(&["aaa", "aaa", "nobuild", "xxx", "aab", "aab"]);
    let outcome = place.search(&commits[0], &commits[5]).0.unwrap();
    let Culprit::Skipped { commits: left } = &outcome.found else { panic!("{:?}", outcome.found) };
    let left: Vec<_> = left.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(left, ["c4", "c3", "c2"]);
    assert_eq!(outcome.introduced(), format!("{}..{}", commits[0], commits[4]));
    assert!(outcome.steps.iter().any(|step| step.why.contains("ERROR: audit lost records")));
    assert!(text(&outcome).plain().contains("only skipped commits are left"));
}

#[test]
fn the_same_image_runs_once() {
    let place = Place::new();
    let commits: Vec<_> = ["aaa", "aaa", "aaa", "aab", "aab", "aab"]
        .iter()
        .enumerate()
        .map(|(at, state)| place.commit_with_image(&format!("c{at}"), &format!("{state}\n")))
        .collect();
    let (found, script) = place.search(&commits[0], &commits[5]);
    let (subject, outcome) = first(found);
    assert_eq!(subject, "c3");
    assert_eq!(script.runs.len(), 2, "{:?}", script.runs);
    let same = format!("; the same image as that of {}", commits[0].short());
    assert!(outcome.steps.iter().any(|step| step.why.ends_with(&same)), "{:?}", outcome.steps);
}

#[rstest]
#[case::nothing_differs("aaa", "aaa", "3 cells saw the same at both ends")]
#[case::only_the_verdict_differs("aae", "aab", "1 cell saw the same, and only the verdict differs")]
#[case::not_judged("aaa", "aax", "ERROR on B: audit lost records")]
fn ends_that_do_not_differ_are_refused(#[case] good: &str, #[case] bad: &str, #[case] said: &str) {
    let (place, commits) = Place::with(&[good, "aaa", bad]);
    let (found, script) = place.search(&commits[0], &commits[2]);
    let Err(error @ BisectError::Same(_)) = found else { panic!("{found:?}") };
    assert!(error.to_string().contains(said), "{error}");
    assert_eq!(script.runs.len(), 2);
}

#[test]
fn ends_that_are_one_image_are_refused() {
    let place = Place::new();
    let commits = ["c0", "c1"].map(|subject| place.commit_with_image(subject, "aaa\n"));
    let found = place.search(&commits[0], &commits[1]).0;
    assert!(matches!(found, Err(BisectError::Same(_))), "{found:?}");
}

#[rstest]
#[case("nobuild", "aab", "cannot prove that the good end is good")]
#[case("aaa", "nobuild", "cannot prove that the bad end is bad")]
#[case("noboot", "aab", "the good end, ")]
#[case("aaa", "noboot", "is bad: it hangs")]
#[case("xxx", "aab", "is good: ERROR: audit lost records")]
fn an_end_that_cannot_be_tested_is_an_error(
    #[case] good: &str,
    #[case] bad: &str,
    #[case] said: &str,
) {
    let (place, commits) = Place::with(&[good, "aaa", bad]);
    let Err(error) = place.search(&commits[0], &commits[2]).0 else { panic!() };
    let expected = matches!(error, BisectError::Build { .. } | BisectError::Boot { .. });
    assert!(expected && format!("cannot {error}").contains(said), "{error}");
}

#[rstest]
#[case::interrupt("interrupt")]
#[case::host("host")]
fn a_bisection_that_is_stopped_leaves_nothing_behind(#[case] stop: &str) {
    let (place, commits) = Place::with(&["aaa", "aaa", stop, "aab", "aab"]);
    let interrupt = Interrupt::default();
    {
        let source = place.interrupted_by(&interrupt);
        let found = search(&source, &commits[0], &commits[4], &interrupt).0;
        assert!(matches!(found, Err(BisectError::Engine(_))), "{found:?}");
    }
}

#[test]
fn an_interrupt_of_git_is_an_interrupt() {
    let (place, commits) = Place::with(&["aaa", "aab"]);
    let interrupt = Interrupt::default();
    let source = place.interrupted_by(&interrupt);
    interrupt.raise();
    let Err(error) = GitBisect::begin(&source, &commits[0], &commits[1]) else { panic!() };
    assert!(
        matches!(
            error,
            BisectError::Source(crate::source::SourceError::Git(GitError::Interrupted))
        ),
        "{error}"
    );
}

#[test]
fn a_bisection_starts_over_after_one_that_was_killed() {
    let (place, commits) = Place::with(&["aaa", "aaa", "aab", "aab"]);
    let directory = {
        let source = place.source();
        let search = GitBisect::begin(&source, &commits[0], &commits[3]).unwrap();
        assert!(!left_of_bisect(source.directory()).is_empty());
        std::mem::forget(search);
        source.directory().to_owned()
    };
    assert!(!left_of_bisect(&directory).is_empty());
    let (subject, _) = first(place.search(&commits[0], &commits[3]).0);
    assert_eq!(subject, "c2");
}

#[rstest]
#[case::as_good("aaa", BisectMark::Good, "2 of 2 cells as at the good end")]
#[case::as_bad("abb", BisectMark::Bad, "2 of 2 cells as at the bad end")]
#[case::one_is_bad("aab", BisectMark::Bad, "1 of 2 cells as at the bad end, 1 as at the good end")]
#[case::one_is_bad_whatever_the_other(
    "acb",
    BisectMark::Bad,
    "1 of 2 cells as at the bad end, 1 as at neither"
)]
#[case::neither("acc", BisectMark::Good, "2 of 2 cells as at neither")]
#[case::neither_and_failing(
    "aad",
    BisectMark::Bad,
    "1 of 2 cells as at the good end, 1 as at neither, and failing"
)]
#[case::one_not_judged("aax", BisectMark::Good, "1 of 2 cells as at the good end, 1 not judged")]
#[case::none_judged("axx", BisectMark::Skip, "2 of 2 cells not judged: ERROR: audit lost records")]
#[case::one_is_flaky("aaf", BisectMark::Good, "1 of 2 cells as at the good end, 1 not judged")]
#[case::all_are_flaky(
    "aff",
    BisectMark::Skip,
    "2 of 2 cells not judged: FLAKY: 2 attempts differ: FAIL, PASS"
)]
fn a_commit_is_marked_by_what_its_cells_see(
    #[case] at: &str,
    #[case] mark: BisectMark,
    #[case] why: &str,
) {
    let ran = |letters: &str| std::rc::Rc::new(recorded(run_of(letters), "record"));
    let ends = ends::Ends::of(ran("aaa"), ran("abb")).unwrap();
    let (got, said) = ends.judge(&run_of(at)).unwrap();
    assert_eq!((got, said.as_str()), (mark, why));
}

#[test]
fn a_flaky_end_is_no_end() {
    let ran = |letters: &str| std::rc::Rc::new(recorded(run_of(letters), "record"));
    let Err(error) = ends::Ends::of(ran("aaa"), ran("aff")) else { panic!("nothing differs") };
    let text = error.to_string();
    assert!(text.contains("1 cell saw the same at both ends; 2 cells FLAKY at one end"), "{text}");
}

#[test]
fn ends_that_are_not_a_range_are_refused_before_anything_is_built() {
    let (place, commits) = Place::with(&["aaa", "aab"]);
    place.git(&["checkout", "--quiet", "--orphan", "other"]);
    let apart = place.commit("alone", "aab");
    let error = |good: &Commit, bad: &Commit| {
        let (found, script) = place.search(good, bad);
        assert!(script.runs.is_empty());
        match found {
            Err(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(error(&commits[0], &commits[0]).contains("the same commit"));
    assert!(error(&commits[1], &commits[0]).contains("name the older one --good"));
    assert!(error(&commits[0], &apart).contains("no commit in common"));
}

/// A branch whose second commit is in `state`, and its merge, in `merged` if that differs.
fn merged(state: &str, merged: Option<&str>) -> (Place, [Commit; 3]) {
    let place = Place::new();
    let good = place.commit("good", "aaa");
    place.git(&["checkout", "--quiet", "-b", "side"]);
    place.commit("side 1", "aaa");
    place.commit("side 2", state);
    place.git(&["checkout", "--quiet", "master"]);
    fs::write(place.repository().join("other"), "").unwrap();
    place.git(&["add", "."]);
    place.git(&["commit", "--quiet", "-m", "main 1"]);
    let main = place.git(&["rev-parse", "HEAD"]).parse().unwrap();
    place.git(&["merge", "--quiet", "--no-commit", "side"]);
    if let Some(state) = merged {
        fs::write(place.repository().join(STATE), format!("{state}\nmerge\n")).unwrap();
    }
    place.git(&["add", "."]);
    place.git(&["commit", "--quiet", "-m", "merge"]);
    let merge = place.git(&["rev-parse", "HEAD"]).parse().unwrap();
    (place, [good, main, merge])
}

#[test]
fn a_bad_commit_on_a_branch_that_was_merged_is_found() {
    let (place, [good, main, merge]) = merged("aab", None);
    for start in [good, main] {
        let (subject, outcome) = first(place.search(&start, &merge).0);
        assert_eq!((subject.as_str(), outcome.notes.len()), ("side 2", 0));
    }
}

#[test]
fn a_merge_that_is_bad_itself_is_reported_as_a_merge() {
    let (place, [good, _, merge]) = merged("aaa", Some("aab"));
    let (subject, outcome) = first(place.search(&good, &merge).0);
    assert_eq!(subject, "merge");
    assert!(outcome.notes[0].starts_with("it is a merge of 2 commits"), "{:?}", outcome.notes);
}

#[test]
fn a_good_end_that_was_fixed_on_its_own_branch_is_an_error() {
    let place = Place::new();
    place.commit("start", "aaa");
    let base = place.commit("base", "aab");
    place.git(&["checkout", "--quiet", "-b", "stable"]);
    let good = place.commit("mended", "aaa");
    place.git(&["checkout", "--quiet", "master"]);
    let bad = place.commit("bad", "aab");
    let Err(BisectError::BadBase(found)) = place.search(&good, &bad).0 else { panic!() };
    assert_eq!(found.commit, base);
}
