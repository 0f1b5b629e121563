//! Checks of series with a lab that reads the source instead of building it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use perfsec::cache::Cache;
use perfsec::engine::{Batch, EngineError, Lab, RecordedRun};
use perfsec::interrupt::Interrupt;
use perfsec::kbuild::{BuildError, BuildFailure, BuiltKernel, Diagnostic};
use perfsec::kernel::{Kernel, Origin};
use perfsec::plan::Filter;
use perfsec::record::{RunStarted, Selection};
use perfsec::series::{
    ApplyResult, BootResult, BuildResult, Expectations, Problem, Series, SeriesCheck,
    SeriesOutcome, TestResult,
};
use perfsec::source::{Commit, Source};
use tempfile::TempDir;

use crate::runs::{runs, with};
use crate::tree::FakeTree;

/// A directory with a tree.
struct Place {
    directory: TempDir,
    tree: FakeTree,
    /// Names of the cells to run; empty for all.
    names: Vec<String>,
}

/// Takes `kernel/core.c` for a kernel. A line `/* changes: CASES */` names the cases that are new
/// on it; `broken` does not compile, `unused` warns, `panic` does not boot. Lines that begin with
/// `//` do not change the image.
struct FakeLab {
    said: RefCell<Vec<String>>,
    ran: usize,
    /// The user stops the check after this number of runs.
    patience: usize,
}

fn diagnostic(line: usize, message: &str) -> Diagnostic {
    let file = Some("kernel/core.c".to_owned());
    Diagnostic { file, line: Some(line), message: message.to_owned() }
}

impl Lab for FakeLab {
    fn build(&mut self, source: &Source, commit: &Commit) -> Result<BuiltKernel, BuildError> {
        let text = source.file(commit, "kernel/core.c")?.expect("it is there");
        let line = |word: &str| text.lines().position(|line| line.contains(word));
        let log = PathBuf::from("log");
        if let Some(at) = line("broken") {
            let (subject, first) = (source.subject(commit)?, Some(diagnostic(at + 1, "broken")));
            let (commit, places) = (commit.clone(), Vec::new());
            let failure = BuildFailure { commit, subject, first, places, log };
            return Err(BuildError::Failed(Box::new(failure)));
        }
        let warnings = text.lines().enumerate().filter(|(_, line)| line.contains("unused"));
        let warnings: BTreeSet<_> = warnings.map(|(at, line)| diagnostic(at + 1, line)).collect();
        let code = text.lines().filter(|line| !line.starts_with("//"));
        let mut kernel: Kernel = with(&[]).lanes[0].started.kernel.clone();
        kernel.image.as_mut().expect("an image").sha256 = code.collect::<Vec<_>>().join("\n");
        kernel.origin = Origin::Tree {
            tree: ".".to_owned(),
            commit: commit.to_string(),
            described: String::new(),
            subject: String::new(),
            fragments: vec!["base".to_owned()],
            variables: Vec::new(),
            compiler: "cc 12".to_owned(),
        };
        Ok(BuiltKernel { kernel, warnings, log })
    }

