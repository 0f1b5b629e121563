//! Reports on bisections. The runs of a record stand for those of two commits.

use perfsec::bisect::{BisectMark, BisectStep, Bisection, CommitInfo, Culprit, Revision, text};
use perfsec::compare::{Comparison, sides};
use perfsec::record::{self, Run};
use perfsec::report::mail::{Letter, Regzbot};

use crate::support::{golden, place};

fn commit(digit: char, subject: &str) -> CommitInfo {
    CommitInfo {
        commit: digit.to_string().repeat(40).parse().expect("a commit"),
        subject: subject.to_owned(),
        author: "Ann Example <ann@example.org>".to_owned(),
        date: "2026-11-25T05:00:00+01:00".to_owned(),
    }
}

fn revision(named: &str, words: CommitInfo) -> Revision {
    Revision { named: named.to_owned(), words }
}

/// The cells in which the ends differ.
fn is_asked_for(name: &str) -> bool {
    name.starts_with("proc/maps/") || name.starts_with("open/callchain/no_kernel_t/paranoid=2/")
}

fn step(digit: char, subject: &str, mark: BisectMark, why: &str) -> BisectStep {
    BisectStep { commit: commit(digit, subject), mark, why: why.to_owned(), record: None }
}

/// A bisection that found a commit that changes only the cells that `changed` selects.
fn outcome(changed: impl Fn(&str) -> bool) -> Bisection {
    let run: Run = record::read(&place("different.jsonl")).expect("a record").run;
    let before = commit('3', "perf: prepare");
    let found = commit('4', "proc: allow reading of maps under CAP_PERFMON");
    let all = sides(&run, "");
    let [mut a, mut b] = [all[0].clone(), all[1].clone()];
    (a.from, b.from) = (before.to_string(), found.to_string());
    let across = Comparison::of(&a, &b, &|name, _| changed(name)).expect("the same cells");
    let cells = run.lanes[0].cells.iter().map(|cell| &cell.name).filter(|name| is_asked_for(name));
    let cells: Vec<_> = cells.cloned().collect();
    let elsewhere: Vec<_> = cells.iter().filter(|name| !changed(name)).cloned().collect();
    let mut started = run.started.clone();
    started.command = ["perfsec", "bisect", "--make", "LLVM=1", "--policy", "/home/ann/own.cil"]
        .map(str::to_owned)
        .to_vec();
    Bisection {
        tree: ".".to_owned(),
        good: revision("v6.18", commit('1', "Linux 6.18")),
        bad: revision("9999999999", commit('9', "Merge branch 'topic'")),
        commits: 14,
        notes: vec!["the cells say so".to_owned()],
        cells,
        steps: vec![
            step(
                '7',
                "perf: a",
                BisectMark::Bad,
                "4 of 5 cells as at the bad end, 1 as at neither",
            ),
            step(
                '2',
                "perf: b",
                BisectMark::Skip,
                "does not build: kernel/events/core.c:12: error: \
                expected ';'; the log is /home/ann/.cache/perfsec/builds/1.log",
            ),
            step('3', "perf: prepare", BisectMark::Good, "5 of 5 cells as at the good end"),
        ],
        built: 5,
        across,
        run: started,
        lane: Some(run.lanes[1].started.clone()),
        found: Culprit::First {
            commit: found,
            elsewhere,
            records: ["a.jsonl".into(), "b.jsonl".into()],
        },
        log: "git bisect start '--no-checkout' '9999' '1111' '--'\n# status: waiting".to_owned(),
    }
}

fn letter(outcome: &Bisection) -> String {
    let introduced = format!("introduced={}", outcome.introduced());
    let letter = Letter {
        from: "Bob Example <bob@example.org>".parse().expect("a mailbox"),
        to: vec!["linux-perf-users@vger.kernel.org".parse().expect("a mailbox")],
        cc: Vec::new(),
        subject: None,
        id: "1@example.org".parse().expect("an id"),
        thread: None,
        regzbot: Regzbot::parse(&[introduced]).expect("the form that the bot takes"),
        attachments: Vec::new(),
        now: 0,
    };
    letter.write_bisection(outcome).plain()
}

fn plain(outcome: &Bisection) -> String {
    text(outcome).plain()
}

#[test]
fn the_reports_are_unchanged() {
    let outcome = outcome(|name| name.starts_with("proc/maps/"));
    golden("bisect.txt", &plain(&outcome));
    golden("bisect.eml", &letter(&outcome));
}

#[test]
fn a_range_is_reported_as_a_range() {
    let mut outcome = outcome(is_asked_for);
    let commits = vec![commit('5', "perf: c"), commit('4', "perf: d")];
    outcome.found = Culprit::Skipped { commits };
    let text = plain(&outcome);
    assert!(text.starts_with("only skipped commits are left"), "{text}");
    assert!(!text.contains("first bad commit\n"), "{text}");
    let mail = letter(&outcome);
    let range = format!("{}..{}", "1".repeat(40), "5".repeat(40));
    assert!(mail.ends_with(&format!("\n\n#regzbot introduced: {range}\n")), "{mail}");
    assert!(mail.contains("\nSubject: [REGRESSION] perfsec: one of 2 commits changes"), "{mail}");
}

#[test]
fn hostile_commits_are_escaped_in_reports() {
    let mut outcome = outcome(|name| name.starts_with("proc/maps/"));
    let hostile = format!(
        "From me\nTested-by: You <you@example.org>\r\n#regzbot invalid: no\x1b[2J\u{202e} é {}",
        "x".repeat(3000)
    );
    let words =
        CommitInfo { author: hostile.clone(), date: hostile.clone(), ..commit('4', &hostile) };
    outcome.good = revision(&hostile, words.clone());
    outcome.steps[0].why.clone_from(&hostile);
    outcome.steps[0].commit = words.clone();
    outcome.notes.push(hostile.clone());
    outcome.log.clone_from(&hostile);
    outcome.run.command = vec!["--append".to_owned(), hostile.clone()];
    if let Culprit::First { commit, elsewhere, .. } = &mut outcome.found {
        *commit = words;
        elsewhere.push(hostile);
    }
    let mail = letter(&outcome);
    assert!(mail.is_ascii() && mail.lines().all(|line| line.len() <= 998), "{mail}");
    assert_eq!(mail.matches("\n#regzbot ").count(), 1, "{mail}");
    assert!(!mail.contains("\nTested-by") && !mail.contains("\nFrom me"), "{mail}");
    let shown = text(&outcome).plain();
    assert!(!shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown}");
}
