//! Reports on series. The runs of a record stand for those of the patches.

use std::path::{Path, PathBuf};

use perfsec::judge::Verdict;
use perfsec::kbuild::Diagnostic;
use perfsec::plan::Filter;
use perfsec::record::Run;
use perfsec::report::mail::{Letter, Mailbox, Original, Regzbot, series_text};
use perfsec::series::{
    ApplyResult, BaseOutcome, BootResult, BuildResult, BuildSettings, Expectations, FORMAT,
    KernelRun, Patch, PatchOutcome, Problem, RejectedHunk, SeriesInfo, SeriesOutcome, TestResult,
    of_patch, of_series, stated,
};
use rstest::rstest;

use crate::runs::{runs, with};
use crate::support::{golden, place};

const SUBJECTS: [&str; 6] = [
    "capabilities: introduce CAP_PERFMON to kernel and user space",
    "perf/core: check kernel access when kernel callchains are requested",
    "perf/core: rename a variable",
    "proc: allow reading of maps under CAP_PERFMON",
    "bpf: Move unprivileged checks into map_create() and bpf_prog_load()",
    "doc: update the documentation",
];

const MEANT: &str = r#"
[[change]]
patch = "perf/core: check kernel access when kernel callchains are requested"
cells = ["open/callchain"]
reason = "kernel callchains need the privilege of kernel events"

[[change]]
patch = 4
cells = ["proc/maps", "proc/mem"]
reason = "CAP_PERFMON is asked for beside CAP_SYS_PTRACE"
"#;

fn patches() -> Vec<Patch> {
    let patch = |(at, subject): (usize, &&str)| Patch {
        number: at + 1,
        subject: (*subject).to_owned(),
        id: format!("20200402.{}@example.com", at + 1).parse().ok(),
        author: "Ann Example".to_owned(),
        mail: Vec::new(),
    };
    SUBJECTS.iter().enumerate().map(patch).collect()
}

fn suite() -> Vec<String> {
    let (run, _) = runs();
    let names = run.cells().map(|cell| cell.name.clone());
    names.chain(["proc/mem/all_t/paranoid=2/none/enforcing".to_owned()]).collect()
}

fn meant() -> Expectations {
    Expectations::read(Path::new("meant.toml"), MEANT, &patches(), &suite()).expect("no mistake")
}

fn ran(run: &Run) -> Option<TestResult> {
    Some(TestResult::Ran(KernelRun::of(run, PathBuf::from("run.jsonl"), "0".repeat(64))))
}

fn built(warnings: &[Diagnostic]) -> Option<BuildResult> {
    Some(BuildResult::Built { image: "1".repeat(64), new_warnings: warnings.to_vec() })
}

fn diagnostic(message: &str) -> Diagnostic {
    let file = Some("kernel/events/core.c".to_owned());
    Diagnostic { file, line: Some(4711), message: message.to_owned() }
}

/// A series in which every patch applies, builds, and has the image of the base.
fn same() -> SeriesOutcome {
    let (base, _) = runs();
    let patch = |patch: &Patch| PatchOutcome {
        apply: ApplyResult::Applied { commit: "2".repeat(40) },
        build: built(&[]),
        tested: Some(TestResult::Same { as_of: 0 }),
        ..PatchOutcome::new(patch)
    };
    SeriesOutcome {
        format: FORMAT,
        run: base.started.clone(),
        series: SeriesInfo {
            name: "/home/ann/v8_20200402_perf.mbx".to_owned(),
            version: 8,
            cover: Some("Introduce CAP_PERFMON to secure system performance monitoring".to_owned()),
            cover_id: Some("20200402084611.1234-1-ann@example.com".to_owned()),
            sha256: "3".repeat(64),
        },
        base: BaseOutcome {
            named: "v5.6-rc5".to_owned(),
            commit: "4".repeat(40),
            describe: "v5.6-rc5-12-g444444444444".to_owned(),
            tree: "/home/ann/linux".to_owned(),
            own: false,
            build: built(&[]),
            tested: ran(&base),
        },
        built: BuildSettings {
            config: ["base", "perf", "selinux", "tracing"].map(str::to_owned).to_vec(),
            compiler: "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0".to_owned(),
            make: vec!["LLVM=1".to_owned()],
        },
        lanes: base.lanes.iter().map(|lane| lane.started.clone()).collect(),
        patches: patches().iter().map(patch).collect(),
        whole: None,
        stated: Vec::new(),
        notes: Vec::new(),
        ended: true,
    }
}

