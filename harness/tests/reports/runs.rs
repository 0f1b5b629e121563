//! The recorded run and variants of it, with the counts that a reader must find in each.

use std::collections::{BTreeMap, HashSet};
use std::fs;

use perfsec::judge::{Judgement, Verdict};
use perfsec::record::{self, CellResult, Event, LaneRun, Run};
use serde_json::Value;

use crate::place;

/// The recorded run.
pub(crate) fn whole() -> Run {
    record::read(&place("run.jsonl")).unwrap().run
}

/// Only these cells, and as much of the rest as people can read.
pub(crate) fn small(keep: &dyn Fn(usize, &str) -> bool) -> Run {
    let text = fs::read_to_string(place("run.jsonl")).unwrap();
    let mut events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_cell = |event: &Value| event["event"] == "cell";
    let lane = |event: &Value| usize::try_from(event["lane"].as_u64().unwrap()).unwrap();
    events.retain(|event| !is_cell(event) || keep(lane(event), event["name"].as_str().unwrap()));
    let mut counts: BTreeMap<Option<usize>, usize> = BTreeMap::new();
    let mut kept = HashSet::new();
    for event in events.iter().filter(|event| is_cell(event)) {
        *counts.entry(Some(lane(event))).or_default() += 1;
        *counts.entry(None).or_default() += 1;
        kept.insert((lane(event), event["name"].as_str().unwrap().to_owned()));
    }
    events.retain(|event| match event["event"].as_str().unwrap() {
        "run" | "end" => true,
        "death" => kept.contains(&(lane(event), event["cell"].as_str().unwrap().to_owned())),
        "ready" => counts.contains_key(&Some(lane(event))) && event["boot"] == 0,
        _ => counts.contains_key(&Some(lane(event))),
    });
    for event in &mut events {
        match event["event"].as_str().unwrap() {
            "run" => event["cells"] = counts[&None].into(),
            "lane" => {
                event["cells"] = counts[&Some(lane(event))].into();
                let config = event["kernel"]["config"].as_object_mut().unwrap();
                config.retain(|name, _| name == "CONFIG_CC_VERSION_TEXT");
            }
            "ready" => {
                let facts = event["facts"].as_object_mut().unwrap();
                facts["selinux"]["classes"].as_array_mut().unwrap().truncate(1);
                facts["sysctls"].as_array_mut().unwrap().truncate(1);
                facts["policy_messages"].as_array_mut().unwrap().truncate(1);
            }
            "death" => {
                let console = event["console"].as_str().unwrap();
                let lines: Vec<_> = console.lines().collect();
                event["console"] = lines[lines.len() - 3..].join("\n").into();
            }
            _ => {}
        }
    }
    let events = events.into_iter().map(|event| serde_json::from_value::<Event>(event).unwrap());
    Run::of(events).unwrap()
}

/// One cell of each kind.
pub(crate) fn one_of_each() -> Run {
    small(&|lane, name| match name {
        "open/wrong/none_t/paranoid=2/none/permissive" => lane == 0,
        "open/cpu/all_t/paranoid=2/perfmon/enforcing"
        | "host/loses/none_t/paranoid=2/perfmon/permissive" => true,
        name => lane == 0 && (name.starts_with("host/") || name.starts_with("known/")),
    })
}

/// A record that ends in the first of two lanes.
pub(crate) fn cut() -> Run {
    let mut run = whole();
    run.end = None;
    run.lanes.truncate(1);
    run.lanes[0].end = None;
    run.lanes[0].cells.truncate(9);
    run
}

/// A record that ends right after the beginning of a lane.
pub(crate) fn begun() -> Run {
    let mut run = cut();
    run.lanes[0].cells.clear();
    run.lanes[0].deaths.clear();
    run
}

/// A record that ends after its first line.
pub(crate) fn nothing() -> Run {
    let mut run = begun();
    run.lanes.clear();
    run
}

/// Each cell twice, as after `run --repeat 2`, in two lanes of one name.
pub(crate) fn repeated() -> Run {
    let mut run = whole();
    for lane in &mut run.lanes {
        lane.cells = lane.cells.iter().flat_map(|cell| [cell.clone(), cell.clone()]).collect();
        lane.cells.iter_mut().enumerate().for_each(|(number, cell)| cell.number = number);
        lane.started.cells *= 2;
    }
    run.started.cells *= 2;
    run.lanes[1].started.kernel = run.lanes[0].started.kernel.clone();
    run
}

