//! A campaign on a small tree, with a lab that knows what each mutant does.

#[expect(dead_code, reason = "shared with tests of other things")]
#[path = "support/mod.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use perfsec::cache::Cache;
use perfsec::coverage::Points;
use perfsec::engine::{Batch, EngineError, Lab, RecordedRun};
use perfsec::interrupt::Interrupt;
use perfsec::judge::Verdict;
use perfsec::kbuild::{BuildError, BuildFailure, BuiltKernel, Diagnostic};
use perfsec::kernel::Kernel;
use perfsec::plan::Shard;
use perfsec::record::{self, CellResult, LaneRun};
use perfsec::selfcheck::mutants::{
    Campaign, CampaignError, Entry, Journal, MutantOutcome, Scope, Score, Selection, Survivors,
    progress, report,
};
use perfsec::source::{Commit, Source};
use perfsec::text::Text;
use perfsec_mutate::{REACHED, SURVEY};
use perfsec_wire::observation::{Effect as Seen, KernelMessage};
use support::{golden, place};
use tempfile::TempDir;
use tree::FakeTree;

/// The file that is mutated.
const CORE: &str = "\
static int level = 2;

int perf_open(struct attr *attr)
{
	int err;

	err = security_open(attr);
	if (err)
		return err;
	if (attr->kernel && level > 1 && !capable(CAP_PERFMON))
		return -EACCES;
	audit_log(attr->name);
	return 0;
}
";