/// The same series with runs after some patches: the number of the patch, and the cases that it has
/// changed.
pub(crate) fn changing(steps: &[(usize, &[&str])], meant: &Expectations) -> SeriesOutcome {
    let mut outcome = same();
    let (base, _) = runs();
    let (mut before, mut last) = (base.clone(), 0);
    for (number, cases) in steps {
        let (after, against) = (with(cases), number - 1);
        let patch = &mut outcome.patches[number - 1];
        patch.tested = ran(&after);
        patch.changed = of_patch(&before, &after, *number, against, meant, &|_, _| true).ok();
        (before, last) = (after, *number);
    }
    outcome.whole = of_series(&base, &before, last, meant, &|_, _| true).ok();
    outcome.stated = stated(meant, &outcome.patches);
    outcome
}

const CALLCHAIN: &[&str] = &["open/callchain"];
const MAPS: &[&str] = &["open/callchain", "proc/maps"];
const BPF: &[&str] = &["open/callchain", "proc/maps", "bpf"];

/// Stated changes, one of which did not happen, an unstated change, and warnings.
pub(crate) fn changes() -> SeriesOutcome {
    let mut outcome = changing(&[(2, CALLCHAIN), (4, MAPS), (5, BPF)], &meant());
    outcome.patches[2].build = built(&[diagnostic("unused variable ‘event’ [-Wunused-variable]")]);
    outcome
}

/// A patch that does not build, and one that does not boot.
pub(crate) fn fails() -> SeriesOutcome {
    let mut outcome = changing(&[(2, CALLCHAIN), (4, MAPS)], &Expectations::default());
    let log = PathBuf::from("/home/ann/.cache/perfsec/log");
    let first = Some(diagnostic("implicit declaration of function 'perfmon_capable'"));
    outcome.patches[2].build = Some(BuildResult::Failed { first, log });
    outcome.patches[2].tested = None;
    outcome.patches[3].changed.as_mut().expect("changes").against = 2;
    let console = "[    0.1] Linux version 5.6.0-rc5\n\
                   [    1.2] Kernel panic - not syncing: no init found\n\
                   [    1.3] CPU: 0 PID: 1 Comm: swapper/0\n\
                   [    1.4] ---[ end Kernel panic - not syncing ]---\n";
    let cause = "Kernel panic - not syncing: no init found".to_owned();
    let mut died = KernelRun::of(&runs().0, PathBuf::from("run.jsonl"), "0".repeat(64));
    died.boot = BootResult::Died { cause, console: console.to_owned() };
    died.counts = vec![(Verdict::Miss, 40)];
    outcome.patches[4].tested = Some(TestResult::Ran(died));
    outcome
}

/// A series whose fifth patch does not apply, so that nothing was built.
pub(crate) fn fifth_does_not_apply() -> SeriesOutcome {
    let mut outcome = same();
    outcome.built = BuildSettings::default();
    outcome.lanes.clear();
    (outcome.base.build, outcome.base.tested) = (None, None);
    for patch in &mut outcome.patches {
        (patch.build, patch.tested) = (None, None);
    }
    let file = "Documentation/admin-guide/perf-security.rst".to_owned();
    outcome.patches[4].apply = ApplyResult::Failed {
        places: vec![RejectedHunk { file, line: 12 }],
        message: "error: patch failed".to_owned(),
    };
    outcome.patches[5].apply = ApplyResult::NotTried;
    outcome
}

fn ann() -> Mailbox {
    "Ann Exämple <ann@example.org>".parse().expect("an address")
}

#[rstest]
#[case::changes(changes(), "series-changes.txt")]
#[case::fails(fails(), "series-fails.txt")]
#[case::does_not_apply(fifth_does_not_apply(), "series-apply.txt")]
fn the_report_is_unchanged(#[case] outcome: SeriesOutcome, #[case] name: &str) {
    let text = series_text(&outcome, Some(&ann())).plain();
    assert!(!text.contains("Tested-by") && !text.contains("/home"), "{text}");
    golden(name, &text);
}