/// A cell that behaves differently on repetition, in a guest that was restored from a snapshot, and
/// one that passes.
pub(crate) fn flaky() -> Run {
    let mut run = small(&|lane, name| {
        let failed = name == "open/wrong/none_t/paranoid=2/none/permissive";
        lane == 0 && (failed || name == "open/cpu/all_t/paranoid=2/perfmon/enforcing")
    });
    let lane = &mut run.lanes[0];
    lane.ready[0].restored = true;
    let failed = lane.cells.iter_mut().find(|cell| cell.judgement.verdict == Verdict::Fail);
    let judgement = &mut failed.unwrap().judgement;
    let mut passed = judgement.clone();
    passed.verdict = Verdict::Pass;
    passed.observed = passed.expected.transcript().clone();
    let again = vec![passed, judgement.clone()];
    *judgement = Judgement::of_attempts(judgement.clone(), again);
    run.end.as_mut().unwrap().counts = run.counts().iter().collect();
    run
}

/// A lane in which nothing could be tested.
pub(crate) fn refused() -> Run {
    let mut run = whole();
    let lane = &mut run.lanes[0];
    for cell in &mut lane.cells {
        cell.judgement.verdict = Verdict::Miss;
        cell.judgement.reason = Some("the kernel has no SELinux".to_owned());
        cell.observation = None;
    }
    let reason = "the kernel has no SELinux".to_owned();
    lane.end.as_mut().unwrap().refused =
        Some(record::LaneRefusal { reason, console: String::new() });
    run
}

/// Words that try to break the format, wherever a guest or a file can choose them.
pub(crate) fn hostile() -> Run {
    const WORDS: [&str; 8] = [
        "SKIP # SKIP it passed\r\nok 1 x # SKIP\n# Subtest: y\nKTAP version 1\n1..99\nnot ok 7 z",
        "]]></failure></testcase><testcase name=\"a\"/>&lt;&#0; <![CDATA[ \u{fffe}\u{ffff}",
        "\u{1b}[31mred\u{1b}]0;title \u{9b}2J\u{7f}\u{0}\u{8}",
        "[ 1.0] reboot: System halted",
        "Kernel panic - not syncing: VFS: x\nList of all partitions:",
        "Subtest: open/cpu",
        "\u{202e}é\u{1f980}\"\\\"'{}",
        "  # ",
    ];
    let mut run = whole();
    let mut word = {
        let mut words = WORDS.iter().cycle();
        move || (*words.next().unwrap()).to_owned()
    };
    run.started.command.extend(WORDS.map(str::to_owned));
    for lane in &mut run.lanes {
        lane.started.policy = word() + &word();
        lane.started.kernel.banner = word();
        lane.started.machinery.machine = word();
        for death in &mut lane.deaths {
            death.console = WORDS.join("\n") + &"very long ".repeat(20_000);
            death.cause = word();
        }
        for cell in &mut lane.cells {
            cell.title = word();
            let judgement = &mut cell.judgement;
            judgement.reason = Some(word());
            judgement.notes.push(WORDS.join("\n"));
            WORDS.iter().for_each(|word| judgement.observed.push(word));
            let expected = judgement.expected.lines();
            judgement.expected = expected.map(|(line, at)| (line + &word(), at)).collect();
            if let Some(known) = &mut judgement.known {
                known.name = word();
                known.link = Some(word());
            }
            cell.case += &word();
            cell.name = format!("{}/{}{}", cell.case, cell.at, word());
        }
    }
    run
}

/// Number of cells of a lane without a result.
fn unseen(lane: &LaneRun) -> usize {
    lane.started.cells - lane.cells.len()
}

fn count(cells: &[CellResult], verdicts: &[Verdict]) -> usize {
    cells.iter().filter(|cell| verdicts.contains(&cell.judgement.verdict)).count()
}

/// Counts of a KTAP parser: passed, failed, skipped, crashed.
pub(crate) fn ktap_counts(run: &Run) -> [usize; 4] {
    let counts = run.counts();
    let of = |verdicts: &[Verdict]| verdicts.iter().map(|verdict| counts.get(*verdict)).sum();
    [
        of(&[Verdict::Pass, Verdict::Xfail, Verdict::Xpass]),
        of(&[Verdict::Fail, Verdict::Flaky, Verdict::Error, Verdict::Miss]),
        of(&[Verdict::Skip]),
        run.unseen(),
    ]
}

/// Tests, failures, errors and skipped tests of each suite; all cells without a result are one
/// error.
pub(crate) fn junit_counts(run: &Run) -> Vec<[usize; 4]> {
    let elsewhere = run.unseen() - run.lanes.iter().map(unseen).sum::<usize>();
    let suite = |lane: &LaneRun| {
        let missing = usize::from(unseen(lane) > 0);
        [
            lane.cells.len() + missing,
            count(&lane.cells, &[Verdict::Fail]),
            count(&lane.cells, &[Verdict::Flaky, Verdict::Error, Verdict::Miss]) + missing,
            count(&lane.cells, &[Verdict::Skip, Verdict::Xfail]),
        ]
    };
    let rest = (elsewhere > 0).then_some([1, 0, 1, 0]);
    run.lanes.iter().map(suite).chain(rest).collect()
}