const SCOPE: &str = "\
[[area]]
name = \"opening\"
cells = [\"open/cpu/none_t\"]

    [[area.code]]
    file = \"kernel/core.c\"
    functions = [\"perf_open\", \"perf_close\"]
    defaults = [\"level\"]
";

/// The effect of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Cells whose names begin like this fail.
    Fails(&'static str),
    /// The kernel dies.
    Dies,
    /// No cell fails.
    Nothing,
    /// No cell runs the code.
    Unreached,
    /// Built alone, it has the image of the unchanged source.
    SameImage,
    /// It does not compile.
    Breaks,
}

/// The effect of each mutant whose name begins like this; of others, that a cell of the area fails.
const EFFECTS: &[(&str, Effect)] = &[
    ("perf_open/skip-call/1", Effect::Nothing),
    ("perf_open/skip-call/2", Effect::Unreached),
    ("perf_open/swap-checks/", Effect::Fails("open/cpu/all_t")),
    ("perf_open/other-errno/1", Effect::Breaks),
    ("perf_open/boundary/2", Effect::SameImage),
    ("perf_open/ignore-result/", Effect::Dies),
];

fn effect(name: &str) -> Effect {
    let known = EFFECTS.iter().find(|(begin, _)| name.starts_with(begin));
    known.map_or(Effect::Fails("open/cpu/none_t"), |(_, effect)| *effect)
}

/// Looks up what a kernel does, and never compiles one.
#[derive(Default)]
struct FakeLab {
    /// Names of the switched mutants by number.
    numbers: BTreeMap<u32, String>,
    said: RefCell<Vec<String>>,
    built: usize,
    /// For each run: the number of kernels, and the names of cells.
    runs: Vec<(usize, Vec<String>)>,
    /// The user stops the campaign after this number of runs.
    patience: Option<usize>,
    /// Cells whose names begin like this fail on any kernel after others in the order of a campaign.
    unstable: Option<&'static str>,
}

impl FakeLab {
    /// The lines of a switched file on which a mutant is that does not compile.
    fn broken_lines(&self, text: &str) -> Vec<Diagnostic> {
        let breaks = |number: &u32| effect(&self.numbers[number]) == Effect::Breaks;
        let marks: Vec<_> = self
            .numbers
            .keys()
            .filter(|number| breaks(number))
            .map(|number| format!("PERFSEC_MUTANT({number})"))
            .collect();
        let broken =
            (1..).zip(text.lines()).filter(|(_, line)| marks.iter().any(|m| line.contains(m)));
        let place = |(line, _)| Diagnostic {
            file: Some("kernel/core.c".to_owned()),
            line: Some(line),
            message: "'EACCESS' undeclared".to_owned(),
        };
        broken.map(place).collect()
    }

    /// The name of the mutant that a kernel has.
    fn name(&self, kernel: &Kernel) -> Option<String> {
        let number = kernel.parameters.iter().find_map(|it| it.strip_prefix("perfsec_mutant="));
        match number {
            Some(number) if number == SURVEY.to_string() => None,
            Some(number) => Some(self.numbers[&number.parse().expect("a number")].clone()),
            None => Some(kernel.release.clone()),
        }
    }

    /// Adds the messages of a survey to a cell: it reaches all mutants that have an effect on it.
    fn tell(&self, cell: &mut CellResult) {
        let observation = cell.observation.as_mut().expect("it passed");
        for (number, name) in &self.numbers {
            let reaches = match effect(name) {
                Effect::Fails(begin) => cell.name.starts_with(begin),
                Effect::Unreached => false,
                Effect::Dies | Effect::Nothing | Effect::SameImage | Effect::Breaks => true,
            };
            if reaches {
                let text = format!("{REACHED}{number}");
                observation.outside.push(Seen::Message(KernelMessage { level: 7, text }));
            }
        }
    }

    fn lane(&self, number: usize, kernel: &Kernel, names: &[String]) -> LaneRun {
        let path = place("run.jsonl");
        let mut lane = record::read(&path).expect("a record").run.lanes.remove(0);
        lane.started.kernel = kernel.clone();
        lane.started.lane = number;
        lane.deaths.clear();
        lane.cells.retain(|cell| {
            let named = names.iter().any(|name| cell.name.starts_with(name.as_str()));
            cell.judgement.verdict == Verdict::Pass && (names.is_empty() || named)
        });
        match self.name(kernel).as_deref().map(effect) {
            Some(Effect::Fails(begin)) => {
                for cell in &mut lane.cells {
                    if cell.name.starts_with(begin) {
                        cell.judgement.verdict = Verdict::Fail;
                        cell.judgement.observed = ["perf_event_open() = 0"].into_iter().collect();
                    }
                }
            }
            Some(Effect::Dies) => {
                lane.cells.clear();
                let refused = record::LaneRefusal {
                    reason: "the kernel did not come up: kernel panic".to_owned(),
                    console: String::new(),
                };
                lane.end.as_mut().expect("an end").refused = Some(refused);
            }
            Some(Effect::Nothing | Effect::Unreached | Effect::SameImage | Effect::Breaks) => {}
            None => lane.cells.iter_mut().for_each(|cell| self.tell(cell)),
        }
        lane
    }

    /// Lets the unstable cells fail, unless one runs alone.
    fn disturb(&self, lane: &mut LaneRun, names: &[String]) {
        let Some(unstable) = self.unstable.filter(|_| names.len() != 1) else { return };
        for cell in lane.cells.iter_mut().filter(|cell| cell.name.starts_with(unstable)) {
            cell.judgement.verdict = Verdict::Fail;
            cell.judgement.observed = ["perf_event_open() = ENOSPC"].into_iter().collect();
        }
    }
}

impl Lab for FakeLab {
    fn build(&mut self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError> {
        self.built += 1;
        let (subject, log) = (source.subject(commit)?, PathBuf::from("log"));
        let text = source.file(commit, "kernel/core.c")?.expect("it is there");
        let name = subject.strip_prefix("perfsec: ").filter(|name| name.contains('/'));
        let places = if name.is_none() { self.broken_lines(&text) } else { Vec::new() };
        if let Some(first) = places.first().cloned() {
            let (commit, first) = (commit.clone(), Some(first));
            let failure = BuildFailure { commit, subject, first, places, log };
            return Err(BuildError::Failed(Box::new(failure)));
        }
        let run = record::read(&place("run.jsonl")).expect("a record").run;
        let mut kernel = run.lanes[0].started.kernel.clone();
        kernel.config = None;
        kernel.release = name.unwrap_or("unmutated").to_owned();
        let same = name.is_some_and(|name| effect(name) == Effect::SameImage);
        let image = if same { "unmutated" } else { &kernel.release };
        kernel.image.as_mut().expect("an image").sha256 = image.to_owned();
        Ok(BuiltKernel { kernel, warnings: BTreeSet::new(), log })
    }

    fn run(&mut self, kernels: &[Kernel], batch: &Batch) -> Result<RecordedRun, EngineError> {
        let names = &batch.filter.names;
        self.runs.push((kernels.len(), names.clone()));
        let mut run = record::read(&place("run.jsonl")).expect("a record").run;
        let lanes = kernels.iter().enumerate().map(|(at, kernel)| self.lane(at, kernel, names));
        run.lanes = lanes.collect();
        if batch.until_broken.is_some() {
            run.lanes.iter_mut().for_each(|lane| self.disturb(lane, names));
        }
        Ok(RecordedRun { run, record: PathBuf::from("/none"), sha256: "0".repeat(64) })
    }

    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn stopped(&self) -> bool {
        self.patience == Some(self.runs.len())
    }
}

/// A directory with a tree and its checkout.
struct Place {
    directory: TempDir,
    source: Source,
    commit: Commit,
    scope: Scope,
    survivors: Survivors,
}

impl Place {
    fn new() -> Self {
        Self::with(SCOPE, "")
    }

    /// One with these texts of the scope and of the judged survivors.
    fn with(scope_text: &str, survivors_text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = FakeTree::new(&directory.path().join("linux"), Path::new("/none"));
        tree.commit(
            "core: decide",
            &[("kernel/core.c", CORE), ("kernel/Makefile", "obj-y += core.o\n")],
        );
        let scope = directory.path().join("scope.toml");
        fs::write(&scope, scope_text).expect("a file");
        let survivors = directory.path().join("survivors.toml");
        fs::write(&survivors, survivors_text).expect("a file");
        let survivors = Survivors::read(&survivors).expect("survivors");
        let points = Points::built_in().expect("the points");
        let scope = Scope::read(&scope, &points).expect("a scope");
        let cache = Cache::at(&directory.path().join("cache")).expect("a cache");
        let interrupt = Interrupt::default();
        let source =
            Source::open(tree.path(), "linux", &cache, &interrupt, &|_| {}).expect("a tree");
        let commit = source.resolve(None, false).expect("a commit");
        Self { directory, source, commit, scope, survivors }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a campaign; returns the lines of its progress.
    fn run(
        &self,
        lab: &mut FakeLab,
        selection: &Selection,
        journal: &mut Journal,
    ) -> Result<Text, CampaignError> {
        let suite = "suite".to_owned();
        let campaign =
            Campaign::begin(lab, &self.source, self.commit.clone(), &self.scope, suite, 2)?;
        let numbered = campaign.derived().candidates.iter();
        lab.numbers = numbered.filter_map(|it| Some((it.number?, it.mutant.name()))).collect();
        let mut text = Text::new();
        let mut tell = |entry: &Entry| {
            text.append(&progress(entry, false));
            Ok(())
        };
        campaign.run(lab, selection, &self.survivors, journal, &mut tell)?;
        Ok(text)
    }
}

fn outcomes(journal: &Journal) -> BTreeMap<String, MutantOutcome> {
    journal.entries.iter().map(|it| (it.name.clone(), it.outcome.clone())).collect()
}

#[test]
fn a_campaign_prints_every_outcome_the_score_and_the_holes() {
    let place = Place::new();
    let (mut lab, mut journal) = (FakeLab::default(), Journal::default());
    let mut text = place.run(&mut lab, &Selection::default(), &mut journal).expect("it ends");
    let survivors = Survivors::default();
    text.line("").append(&report(&Score::of(&journal.entries, &survivors)));
    golden("mutants.txt", &text.plain());
}

#[test]
fn a_campaign_that_was_interrupted_goes_on_where_it_stopped() {
    let place = Place::new();
    let mut whole = Journal::default();
    place.run(&mut FakeLab::default(), &Selection::default(), &mut whole).expect("it ends");

    let record = place.file("mutants.jsonl");
    let mut lab = FakeLab { patience: Some(3), ..FakeLab::default() };
    let mut journal = Journal::create(&record).expect("a record");
    let error = place.run(&mut lab, &Selection::default(), &mut journal).unwrap_err();
    assert!(matches!(error, CampaignError::Engine(EngineError::Interrupted)), "{error}");
    let before = Journal::read(&record).expect("a record").entries.len();
    assert!(before > 0 && before < whole.entries.len(), "{before}");

    let mut journal = Journal::resume(&record).expect("a record");
    place.run(&mut FakeLab::default(), &Selection::default(), &mut journal).expect("it ends");
    assert_eq!(outcomes(&journal), outcomes(&whole));
    assert_eq!(journal.entries.len(), whole.entries.len());

    let mut lab = FakeLab::default();
    let text = place.run(&mut lab, &Selection::default(), &mut journal).expect("it ends");
    assert!(text.is_empty() && lab.runs.is_empty(), "{}", text.plain());
}

#[test]
fn shards_have_every_mutant_once() {
    let place = Place::new();
    let mut whole = Journal::default();
    place.run(&mut FakeLab::default(), &Selection::default(), &mut whole).expect("it ends");
    let mut shards = Journal::default();
    for shard in ["1/2", "2/2"] {
        let shard: Shard = shard.parse().expect("a shard");
        let selection = Selection::new(&[], Some(shard)).expect("a selection");
        let before = shards.entries.len();
        place.run(&mut FakeLab::default(), &selection, &mut shards).expect("it ends");
        assert!(shards.entries.len() > before, "{shard} is empty");
    }
    assert_eq!(shards.entries.len(), whole.entries.len());
    assert_eq!(outcomes(&shards), outcomes(&whole));
}

#[test]
fn names_select_mutants_and_one_that_selects_none_is_an_error() {
    let place = Place::new();
    let mut journal = Journal::default();
    let names = ["*/other-errno/*".to_owned(), "level".to_owned()];
    let selection = Selection::new(&names, None).expect("globs");
    place.run(&mut FakeLab::default(), &selection, &mut journal).expect("it ends");
    let operators: BTreeSet<_> = journal.entries.iter().map(|it| it.operator.to_string()).collect();
    assert_eq!(operators.into_iter().collect::<Vec<_>>(), ["default", "other-errno"]);
    assert_eq!(journal.entries.iter().filter(|it| it.function == "level").count(), 2);

    let selection = Selection::new(&["perf_opne".to_owned()], None).expect("a glob");
    let error = place.run(&mut FakeLab::default(), &selection, &mut journal).unwrap_err();
    assert_eq!(error.to_string(), "find a mutant perf_opne: --list lists them");
}

#[test]
fn the_cells_of_an_area_run_first_and_then_those_that_reach_the_mutant() {
    let place = Place::new();
    let mut lab = FakeLab::default();
    let selection = Selection::new(&["perf_open/swap-checks".to_owned()], None).expect("a glob");
    place.run(&mut lab, &selection, &mut Journal::default()).expect("it ends");
    let names: Vec<_> = lab.runs.iter().map(|(_, names)| names.as_slice()).collect();
    assert_eq!(
        (names.len(), names[0].len(), names[1].join(" ").as_str()),
        (4, 0, "open/cpu/none_t")
    );
    assert!(names[2].len() > 1 && names[2].iter().all(|name| name.starts_with("open/cpu/all_t/")));
    // The one that failed, by itself.
    assert!(names[3].len() == 1 && names[2].contains(&names[3][0]));
}

#[test]
fn a_mutant_that_no_cell_reaches_runs_in_its_area_only() {
    let place = Place::new();
    let (mut lab, mut journal) = (FakeLab::default(), Journal::default());
    let selection = Selection::new(&["perf_open/skip-call/2".to_owned()], None).expect("a glob");
    place.run(&mut lab, &selection, &mut journal).expect("it ends");
    assert_eq!(lab.runs.len(), 2);
    let survived = |reached_by| MutantOutcome::Survived {
        reached_by: Some(reached_by),
        unjudged: Vec::new(),
        differs: true,
    };
    assert_eq!(journal.entries.last().expect("an outcome").outcome, survived(0));
}

#[test]
fn a_judged_mutant_runs_in_its_area_only() {
    let judged = "[[survivor]]\nfunction = \"perf_open\"\ncode = \"security_open(attr)\"\n\
                  operators = [\"skip-call\"]\nis = \"equivalent\"\nreason = \"a test\"\n";
    let place = Place::with(SCOPE, judged);
    let (mut lab, mut journal) = (FakeLab::default(), Journal::default());
    let selection = Selection::new(&["perf_open/skip-call/1".to_owned()], None).expect("a glob");
    place.run(&mut lab, &selection, &mut journal).expect("it ends");
    assert_eq!(lab.runs.len(), 2, "the survey, and the cells of the area");
    let outcome = &journal.entries.last().expect("an outcome").outcome;
    assert!(outcome.is_survivor(), "{outcome:?}");
}

#[test]
fn a_scope_leaves_out_changes_of_text_with_some_words() {
    let scope = SCOPE.replace("[[area]]\n", "[[area]]\nexcept = [\"capable\"]\n");
    let place = Place::with(&scope, "");
    let mut journal = Journal::default();
    place.run(&mut FakeLab::default(), &Selection::default(), &mut journal).expect("it ends");
    assert!(!journal.entries.is_empty());
    let excepted = journal.entries.iter().find(|entry| entry.before.contains("capable"));
    assert_eq!(excepted, None);
}

#[test]
fn a_death_counts_if_it_happens_again() {
    let place = Place::new();
    let (mut lab, mut journal) = (FakeLab::default(), Journal::default());
    let selection = Selection::new(&["perf_open/ignore-result".to_owned()], None).expect("a glob");
    place.run(&mut lab, &selection, &mut journal).expect("it ends");
    assert_eq!(lab.runs.len(), 3);
    let outcome = &journal.entries.last().expect("an outcome").outcome;
    assert!(matches!(outcome, MutantOutcome::Died { .. }), "{outcome:?}");
}

#[test]
fn a_cell_that_fails_because_of_those_before_it_notices_no_mutant() {
    let place = Place::new();
    let (mut lab, mut journal) = (FakeLab::default(), Journal::default());
    lab.unstable = Some("open/cpu/all_t");
    let selection = Selection::new(&["perf_open/skip-call/1".to_owned()], None).expect("a glob");
    place.run(&mut lab, &selection, &mut journal).expect("it ends");
    let outcome = &journal.entries.last().expect("an outcome").outcome;
    assert!(outcome.is_survivor(), "{outcome:?}");
    let said = lab.said.borrow();
    assert!(said.iter().any(|text| text.contains("fails without a mutant, too")), "{said:?}");
}