#[test]
fn the_reply_to_a_cover_letter_is_unchanged() {
    let original = Original::read(&place("original.mbox"), None).expect("a mail");
    let letter = Letter {
        from: ann(),
        to: original.to,
        cc: original.cc,
        subject: None,
        id: "perfsec.0123456789abcdef@example.org".parse().expect("an id"),
        thread: Some(original.thread),
        regzbot: Regzbot::default(),
        attachments: Vec::new(),
        now: 1_585_821_600,
    };
    let fine = fine();
    golden("series.eml", &letter.write_series(&fine).plain());
}

/// A series with which all is well, checked with all cells there are.
pub(crate) fn fine() -> SeriesOutcome {
    let mut outcome = changing(&[(2, CALLCHAIN)], &only_callchain());
    outcome.run.asked.filter = Filter::default();
    outcome
}

#[test]
fn nobody_vouches_for_a_series_that_was_checked_with_some_cells() {
    let mut outcome = fine();
    assert!(series_text(&outcome, Some(&ann())).plain().contains("\nTested-by: Ann"));
    outcome.run.asked.filter.names = vec!["open/callchain".to_owned()];
    assert_eq!(outcome.problems(), []);
    assert!(!series_text(&outcome, Some(&ann())).plain().contains("Tested-by"));
}

fn only_callchain() -> Expectations {
    let text = MEANT.split("\n\n").next().expect("the first");
    Expectations::read(Path::new("meant.toml"), text, &patches(), &suite()).expect("no mistake")
}

/// The command at the end of a report, in one line.
#[rstest]
#[case::whole(
    |_: &mut SeriesOutcome| {},
    "To reproduce, in a clone of the kernel",
    "--base v5.6-rc5 --expect meant.toml"
)]
#[case::before_anything_ran(
    |it: &mut SeriesOutcome| {
        (it.lanes, it.built) = (Vec::new(), BuildSettings::default());
        (it.base.tested, it.ended) = (None, false)
    },
    "To continue, in a clone of the kernel", "--base v5.6-rc5 --expect meant.toml")]
#[case::interrupted_with_a_problem(
    |it: &mut SeriesOutcome| (it.patches[0].build, it.ended) = (broken(), false),
    "To continue, in a clone of the kernel", "--base v5.6-rc5 --expect meant.toml")]
#[case::a_name_that_moves(
    |it: &mut SeriesOutcome| it.base.named = "HEAD".to_owned(),
    "To reproduce, in a clone of the kernel", "--base 444444444444 --expect meant.toml")]
#[case::no_name(
    |it: &mut SeriesOutcome| it.base.named = String::new(),
    "To reproduce, in a clone of the kernel", "--base 444444444444 --expect meant.toml")]
#[case::a_tree_that_no_clone_has(
    |it: &mut SeriesOutcome| { it.base.own = true; it.run.command.push("--dirty".to_owned()) },
    "To reproduce, with the same tree", "--tree linux --dirty --expect meant.toml")]
fn a_report_ends_with_the_command_of_the_check(
    #[case] change: fn(&mut SeriesOutcome),
    #[case] heading: &str,
    #[case] words: &str,
) {
    let mut outcome = same();
    outcome
        .run
        .command
        .extend(["--config=/home/ann/n3.config", "--append", "panic=1"].map(str::to_owned));
    outcome.run.asked.filter.names = vec!["open/*".to_owned()];
    change(&mut outcome);
    let text = series_text(&outcome, None).plain();
    let (_, command) = text.split_once(&format!("\n{heading}:\n\n")).expect("the heading");
    let command = shlex::split(&command.replace("\\\n", " ")).expect("words").join(" ");
    let all = format!(
        "perfsec series {words} --config n3.config --make LLVM=1 --append panic=1 \
         v8_20200402_perf.mbx open/*"
    );
    assert_eq!(command, all);
}

#[test]
fn an_outcome_survives_a_round_trip_through_json() {
    let outcome = changes();
    let text = serde_json::to_string(&outcome).expect("JSON");
    let back: SeriesOutcome = serde_json::from_str(&text).expect("an outcome");
    assert_eq!(series_text(&back, None).plain(), series_text(&outcome, None).plain());
    assert_eq!(serde_json::to_string(&back).expect("JSON"), text);
}

