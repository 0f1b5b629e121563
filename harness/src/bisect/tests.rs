//! Searches in small repositories, in which a file says what a commit's kernel would be like.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rstest::rstest;
use tempfile::TempDir;

use super::search::Search;
use super::*;
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::judge::Verdict;
use crate::kbuild::{BuildError, Failure};
use crate::kernel::{Kernel, hash};
use crate::record::{Event, LaneRefusal, Run};
use crate::source::{Commit, GitError, Source};

/// The file; its first line has a letter for each cell, or a word.
const STATE: &str = "state";

/// How many cells a kernel runs.
const CELLS: usize = 3;

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

    /// One commit for each state, one after the other.
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

    /// A commit in this state; its image is that of no other.
    fn commit(&self, subject: &str, state: &str) -> Commit {
        self.commit_alike(subject, &format!("{state}\n{subject}\n"))
    }

    /// The same, with the image of every other commit of which the file has this text.
    fn commit_alike(&self, subject: &str, text: &str) -> Commit {
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

    fn search(&self, good: &Commit, bad: &Commit) -> (Result<Outcome, Stop>, Script) {
        let source = self.source();
        search(&source, good, bad, &Interrupt::default())
    }
}

fn search(
    source: &Source,
    good: &Commit,
    bad: &Commit,
    interrupt: &Interrupt,
) -> (Result<Outcome, Stop>, Script) {
    let script =
        Script { runs: Vec::new(), said: RefCell::default(), interrupt: interrupt.clone() };
    let mut lab = Scripted { source, script };
    let revision = |named: &str, commit: &Commit| Revision {
        named: named.to_owned(),
        words: CommitWords::of(source, commit).unwrap(),
    };
    let found = bisect(&mut lab, source, revision("v6.1", good), revision("master", bad));
    assert_eq!(left_of_bisect(source.directory()), Vec::<String>::new());
    (found, lab.script)
}

/// Whatever `git bisect` left in a repository.
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

/// What a search stops with.
#[derive(Debug)]
enum Stop {
    Bisect(BisectError),
    Lab,
}

impl From<BisectError> for Stop {
    fn from(error: BisectError) -> Self {
        Self::Bisect(error)
    }
}

/// What was asked of the lab.
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
fn fixture() -> Run {
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

/// What cells see, a letter each.
fn run_of(letters: &str) -> Run {
    let mut run = fixture();
    for (cell, letter) in run.lanes[0].cells.iter_mut().zip(letters.chars()) {
        let (returned, verdict) = match letter {
            'a' => ("fd", Verdict::Pass),
            'b' => ("EACCES", Verdict::Fail),
            'c' => ("EPERM", Verdict::Pass),
            'd' => ("EPERM", Verdict::Fail),
            'e' => ("EACCES", Verdict::Pass),
            'x' => ("fd", Verdict::Error),
            other => panic!("{other}"),
        };
        cell.judgement.verdict = verdict;
        cell.judgement.reason =
            (verdict == Verdict::Error).then(|| "audit lost records".to_owned());
        cell.judgement.observed =
            vec![format!("perf_event_open(software/dummy, pid=0, cpu=-1) = {returned}")];
    }
    run
}

fn names() -> Vec<String> {
    fixture().lanes[0].cells.iter().map(|cell| cell.name.clone()).collect()
}

impl Scripted<'_> {
    fn state(&self, commit: &Commit) -> String {
        self.source.file(commit, STATE).unwrap().unwrap()
    }
}

