//! Runs for tests: the record of a real run, and variants of it.

use std::path::Path;

use crate::judge::Verdict;
use crate::record::{self, Run};

/// A run with every kind of verdict.
pub(super) fn run() -> Run {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/run.jsonl");
    record::read(&path).unwrap().run
}

/// The same run with only the cells that passed or were skipped.
pub(super) fn passed() -> Run {
    let mut run = run();
    for lane in &mut run.lanes {
        lane.deaths.clear();
        lane.cells.retain(|cell| matches!(cell.judgement.verdict, Verdict::Pass | Verdict::Skip));
    }
    run.started.cells = run.cells().count();
    run
}

/// A text that tries to break every format.
pub(super) fn hostile() -> String {
    let long = "x".repeat(5000);
    format!(
        "From me\nTested-by: You <you@example.org>\r\n#regzbot invalid: no\
         \x1b[2J\x07\u{9b}31m\u{202e} é—\u{fffd}\
         \n.\n---\n]]><b>&amp; {long} ünd 日本"
    )
}

/// The fixture with a hostile text wherever a case, a guest or a host chooses one.
pub(super) fn hostile_run() -> Run {
    let text = hostile();
    let mut run = run();
    run.started.host.clone_from(&text);
    run.started.started.clone_from(&text);
    run.started.perfsec.clone_from(&text);
    run.started.command = vec!["--append".to_owned(), text.clone()];
    run.started.asked.cases_directory = Some(text.clone().into());
    run.started.asked.cases_sha256.clone_from(&text);
    run.started.asked.filter.names = vec![text.clone()];
    for lane in &mut run.lanes {
        let kernel = &mut lane.started.kernel;
        let image = kernel.image.as_mut().expect("the fixture's kernels have images");
        for field in [&mut kernel.release, &mut kernel.banner, &mut image.sha256] {
            field.push_str(&text);
        }
        kernel.config = None;
        kernel.origin = crate::kernel::Origin::File { path: text.clone().into() };
        lane.started.policy.clone_from(&text);
        lane.started.machinery.machine.clone_from(&text);
        for ready in &mut lane.ready {
            ready.facts.lsm.push(text.clone());
        }
        for death in &mut lane.deaths {
            death.cause.clone_from(&text);
            death.cell = None;
            death.console = format!("Kernel panic - not syncing: {text}\n{text}");
        }
        for cell in &mut lane.cells {
            for field in [&mut cell.name, &mut cell.case, &mut cell.title] {
                *field = format!("{text}/{field}");
            }
            cell.path = text.clone().into();
            cell.source = vec![text.clone()];
            let judgement = &mut cell.judgement;
            judgement.reason = Some(text.clone());
            judgement.observed.push(&text);
            judgement.notes.push(text.clone());
            let expected = judgement.expected.lines().enumerate();
            let hostile = |(at, (line, place))| (if at == 0 { text.clone() } else { line }, place);
            judgement.expected = expected.map(hostile).collect();
            if let Some(known) = &mut judgement.known {
                known.reason.clone_from(&text);
                known.link = Some(text.clone());
            }
        }
    }
    run
}