/// Each case breaks one thing in a series that is fine.
#[rstest]
#[case::nothing(|_: &mut SeriesOutcome| {}, None, "6 patches change 12 cells, all as stated")]
#[case::base_build(
    |it: &mut SeriesOutcome| it.base.build = broken(),
    Some(Problem::BaseNotBuilt),
    "the base v5.6-rc5-12-g444444444444 does not build"
)]
#[case::base_boot(
    |it: &mut SeriesOutcome| it.base.tested = dead(),
    Some(Problem::BaseNotRun),
    "the base v5.6-rc5-12-g444444444444 cannot be tested"
)]
#[case::apply(
    |it: &mut SeriesOutcome| it.patches[1].apply = stuck(),
    Some(Problem::NotApplied(2)),
    "patch 2 of 6 does not apply to v5.6-rc5-12"
)]
#[case::build(
    |it: &mut SeriesOutcome| it.patches[1].build = broken(),
    Some(Problem::NotBuilt(vec![2])),
    "patch 2 of 6 does not build"
)]
#[case::builds(
    |it: &mut SeriesOutcome| [0, 1, 2].iter().for_each(|at| it.patches[*at].build = broken()),
    Some(Problem::NotBuilt(vec![1, 2, 3])),
    "3 of 6 patches do not build"
)]
#[case::boot(
    |it: &mut SeriesOutcome| it.patches[1].tested = dead(),
    Some(Problem::NotRun(vec![2])),
    "patch 2 of 6 does not boot"
)]
#[case::unstated(
    unstated,
    Some(Problem::Changed { cells: 12, patches: vec![2] }),
    "patch 2 of 6 changes 12 cells"
)]
#[case::failing(
    failing,
    Some(Problem::Failing { cells: 12, patches: vec![2] }),
    "12 cells fail after patch 2 of 6 and did not before"
)]
#[case::whole(
    |it: &mut SeriesOutcome| {
        let groups = &mut it.whole.as_mut().expect("the whole").groups;
        groups.iter_mut().for_each(|group| group.stated = None)
    },
    Some(Problem::Whole { cells: 12 }),
    "the whole series changes 12 cells, though no patch does"
)]
#[case::unmet(
    |it: &mut SeriesOutcome| it.stated[0].unmet = vec!["a".to_owned()],
    Some(Problem::Unmet { changes: 1 }),
    "1 stated change did not happen"
)]
#[case::warnings(
    |it: &mut SeriesOutcome| it.patches[0].build = built(&[diagnostic("a"), diagnostic("b")]),
    Some(Problem::Warnings { warnings: 2, patches: vec![1] }),
    "patch 1 of 6 brings 2 new compiler warnings"
)]
#[case::unseen(
    |it: &mut SeriesOutcome| if let Some(TestResult::Ran(ran)) = &mut it.base.tested { ran.unseen = 3 },
    Some(Problem::NotJudged { cells: 3 }),
    "3 cells are not judged"
)]
#[case::skipped(skipped, Some(Problem::NotJudged { cells: 1 }), "1 cell is not judged")]
#[case::cut(
    |it: &mut SeriesOutcome| it.ended = false,
    Some(Problem::NotEnded),
    "the series was not checked to its end"
)]
#[case::nothing_ran(
    |it: &mut SeriesOutcome| if let Some(TestResult::Ran(ran)) = &mut it.base.tested {
        ran.counts = vec![(Verdict::Skip, 9)]
    },
    Some(Problem::NothingRan),
    "no cell ran"
)]
fn a_series_with_a_problem_gets_no_tested_by(
    #[case] break_it: fn(&mut SeriesOutcome),
    #[case] problem: Option<Problem>,
    #[case] words: &str,
) {
    let mut outcome = fine();
    break_it(&mut outcome);
    assert_eq!(outcome.problems().into_iter().next(), problem);
    assert!(outcome.headline().contains(words), "{}", outcome.headline());
    let text = series_text(&outcome, Some(&ann())).plain();
    assert_eq!(text.contains("Tested-by: Ann"), problem.is_none(), "{text}");
    let reason = problem == Some(Problem::NotJudged { cells: 1 });
    assert_eq!(text.contains("1 cell skipped: after only: no kprobes"), reason, "{text}");
}

/// A patch after which a cell is skipped.
pub(crate) fn skipped(outcome: &mut SeriesOutcome) {
    let (before, mut after) = (with(CALLCHAIN), with(CALLCHAIN));
    let mut cells = after.lanes[0].cells.iter_mut().map(|cell| &mut cell.judgement);
    let judgement = cells.find(|it| it.verdict == Verdict::Pass).expect("a cell that passes");
    (judgement.verdict, judgement.reason) = (Verdict::Skip, Some("no kprobes".to_owned()));
    outcome.patches[3].tested = ran(&after);
    outcome.patches[3].changed =
        of_patch(&before, &after, 4, 3, &only_callchain(), &|_, _| true).ok();
}