impl Lab for Scripted<'_> {
    type Error = Stop;

    fn build(&mut self, commit: &Commit) -> Result<Result<Kernel, BuildError>, Stop> {
        let state = self.state(commit);
        match state.lines().next().unwrap() {
            "nobuild" => {
                let subject = self.source.subject(commit).unwrap();
                let log = PathBuf::from("log");
                let failure = Failure { commit: commit.clone(), subject, first: None, log };
                Ok(Err(BuildError::Failed(Box::new(failure))))
            }
            "host" => Err(Stop::Lab),
            "interrupt" => {
                self.script.interrupt.raise();
                Err(Stop::Lab)
            }
            _ => {
                let kernel = fixture().lanes[0].started.kernel.clone();
                let banner = format!("{}\n{state}", self.source.subject(commit).unwrap());
                let sha256 = hash::of_bytes(state.as_bytes());
                Ok(Ok(Kernel { sha256, banner, ..kernel }))
            }
        }
    }

    fn run(&mut self, kernel: &Kernel, only: Option<&BTreeSet<String>>) -> Result<Ran, Stop> {
        let mut lines = kernel.banner.lines();
        let (subject, state) = (lines.next().unwrap(), lines.next().unwrap());
        let mut run = run_of(if state == "noboot" { "" } else { state });
        let lane = &mut run.lanes[0];
        if state == "noboot" {
            lane.cells.clear();
            let refused = LaneRefusal { reason: "it hangs".to_owned(), console: String::new() };
            lane.end.as_mut().unwrap().refused = Some(refused);
        }
        lane.cells.retain(|cell| only.is_none_or(|only| only.contains(&cell.name)));
        self.script.runs.push((subject.to_owned(), lane.cells.len()));
        Ok(Ran { run, record: PathBuf::from(format!("{subject}.jsonl")) })
    }

    fn say(&self, text: &str) {
        self.script.said.borrow_mut().push(text.to_owned());
    }
}