    fn run(&mut self, kernels: &[Kernel], _batch: &Batch) -> Result<RecordedRun, EngineError> {
        if self.ran == self.patience {
            return Err(EngineError::Interrupted);
        }
        let kernel = &kernels[0];
        self.ran += 1;
        let changes = kernel.identity().lines().find_map(|line| line.strip_prefix("/* changes: "));
        let changes = changes.unwrap_or_default().trim_end_matches("*/").split_whitespace();
        let mut run = with(&changes.collect::<Vec<_>>());
        if kernel.identity().contains("panic") {
            run.lanes[0].ready.clear();
            run.lanes[0].end.as_mut().expect("an end").refused =
                Some(perfsec::record::LaneRefusal {
                    reason: "no SELinux".to_owned(),
                    console: String::new(),
                });
        }
        Ok(RecordedRun { run, record: PathBuf::from("record"), sha256: "0".repeat(64) })
    }

    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
    }

    fn note(&self, text: &str) {
        self.say(text);
    }

    fn stopped(&self) -> bool {
        self.ran == self.patience
    }
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = FakeTree::new(&directory.path().join("linux"), Path::new("/none"));
        Self { directory, tree, names: Vec::new() }
    }

    /// Commits versions of `kernel/core.c`, returns them as a mailbox, and resets the tree to the
    /// base.
    fn mailbox(&self, cores: &[&str]) -> Vec<u8> {
        for (at, core) in cores.iter().enumerate() {
            self.tree.commit(&format!("core: {}", at + 1), &[("kernel/core.c", core)]);
        }
        self.take_commits()
    }

    /// Returns all commits as a mailbox and resets the tree to the base.
    fn take_commits(&self) -> Vec<u8> {
        let mut text = self.tree.git(&["format-patch", "--stdout", "v6.1.192"]).into_bytes();
        text.push(b'\n');
        self.tree.git(&["reset", "--quiet", "--hard", "v6.1.192"]);
        text
    }

    fn series(&self, mailbox: &[u8]) -> Series {
        let path = self.directory.path().join("series.mbox");
        std::fs::write(&path, mailbox).expect("a file");
        Series::of_mailbox(&path).expect("a series")
    }

    fn check(&self, series: &Series, meant: &str, patience: usize) -> (SeriesOutcome, FakeLab) {
        self.check_on("v6.1.192", series, meant, patience)
    }

    /// Checks a series on this base; an empty name is the tree as it is.
    fn check_on(
        &self,
        named: &str,
        series: &Series,
        meant: &str,
        patience: usize,
    ) -> (SeriesOutcome, FakeLab) {
        let cache = Cache::at(&self.directory.path().join("cache")).expect("a cache");
        let source =
            Source::open(self.tree.path(), "linux", &cache, &Interrupt::default(), &|_| {})
                .expect("a tree");
        let base = source.resolve(Some(named).filter(|named| !named.is_empty()), true);
        let base = base.expect("the base");
        let suite: Vec<String> = runs().0.cells().map(|cell| cell.name.clone()).collect();
        let meant = Expectations::read(Path::new("meant.toml"), meant, &series.patches, &suite)
            .expect("no mistake");
        let mut lab = FakeLab { said: RefCell::default(), ran: 0, patience };
        let named = named.to_owned();
        let filter = Filter { names: self.names.clone(), ..Filter::default() };
        let run = RunStarted::now(0, Selection { filter, ..Selection::default() });
        let check = SeriesCheck { source: &source, base, named, run, series, meant, suite: &suite };
        let outcome = check.run(&mut lab).expect("an outcome");
        (outcome, lab)
    }

    /// Checks a series whose patches change `kernel/core.c` to these texts, one after the other.
    fn outcome(&self, cores: &[&str]) -> (SeriesOutcome, FakeLab) {
        let series = self.series(&self.mailbox(cores));
        self.check(&series, "", usize::MAX)
    }
}

/// For each patch, the number of cells that it changes and the patch that it is compared with.
fn changes(outcome: &SeriesOutcome) -> Vec<Option<(usize, usize)>> {
    let of = |patch: &perfsec::series::PatchOutcome| {
        let changed = patch.changed.as_ref()?;
        Some((changed.comparison.different(), changed.against))
    };
    outcome.patches.iter().map(of).collect()
}

const PLAIN: &str = "int core(void)\n{\n\treturn 0;\n}\n";
const CALLCHAIN: &str = "/* changes: open/callchain */\n";
const BOTH: &str = "/* changes: open/callchain proc/maps */\n";

#[test]
fn every_patch_is_compared_with_the_one_before_and_the_whole_with_the_base() {
    let (outcome, lab) = Place::new().outcome(&[CALLCHAIN, BOTH]);
    assert_eq!(changes(&outcome), [Some((12, 0)), Some((4, 1))]);
    let whole = outcome.whole.as_ref().expect("the whole");
    assert_eq!((whole.different(), lab.ran, outcome.ended), (16, 3, true));
    assert_eq!(outcome.base.describe, "v6.1.192");
    assert_eq!(
        (outcome.built.config, outcome.built.compiler),
        (vec!["base".to_owned()], "cc 12".to_owned())
    );
}