fn broken() -> Option<BuildResult> {
    Some(BuildResult::Failed { first: None, log: PathBuf::from("log") })
}

fn dead() -> Option<TestResult> {
    let mut died = KernelRun::of(&runs().0, PathBuf::from("run.jsonl"), "0".repeat(64));
    died.boot =
        BootResult::Refused { reason: "no SELinux".to_owned(), console: "last words".to_owned() };
    Some(TestResult::Ran(died))
}

fn stuck() -> ApplyResult {
    ApplyResult::Failed { places: Vec::new(), message: "error: patch failed".to_owned() }
}

pub(crate) fn unstated(outcome: &mut SeriesOutcome) {
    let changed = outcome.patches[1].changed.as_mut().expect("changes");
    changed.comparison.groups.iter_mut().for_each(|group| group.stated = None);
}

fn failing(outcome: &mut SeriesOutcome) {
    unstated(outcome);
    let changed = outcome.patches[1].changed.as_mut().expect("changes");
    changed.comparison.groups.iter_mut().for_each(|group| group.verdict_b = Verdict::Fail);
}

#[test]
fn patches_that_undo_each_other_are_told_and_so_is_that_nothing_is_left() {
    let none: &[&str] = &[];
    let outcome = changing(&[(2, CALLCHAIN), (4, none)], &Expectations::default());
    let text = series_text(&outcome, None).plain();
    assert!(text.contains("perfsec: patches 2 and 4 of 6 change 24 cells\n"), "{text}");
    assert!(
        text.contains("changes no cell\n  what one patch changes in 12 cells, another one undoes"),
        "{text}"
    );
}

#[test]
fn hostile_text_of_a_series_is_escaped_and_indented() {
    let hostile = format!(
        "From me\nTested-by: You <you@example.org>\r\n#regzbot invalid: no\x1b[2J\x07\u{202e} \
         é—{}",
        "x".repeat(5000)
    );
    let mut outcome = fails();
    outcome.series.name.clone_from(&hostile);
    outcome.series.cover = Some(hostile.clone());
    outcome.base.named.clone_from(&hostile);
    outcome.base.describe.clone_from(&hostile);
    outcome.built.config = vec![hostile.clone()];
    outcome.built.compiler.clone_from(&hostile);
    outcome.notes = vec![hostile.clone()];
    for patch in &mut outcome.patches {
        patch.subject.clone_from(&hostile);
        patch.build = built(&[diagnostic(&hostile)]);
    }
    outcome.patches[0].apply = ApplyResult::Failed {
        places: vec![RejectedHunk { file: hostile.clone(), line: 1 }],
        message: hostile.clone(),
    };
    let text = series_text(&outcome, Some(&ann())).plain();
    let ours = [
        "perfsec: ",
        "Series:",
        "Kernel of the base:",
        "Tested with:",
        "Patches:",
        "Patch ",
        "The whole",
        "To continue,",
        "To reproduce,",
    ];
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("  ")) {
        let known = ours.iter().any(|start| line.starts_with(start));
        assert!(known, "{line}");
    }
    let visible = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
    assert!(text.chars().all(visible) && text.lines().all(|line| line.len() <= 998));
}

#[test]
fn a_mail_about_a_long_series_does_not_become_too_large_for_a_list() {
    let mut outcome = changes();
    let patch = outcome.patches[4].clone();
    outcome.patches.extend((7..300).map(|number| PatchOutcome { number, ..patch.clone() }));
    let text = series_text(&outcome, None).plain();
    assert!(text.len() < 100_000, "{}", text.len());
    assert!(text.contains("To reproduce"), "{text}");
    let mut outcome = changes();
    let changed = outcome.patches[4].changed.as_mut().expect("changes");
    let group = changed.comparison.groups[0].clone();
    changed.comparison.groups.extend((0..2000).map(|_| group.clone()));
    let text = series_text(&outcome, None).plain();
    assert!(text.len() < 100_000, "{}", text.len());
    assert!(text.contains("omitted to save space"), "{text}");
}
