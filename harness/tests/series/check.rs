//! The check: what is applied, built, run and compared, with a lab that only looks at the source.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use perfsec::cache::Cache;
use perfsec::compare::NothingInCommon;
use perfsec::interrupt::Interrupt;
use perfsec::kbuild::{Built, Diagnostic, Failure};
use perfsec::kernel::{Kernel, Origin};
use perfsec::plan::{Filter, NotAGlob};
use perfsec::record::{RunStarted, Selection};
use perfsec::series::{
    Apply, Boot, Build, Check, ExpectError, Expectations, Lab, Outcome, Problem, Recorded, Series,
    Tested,
};
use perfsec::source::{Commit, Source, SourceError};
use tempfile::TempDir;

use crate::runs::{runs, with};
use crate::tree::FakeTree;

/// A tree, and what the lab did with it.
struct Place {
    directory: TempDir,
    tree: FakeTree,
    /// The cells that are asked for; none: all.
    names: Vec<String>,
}

/// Takes `kernel/core.c` for a kernel: a line `/* changes: CASES */` says which cases are new on it, others
/// say that it does not compile, warns or does not boot. Comments else change nothing.
struct FakeLab {
    said: RefCell<Vec<String>>,
    ran: usize,
    /// After so many runs the user wants it to end.
    patience: usize,
}

