//! The page of a walk, as text and HTML.

use std::path::PathBuf;
use std::time::Duration;

use rstest::rstest;

use super::*;

fn finding(claim: &str, verdict: Verdict) -> Finding {
    Finding { claim: claim.to_owned(), verdict }
}

/// A walk with every kind of verdict.
fn walk() -> Walkthrough {
    let but = || "a line matches `it's <here>`".to_owned();
    let lines: String = (0..12).map(|it| format!("line {it}\n")).collect();
    let commands = vec![
        Performed {
            prompt: "root#".to_owned(),
            typed: "getenforce".to_owned(),
            output: vec!["Permissive".to_owned()],
            exit: Some(0),
            findings: vec![finding("it is permissive", Verdict::Kept)],
            ..Performed::default()
        },
        Performed {
            prompt: "user$".to_owned(),
            typed: format!("cat >a <<'END-OF-FILE'\n{lines}END-OF-FILE"),
            why: "Because a policy of today\nhas both.".to_owned(),
            output: vec!["<b>&\tc</b>\u{1b}[31m".to_owned()],
            exit: Some(255),
            took: Duration::from_millis(12_345),
            findings: vec![
                finding(
                    "nothing is here",
                    Verdict::Differs { but: but(), why: "1234567 changed it".to_owned() },
                ),
                finding("nothing is there", Verdict::Broken { but: but() }),
            ],
        },
        Performed {
            prompt: "root#".to_owned(),
            typed: "sleep 1000".to_owned(),
            took: Duration::from_secs(60),
            ..Performed::default()
        },
    ];
    let boot = Boot {
        parameters: "selinux=0".to_owned(),
        took: Duration::from_millis(2_345),
        restored: true,
    };
    let step = StepOutcome {
        title: "A policy & its class".to_owned(),
        says: "Steps 1 to 5: get the policy's source, and so on, with words that\nfill a line."
            .to_owned(),
        boot: Some(boot),
        commands,
    };
    Walkthrough {
        kernel: "Linux 6.12.0".to_owned(),
        system: "guest system debian:trixie (image 0123456789ab)".to_owned(),
        packages: vec!["linux-perf 6.12".to_owned(), "auditd 4.0".to_owned()],
        machine: "QEMU emulator version 7.2.22, tcg".to_owned(),
        steps: vec![step],
        stopped: None,
        took: Duration::from_secs(321),
    }
}

#[rstest]
#[case("page.txt", text(&walk()).plain())]
#[case("page.html", html(&walk()).plain())]
fn the_page_shows_each_command_and_each_promise(#[case] name: &str, #[case] page: String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/howto/testdata").join(name);
    if std::env::var_os("PERFSEC_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == page,
        "PERFSEC_BLESS=1 writes {name}\n{page}"
    );
}

#[rstest]
#[case([0, 0, 0], true, "promises: 0 kept")]
#[case([2, 0, 0], true, "promises: 2 kept")]
#[case([2, 1, 0], true, "promises: 2 kept, 1 differing as explained")]
#[case([2, 0, 1], false, "promises: 2 kept, 1 broken")]
#[case([2, 1, 1], false, "promises: 2 kept, 1 differing as explained, 1 broken")]
fn a_walk_holds_unless_a_promise_is_broken(
    #[case] counts: [usize; 3],
    #[case] holds: bool,
    #[case] summary: &str,
) {
    let but = String::new;
    let verdicts = [
        Verdict::Kept,
        Verdict::Differs { but: but(), why: but() },
        Verdict::Broken { but: but() },
    ];
    let findings = verdicts.iter().zip(counts);
    let findings = findings.flat_map(|(it, count)| vec![finding("c", it.clone()); count]);
    let command = Performed { findings: findings.collect(), ..Performed::default() };
    let step = StepOutcome { commands: vec![command], ..StepOutcome::default() };
    let walk = Walkthrough { steps: vec![step.clone()], ..Walkthrough::default() };
    assert_eq!((walk.counts(), walk.holds(), walk.summary().as_str()), (counts, holds, summary));
    assert_eq!(step.holds(), holds);
}