#[track_caller]
fn first(found: Result<Outcome, Stop>) -> (String, Outcome) {
    let outcome = found.unwrap();
    match &outcome.found {
        Found::First { commit, .. } => (commit.subject.clone(), outcome),
        Found::Skipped { .. } => panic!("{:?}", outcome.found),
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
    // The parent was looked at on the way.
    assert_eq!(script.runs.len(), 5);
    assert!(outcome.log.contains("# first bad commit: ["), "{}", outcome.log);
    let said = script.said.into_inner();
    let step = format!("bisecting: about 3 steps left; {} (c4)", commits[4].short());
    assert!(said.contains(&step), "{said:?}");
    assert!(
        said.contains(&format!("good: {}: 1 of 1 cell as at the good end", commits[4].short()))
    );
    let text = anstream::adapter::strip_str(&text(&outcome)).to_string();
    assert!(text.starts_with(&format!("{} is the first bad commit\n", commits[5])), "{text}");
    assert!(text.contains("v6.1: "), "{text}");
}

#[test]
fn nothing_of_the_users_is_touched() {
    let (place, commits) = Place::with(&["aaa", "aaa", "aab"]);
    fs::write(place.repository().join(STATE), "changed").unwrap();
    let before = place.git(&["status", "--porcelain=v2", "--branch"]);
    first(place.search(&commits[0], &commits[2]).0);
    assert_eq!(place.git(&["status", "--porcelain=v2", "--branch"]), before);
    assert_eq!(left_of_bisect(&place.repository()), Vec::<String>::new());
    assert_eq!(place.git(&["worktree", "list"]).lines().count(), 1);
}

#[rstest]
#[case("nobuild", "does not build: make says no more; the log is log")]
#[case("noboot", "cannot be tested: it hangs")]
fn a_commit_that_does_not_build_or_boot_is_skipped(#[case] state: &str, #[case] why: &str) {
    let states = ["aaa", "aaa", "aab", "aab", state, "aab", "aab", "aab", "aab"];
    let (place, commits) = Place::with(&states);
    let (subject, outcome) = first(place.search(&commits[0], &commits[8]).0);
    assert_eq!((subject.as_str(), outcome.skipped()), ("c2", 1));
    let step = &outcome.steps[0];
    assert_eq!(
        (step.commit.subject.as_str(), step.mark, step.why.as_str()),
        ("c4", Mark::Skip, why)
    );
}

#[test]
fn what_is_left_when_it_cannot_be_told_is_a_range() {
    let (place, commits) = Place::with(&["aaa", "aaa", "nobuild", "xxx", "aab", "aab"]);
    let outcome = place.search(&commits[0], &commits[5]).0.unwrap();
    let Found::Skipped { commits: left } = &outcome.found else { panic!("{:?}", outcome.found) };
    let left: Vec<_> = left.iter().map(|commit| commit.subject.as_str()).collect();
    assert_eq!(left, ["c4", "c3", "c2"]);
    assert_eq!(outcome.introduced(), format!("{}..{}", commits[0], commits[4]));
    assert!(outcome.steps.iter().any(|step| step.why.contains("ERROR: audit lost records")));
    assert!(text(&outcome).contains("only skipped commits are left"));
}

#[test]
fn the_same_image_runs_once() {
    let place = Place::new();
    let commits: Vec<_> = ["aaa", "aaa", "aaa", "aab", "aab", "aab"]
        .iter()
        .enumerate()
        .map(|(at, state)| place.commit_alike(&format!("c{at}"), &format!("{state}\n")))
        .collect();
    let (found, script) = place.search(&commits[0], &commits[5]);
    let (subject, outcome) = first(found);
    assert_eq!(subject, "c3");
    assert_eq!(script.runs.len(), 2, "{:?}", script.runs);
    let same = format!("; the same image as that of {}", commits[0].short());
    assert!(outcome.steps.iter().any(|step| step.why.ends_with(&same)), "{:?}", outcome.steps);
}

#[rstest]
#[case::the_same_is_seen("aaa", "aaa", "the same is seen at both ends in 3 cells")]
#[case::only_the_verdict_differs("aae", "aab", "and in 1 cell that only one is to see it in")]
#[case::not_judged("aaa", "aax", "ERROR on B: audit lost records")]
fn ends_that_do_not_differ_are_refused(#[case] good: &str, #[case] bad: &str, #[case] said: &str) {
    let (place, commits) = Place::with(&[good, "aaa", bad]);
    let (found, script) = place.search(&commits[0], &commits[2]);
    let Err(Stop::Bisect(error @ BisectError::Same(_))) = found else { panic!("{found:?}") };
    assert!(error.to_string().contains(said), "{error}");
    assert_eq!(script.runs.len(), 2);
}

#[test]
fn ends_that_are_one_image_are_refused() {
    let place = Place::new();
    let commits = ["c0", "c1"].map(|subject| place.commit_alike(subject, "aaa\n"));
    let found = place.search(&commits[0], &commits[1]).0;
    assert!(matches!(found, Err(Stop::Bisect(BisectError::Same(_)))), "{found:?}");
}

#[rstest]
#[case("nobuild", "aab", "cannot prove that the good end is good")]
#[case("aaa", "nobuild", "cannot prove that the bad end is bad")]
#[case("noboot", "aab", "the good end, ")]
#[case("aaa", "noboot", "is bad: it hangs")]
#[case("xxx", "aab", "is good: ERROR: audit lost records")]
fn an_end_that_cannot_be_tested_is_told(#[case] good: &str, #[case] bad: &str, #[case] said: &str) {
    let (place, commits) = Place::with(&[good, "aaa", bad]);
    let Err(Stop::Bisect(error)) = place.search(&commits[0], &commits[2]).0 else { panic!() };
    let told = matches!(error, BisectError::Build { .. } | BisectError::Boot { .. });
    assert!(told && format!("cannot {error}").contains(said), "{error}");
}

#[rstest]
#[case::interrupt("interrupt")]
#[case::host("host")]
fn a_search_that_is_stopped_leaves_nothing_behind(#[case] stop: &str) {
    let (place, commits) = Place::with(&["aaa", "aaa", stop, "aab", "aab"]);
    let interrupt = Interrupt::default();
    {
        let source = place.interrupted_by(&interrupt);
        let found = search(&source, &commits[0], &commits[4], &interrupt).0;
        assert!(matches!(found, Err(Stop::Lab)), "{found:?}");
    }
}

#[test]
fn an_interrupt_of_git_itself_is_one() {
    let (place, commits) = Place::with(&["aaa", "aab"]);
    let interrupt = Interrupt::default();
    let source = place.interrupted_by(&interrupt);
    interrupt.raise();
    let Err(error) = Search::begin(&source, &commits[0], &commits[1]) else { panic!() };
    assert!(
        matches!(
            error,
            BisectError::Source(crate::source::SourceError::Git(GitError::Interrupted))
        ),
        "{error}"
    );
}

#[test]
fn what_a_killed_search_left_is_no_hindrance() {
    let (place, commits) = Place::with(&["aaa", "aaa", "aab", "aab"]);
    let directory = {
        let source = place.source();
        let search = Search::begin(&source, &commits[0], &commits[3]).unwrap();
        assert!(!left_of_bisect(source.directory()).is_empty());
        std::mem::forget(search);
        source.directory().to_owned()
    };
    assert!(!left_of_bisect(&directory).is_empty());
    let (subject, _) = first(place.search(&commits[0], &commits[3]).0);
    assert_eq!(subject, "c2");
}

#[rstest]
#[case::as_good("aaa", Mark::Good, "2 of 2 cells as at the good end")]
#[case::as_bad("abb", Mark::Bad, "2 of 2 cells as at the bad end")]
#[case::one_is_bad("aab", Mark::Bad, "1 of 2 cells as at the bad end, 1 as at the good end")]
#[case::one_is_bad_whatever_the_other(
    "acb",
    Mark::Bad,
    "1 of 2 cells as at the bad end, 1 as at neither"
)]
#[case::neither("acc", Mark::Good, "2 of 2 cells as at neither")]
#[case::neither_and_failing(
    "aad",
    Mark::Bad,
    "1 of 2 cells as at the good end, 1 as at neither, and failing"
)]
#[case::one_not_judged("aax", Mark::Good, "1 of 2 cells as at the good end, 1 not judged")]
#[case::none_judged("axx", Mark::Skip, "2 of 2 cells not judged: ERROR: audit lost records")]
fn a_commit_is_what_its_cells_look_like(#[case] at: &str, #[case] mark: Mark, #[case] why: &str) {
    let ran = |letters: &str| {
        std::rc::Rc::new(Ran { run: run_of(letters), record: PathBuf::from("record") })
    };
    let ends = ends::Ends::of(ran("aaa"), ran("abb")).unwrap();
    let (got, said) = ends.judge(&run_of(at)).unwrap();
    assert_eq!((got, said.as_str()), (mark, why));
}