#[derive(Debug, thiserror::Error)]
enum LabError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Apart(#[from] NothingInCommon),
    #[error(transparent)]
    Expect(#[from] ExpectError),
    #[error(transparent)]
    NotAGlob(#[from] NotAGlob),
    #[error("stopped")]
    Stopped,
}

fn diagnostic(line: usize, message: &str) -> Diagnostic {
    let file = Some("kernel/core.c".to_owned());
    Diagnostic { file, line: Some(line), message: message.to_owned() }
}

impl Lab for FakeLab {
    type Error = LabError;

    fn build(
        &mut self,
        source: &Source,
        commit: &Commit,
    ) -> Result<Result<Built, Failure>, LabError> {
        let text = source.file(commit, "kernel/core.c")?.expect("it is there");
        let line = |word: &str| text.lines().position(|line| line.contains(word));
        let log = PathBuf::from("log");
        if let Some(at) = line("broken") {
            let (subject, first) = (source.subject(commit)?, Some(diagnostic(at + 1, "broken")));
            return Ok(Err(Failure { commit: commit.clone(), subject, first, log }));
        }
        let warnings = text.lines().enumerate().filter(|(_, line)| line.contains("unused"));
        let warnings: BTreeSet<_> = warnings.map(|(at, line)| diagnostic(at + 1, line)).collect();
        let code = text.lines().filter(|line| !line.starts_with("//"));
        let mut kernel: Kernel = with(&[]).lanes[0].started.kernel.clone();
        kernel.sha256 = code.collect::<Vec<_>>().join("\n");
        kernel.origin = Origin::Tree {
            tree: ".".to_owned(),
            commit: commit.to_string(),
            described: String::new(),
            subject: String::new(),
            fragments: vec!["base".to_owned()],
            variables: Vec::new(),
            compiler: "cc 12".to_owned(),
        };
        Ok(Ok(Built { kernel, warnings, log }))
    }

    fn run(&mut self, kernel: &Kernel) -> Result<Recorded, LabError> {
        if self.ran == self.patience {
            return Err(LabError::Stopped);
        }
        self.ran += 1;
        let changes = kernel.sha256.lines().find_map(|line| line.strip_prefix("/* changes: "));
        let changes = changes.unwrap_or_default().trim_end_matches("*/").split_whitespace();
        let mut run = with(&changes.collect::<Vec<_>>());
        if kernel.sha256.contains("panic") {
            run.lanes[0].ready.clear();
            run.lanes[0].end.as_mut().expect("an end").refused =
                Some(perfsec::record::LaneRefusal {
                    reason: "no SELinux".to_owned(),
                    console: String::new(),
                });
        }
        Ok(Recorded { run, record: PathBuf::from("record"), sha256: "0".repeat(64) })
    }

    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.to_owned());
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

    /// Commits versions of `kernel/core.c` and returns them as a mailbox; the tree is the base again.
    fn mailbox(&self, cores: &[&str]) -> Vec<u8> {
        for (at, core) in cores.iter().enumerate() {
            self.tree.commit(&format!("core: {}", at + 1), &[("kernel/core.c", core)]);
        }
        self.taken()
    }

    /// All that was committed, as a mailbox; the tree is the base again.
    fn taken(&self) -> Vec<u8> {
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

    fn check(&self, series: &Series, meant: &str, patience: usize) -> (Outcome, FakeLab) {
        self.check_on("v6.1.192", series, meant, patience)
    }

    /// The same on another base; an empty name is the tree as it is.
    fn check_on(
        &self,
        named: &str,
        series: &Series,
        meant: &str,
        patience: usize,
    ) -> (Outcome, FakeLab) {
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
        let check = Check { source: &source, base, named, run, series, meant, suite: &suite };
        let outcome = check.run(&mut lab).expect("an outcome");
        (outcome, lab)
    }

    /// The outcome of a series that makes `kernel/core.c` these texts, one after the other.
    fn outcome(&self, cores: &[&str]) -> (Outcome, FakeLab) {
        let series = self.series(&self.mailbox(cores));
        self.check(&series, "", usize::MAX)
    }
}

/// How many cells each patch changes, and against which it was compared.
fn changes(outcome: &Outcome) -> Vec<Option<(usize, usize)>> {
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
fn what_only_ran_as_a_control_is_not_compared() {
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
fn a_kernel_that_is_the_same_is_not_run_again_wherever_it_comes_back() {
    let comment = format!("{CALLCHAIN}// a comment\n");
    let (outcome, lab) = Place::new().outcome(&[CALLCHAIN, &comment, PLAIN, CALLCHAIN]);
    let same = |as_of| Some(Tested::Same { as_of });
    let tested: Vec<_> = outcome.patches[1..].iter().map(|patch| patch.tested.clone()).collect();
    assert_eq!((tested, lab.ran), (vec![same(1), same(0), same(1)], 2));
    assert_eq!(changes(&outcome), [Some((12, 0)), None, Some((12, 2)), Some((12, 3))]);
    assert_eq!(outcome.whole.expect("the whole").different(), 12);
}

#[test]
fn a_series_whose_kernel_is_the_bases_changes_nothing() {
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
    assert_eq!(outcome.patches[0].build, Some(Build::Failed { first, log }));
    let Some(Tested::Ran(ran)) = &outcome.patches[1].tested else { panic!("it ran") };
    assert!(matches!(ran.boot, Boot::Refused { .. }));
    assert_eq!(changes(&outcome), [None, None, Some((12, 0))]);
    let problems = outcome.problems();
    assert_eq!(problems[..2], [Problem::NotBuilt(vec![1]), Problem::NotRun(vec![2])]);
}

#[test]
fn of_a_series_with_a_patch_that_does_not_apply_nothing_is_built() {
    let place = Place::new();
    let mailbox = place.mailbox(&[CALLCHAIN, "int other;\n", BOTH]);
    let text = String::from_utf8(mailbox).expect("text");
    let series =
        place.series(text.replacen("-/* changes: open/callchain */", "-/* lost */", 1).as_bytes());
    let (outcome, lab) = place.check(&series, "", usize::MAX);
    let Apply::Failed { places, .. } = &outcome.patches[1].apply else { panic!("it applies") };
    assert_eq!((places[0].file.as_str(), places[0].line), ("kernel/core.c", 1));
    assert_eq!(outcome.patches[2].apply, Apply::NotTried);
    assert!(matches!(outcome.patches[0].apply, Apply::Applied { .. }));
    assert_eq!(
        (lab.said.take().len(), outcome.base.build.is_none(), outcome.ended),
        (0, true, true)
    );
    assert_eq!(outcome.problems(), [Problem::NotApplied(2)]);
}

#[test]
fn a_base_that_does_not_build_is_told_and_nothing_else_is_tried() {
    let place = Place::new();
    place.tree.commit("broken", &[("kernel/core.c", "broken\n")]);
    place.tree.git(&["tag", "--force", "v6.1.192"]);
    let (outcome, lab) = place.outcome(&[CALLCHAIN]);
    assert_eq!((outcome.problems(), lab.ran), (vec![Problem::BaseNotBuilt], 0));
    assert!(outcome.ended);
}

#[test]
fn warnings_that_a_patch_brings_are_its_own_and_those_that_moved_are_not() {
    let before = format!("{PLAIN}int unused;\n");
    let moved = format!("// one more line\n{before}");
    let (outcome, _) = Place::new().outcome(&[&before, &moved]);
    let warnings: Vec<_> = outcome.patches.iter().map(|it| it.new_warnings().len()).collect();
    assert_eq!(warnings, [1, 0]);
}

#[test]
fn what_a_series_says_it_means_may_lie_in_the_series() {
    let place = Place::new();
    let meant = "[[change]]\ncells = [\"open/callchain\", \"proc\"]\nreason = \"meant\"\n";
    place
        .tree
        .commit("core: 1", &[("kernel/core.c", CALLCHAIN), ("tools/perfsec-expect.toml", meant)]);
    let series = place.series(&place.taken());
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(outcome.patches[0].changed.as_ref().expect("changes").unstated(), 0);
    assert_eq!(outcome.stated[0].unmet, ["proc"]);
    assert_eq!(outcome.problems(), [Problem::Unmet { changes: 1 }]);
    // What the user states comes first.
    let (outcome, _) = place.check(&series, &meant.replace(", \"proc\"", ""), usize::MAX);
    assert_eq!(outcome.stated.len(), 2);
    assert!(outcome.stated[0].unmet.is_empty() && !outcome.stated[1].unmet.is_empty());
}

#[test]
fn what_was_found_before_the_user_wanted_it_to_end_is_the_outcome() {
    let place = Place::new();
    let series = place.series(&place.mailbox(&[CALLCHAIN, BOTH]));
    let meant = "[[change]]\npatch = 2\ncells = [\"proc/maps\"]\nreason = \"meant\"\n";
    let (outcome, _) = place.check(&series, meant, 2);
    assert_eq!((changes(&outcome), outcome.ended), (vec![Some((12, 0)), None], false));
    assert!(outcome.problems().contains(&Problem::NotEnded));
    assert!(outcome.stated[0].unmet.is_empty());
}

#[test]
fn a_base_that_no_clone_has_is_known() {
    let place = Place::new();
    let series = place.series(&place.mailbox(&[CALLCHAIN]));
    let own = |named| place.check_on(named, &series, "", usize::MAX).0.base.own;
    assert!(!own("v6.1.192") && !own(""));
    place.tree.write(&[("Documentation/perf.rst", "not committed\n")]);
    assert!(own("") && !own("v6.1.192"));
}

#[test]
fn a_commit_message_may_have_lines_like_those_between_mails() {
    let place = Place::new();
    let message = "core: 1\n\nFrom the manual\nFrom a@z Thu Jan  1 00:00:00 1970\n>From here on";
    place.tree.commit(message, &[("kernel/core.c", CALLCHAIN)]);
    place.tree.git(&["format-patch", "--quiet", "--output-directory", "patches", "v6.1.192"]);
    let patches = place.tree.path().join("patches");
    let file = patches.read_dir().expect("a directory").next().expect("a patch").expect("it");
    let mail = std::fs::read(file.path()).expect("a patch");
    // A mail program has no line between mails before its one mail.
    let start = mail.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    let series = place.series(&mail[start..]);
    place.tree.git(&["reset", "--quiet", "--hard", "v6.1.192"]);
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(changes(&outcome), [Some((12, 0))]);
}

#[test]
fn a_patch_applies_though_a_mail_program_encoded_its_line_ends() {
    let place = Place::new();
    let text = String::from_utf8(place.mailbox(&[CALLCHAIN])).expect("text");
    let (head, body) = text.split_once("\n\n").expect("a mail");
    let body = BASE64.encode(body.replace('\n', "\r\n"));
    let series = place.series(
        format!(
            "{head}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{body}\n"
        )
        .as_bytes(),
    );
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!(changes(&outcome), [Some((12, 0))]);
}

#[test]
fn the_users_tree_is_as_it_was() {
    let place = Place::new();
    let mailbox = place.mailbox(&[CALLCHAIN]);
    place.tree.write(&[("kernel/core.c", "not committed\n")]);
    let state = || place.tree.git(&["status", "--porcelain"]) + &place.tree.git(&["for-each-ref"]);
    let before = state();
    let series = place.series(&mailbox);
    let (outcome, _) = place.check(&series, "", usize::MAX);
    assert_eq!((state(), outcome.patches.len()), (before, 1));
}