#[test]
fn a_cell_that_only_ran_as_a_control_is_not_compared() {
    let names = vec!["open/callchain/*/none/*".to_owned()];
    let (outcome, _) = Place { names, ..Place::new() }.outcome(&[CALLCHAIN]);
    let asked = changes(&outcome)[0].expect("changes").0;
    assert!((1..12).contains(&asked), "{asked}");
    let changed = outcome.patches[0].changed.as_ref().expect("changes");
    let groups =
        changed.comparison.groups.iter().chain(&outcome.whole.as_ref().expect("it").groups);
    let mut names = groups.flat_map(|group| &group.cells.names);
    assert!(names.all(|name| name.contains("/none/")));
}

#[test]
fn the_same_image_is_not_run_again_wherever_it_comes_back() {
    let comment = format!("{CALLCHAIN}// a comment\n");
    let (outcome, lab) = Place::new().outcome(&[CALLCHAIN, &comment, PLAIN, CALLCHAIN]);
    let same = |as_of| Some(TestResult::Same { as_of });
    let tested: Vec<_> = outcome.patches[1..].iter().map(|patch| patch.tested.clone()).collect();
    assert_eq!((tested, lab.ran), (vec![same(1), same(0), same(1)], 2));
    assert_eq!(changes(&outcome), [Some((12, 0)), None, Some((12, 2)), Some((12, 3))]);
    assert_eq!(outcome.whole.expect("the whole").different(), 12);
}

#[test]
fn a_series_with_the_image_of_the_base_changes_nothing() {
    let comment = format!("{PLAIN}// a comment\n");
    let (outcome, lab) = Place::new().outcome(&[&comment]);
    assert_eq!((outcome.problems(), lab.ran), (Vec::new(), 1));
    assert!(outcome.whole.is_none() && outcome.headline().ends_with("1 patch changes no cell"));
}

#[test]
fn a_patch_that_does_not_build_or_boot_is_left_out_of_the_comparisons() {
    let (outcome, _) = Place::new().outcome(&["broken\n", "panic\n", CALLCHAIN]);
    let log = PathBuf::from("log");
    let first = Some(diagnostic(1, "broken"));
    assert_eq!(outcome.patches[0].build, Some(BuildResult::Failed { first, log }));
    let Some(TestResult::Ran(ran)) = &outcome.patches[1].tested else { panic!("it ran") };
    assert!(matches!(ran.boot, BootResult::Refused { .. }));
    assert_eq!(changes(&outcome), [None, None, Some((12, 0))]);
    let problems = outcome.problems();
    assert_eq!(problems[..2], [Problem::NotBuilt(vec![1]), Problem::NotRun(vec![2])]);
}

#[test]
fn nothing_is_built_if_a_patch_does_not_apply() {
    let place = Place::new();
    let mailbox = place.mailbox(&[CALLCHAIN, "int other;\n", BOTH]);
    let text = String::from_utf8(mailbox).expect("text");
    let series =
        place.series(text.replacen("-/* changes: open/callchain */", "-/* lost */", 1).as_bytes());
    let (outcome, lab) = place.check(&series, "", usize::MAX);
    let ApplyResult::Failed { places, .. } = &outcome.patches[1].apply else {
        panic!("it applies")
    };
    assert_eq!((places[0].file.as_str(), places[0].line), ("kernel/core.c", 1));
    assert_eq!(outcome.patches[2].apply, ApplyResult::NotTried);
    assert!(matches!(outcome.patches[0].apply, ApplyResult::Applied { .. }));
    assert_eq!(
        (lab.said.take().len(), outcome.base.build.is_none(), outcome.ended),
        (0, true, true)
    );
    assert_eq!(outcome.problems(), [Problem::NotApplied(2)]);
}

#[test]
fn a_base_that_does_not_build_ends_the_check() {
    let place = Place::new();
    place.tree.commit("broken", &[("kernel/core.c", "broken\n")]);
    place.tree.git(&["tag", "--force", "v6.1.192"]);
    let (outcome, lab) = place.outcome(&[CALLCHAIN]);
    assert_eq!((outcome.problems(), lab.ran), (vec![Problem::BaseNotBuilt], 0));
    assert!(outcome.ended);
}