#[test]
fn ends_that_are_no_range_are_told_before_anything_is_built() {
    let (place, commits) = Place::with(&["aaa", "aab"]);
    place.git(&["checkout", "--quiet", "--orphan", "other"]);
    let apart = place.commit("alone", "aab");
    let error = |good: &Commit, bad: &Commit| {
        let (found, script) = place.search(good, bad);
        assert!(script.runs.is_empty());
        match found {
            Err(Stop::Bisect(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(error(&commits[0], &commits[0]).contains("the same commit"));
    assert!(error(&commits[1], &commits[0]).contains("name the older one --good"));
    assert!(error(&commits[0], &apart).contains("no commit in common"));
}

/// A branch of which the second commit is in `state`, and its merge, in `merged` if that is otherwise.
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
fn a_merge_that_is_bad_itself_is_told_as_one() {
    let (place, [good, _, merge]) = merged("aaa", Some("aab"));
    let (subject, outcome) = first(place.search(&good, &merge).0);
    assert_eq!(subject, "merge");
    assert!(outcome.notes[0].starts_with("it is a merge of 2 commits"), "{:?}", outcome.notes);
}

#[test]
fn a_good_end_that_was_mended_on_its_own_branch_is_told() {
    let place = Place::new();
    place.commit("start", "aaa");
    let base = place.commit("base", "aab");
    place.git(&["checkout", "--quiet", "-b", "stable"]);
    let good = place.commit("mended", "aaa");
    place.git(&["checkout", "--quiet", "master"]);
    let bad = place.commit("bad", "aab");
    let Err(Stop::Bisect(BisectError::BadBase(told))) = place.search(&good, &bad).0 else {
        panic!()
    };
    assert_eq!(told.commit, base);
}