#[test]
fn a_warning_belongs_to_the_patch_that_adds_it_not_to_one_that_moves_it() {
    let before = format!("{PLAIN}int unused;\n");
    let moved = format!("// one more line\n{before}");
    let (outcome, _) = Place::new().outcome(&[&before, &moved]);
    let warnings: Vec<_> = outcome.patches.iter().map(|it| it.new_warnings().len()).collect();
    assert_eq!(warnings, [1, 0]);
}

#[test]
fn a_series_may_state_its_changes_in_the_tree() {
    let place = Place::new();
    let meant = "[[change]]\ncells = [\"open/callchain\", \"proc\"]\nreason = \"meant\"\n";
    place
        .tree
        .commit("core: 1", &[("kernel/core.c", CALLCHAIN), ("tools/perfsec-expect.toml", meant)]);
    let series = place.series(&place.take_commits());
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(outcome.patches[0].changed.as_ref().expect("changes").unstated(), 0);
    assert_eq!(outcome.stated[0].unmet, ["proc"]);
    assert_eq!(outcome.problems(), [Problem::Unmet { changes: 1 }]);
    // Changes that the user states come first.
    let (outcome, _) = place.check(&series, &meant.replace(", \"proc\"", ""), usize::MAX);
    assert_eq!(outcome.stated.len(), 2);
    assert!(outcome.stated[0].unmet.is_empty() && !outcome.stated[1].unmet.is_empty());
}

#[test]
fn an_interrupted_check_returns_the_results_so_far() {
    let place = Place::new();
    let series = place.series(&place.mailbox(&[CALLCHAIN, BOTH]));
    let meant = "[[change]]\npatch = 2\ncells = [\"proc/maps\"]\nreason = \"meant\"\n";
    let (outcome, _) = place.check(&series, meant, 2);
    assert_eq!((changes(&outcome), outcome.ended), (vec![Some((12, 0)), None], false));
    assert!(outcome.problems().contains(&Problem::NotEnded));
    assert!(outcome.stated[0].unmet.is_empty());
}

#[test]
fn a_base_with_uncommitted_changes_is_marked() {
    let place = Place::new();
    let series = place.series(&place.mailbox(&[CALLCHAIN]));
    let own = |named| place.check_on(named, &series, "", usize::MAX).0.base.own;
    assert!(!own("v6.1.192") && !own(""));
    place.tree.write(&[("Documentation/perf.rst", "not committed\n")]);
    assert!(own("") && !own("v6.1.192"));
}

#[test]
fn a_commit_message_may_have_lines_that_begin_with_from() {
    let place = Place::new();
    let message = "core: 1\n\nFrom the manual\nFrom a@z Thu Jan  1 00:00:00 1970\n>From here on";
    place.tree.commit(message, &[("kernel/core.c", CALLCHAIN)]);
    place.tree.git(&["format-patch", "--quiet", "--output-directory", "patches", "v6.1.192"]);
    let patches = place.tree.path().join("patches");
    let file = patches.read_dir().expect("a directory").next().expect("a patch").expect("it");
    let mail = std::fs::read(file.path()).expect("a patch");
    // A mail program writes no `From ` line before a single mail.
    let start = mail.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let series = place.series(&mail[start..]);
    place.tree.git(&["reset", "--quiet", "--hard", "v6.1.192"]);
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(changes(&outcome), [Some((12, 0))]);
}

#[test]
fn a_patch_with_encoded_line_ends_applies() {
    let place = Place::new();
    let text = String::from_utf8(place.mailbox(&[CALLCHAIN])).expect("text");
    let (head, body) = text.split_once("\n\n").expect("a mail");
    let body = BASE64.encode(body.replace('\n', "\r\n"));
    let encoding = "Content-Type: text/plain\nContent-Transfer-Encoding: base64";
    let series = place.series(format!("{head}\n{encoding}\n\n{body}\n").as_bytes());
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(changes(&outcome), [Some((12, 0))]);
}

#[test]
fn the_users_tree_is_untouched() {
    let place = Place::new();
    let mailbox = place.mailbox(&[CALLCHAIN]);
    place.tree.write(&[("kernel/core.c", "not committed\n")]);
    let state = || place.tree.git(&["status", "--porcelain"]) + &place.tree.git(&["for-each-ref"]);
    let before = state();
    let series = place.series(&mailbox);
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!((state(), outcome.patches.len()), (before, 1));
}
