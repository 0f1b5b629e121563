//! JUnit XML, as GitLab, Jenkins and GitHub Actions display it.
//!
//! They agree on little. GitLab identifies a test by class and name within a job and ignores its
//! suite; Jenkins takes the part of a class before the last dot for a package. So names are unique
//! across all suites, and slashes in the name of a case become dots.

use std::collections::HashMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use super::plain::{
    Names, death, death_of, details, lane_name, name_in_case, one_line, unseen, unseen_elsewhere,
};
use super::wording::{self, guests};
use crate::judge::Verdict;
use crate::record::{CellResult, LaneRun, Run};
use crate::text::Text;

/// Class of the tests that represent cells without a result.
const OURS: &str = "perfsec";

/// Writes the report.
pub(super) fn junit(run: &Run) -> Text {
    let mut report = Report::new("perfsec");
    if let Some(end) = &run.end {
        report.set_time(Duration::from_millis(end.millis));
    }
    let (mut suites, mut names) = (Names::default(), Names::default());
    // A name contains the lane only if it must, so that a test keeps its name on the next kernel.
    let distinct = are_names_distinct(run);
    for lane in &run.lanes {
        let name = suites.unique(&lane_name(&lane.started));
        let suffix = if distinct { String::new() } else { format!(" on {name}") };
        report.add_test_suite(suite(run, lane, &name, &suffix, &mut names));
    }
    let elsewhere = unseen_elsewhere(run);
    if elsewhere > 0 {
        let mut suite = TestSuite::new("lanes that did not begin");
        suite.add_test_case(without_result(elsewhere, "", &mut names));
        report.add_test_suite(suite);
    }
    let mut text = Text::of_block(report.to_string().expect("memory takes all"));
    text.end();
    text
}

/// True if no two lanes have a cell of the same name, as lanes of one kernel in several boot modes.
fn are_names_distinct(run: &Run) -> bool {
    let mut lanes = HashMap::new();
    run.lanes.iter().enumerate().all(|(number, lane)| {
        lane.cells.iter().all(|cell| *lanes.entry(&cell.name).or_insert(number) == number)
    })
}

fn suite(run: &Run, lane: &LaneRun, name: &str, suffix: &str, names: &mut Names) -> TestSuite {
    let mut suite = TestSuite::new(name);
    if let Ok(started) = run.started.started.parse::<jiff::Timestamp>() {
        let time = started.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        suite.extra.insert("timestamp".into(), time.into());
    }
    if let Some(end) = &lane.end {
        suite.set_time(Duration::from_millis(end.millis));
    }
    suite.add_properties(properties(run, lane));
    for cell in &lane.cells {
        suite.add_test_case(test(lane, cell, name, suffix, names));
    }
    let unseen = unseen(lane);
    if unseen > 0 {
        suite.add_test_case(without_result(unseen, &format!(" on {name}"), names));
    }
    let mut console: Vec<String> = lane.deaths.iter().flat_map(death).collect();
    console.extend(
        lane.refused().map(|reason| format!("nothing could be tested: {}", one_line(reason))),
    );
    if !console.is_empty() {
        suite.set_system_err(console.join("\n"));
    }
    suite
}

fn properties(run: &Run, lane: &LaneRun) -> Vec<Property> {
    let guests = guests(lane).map(|guests| ("guests", guests));
    let (started, kernel) = (&lane.started, &lane.started.kernel);
    let properties = [
        ("perfsec", run.started.perfsec.clone()),
        ("kernel.release", kernel.release.clone()),
        ("kernel.version", kernel.version.to_string()),
        ("kernel.banner", kernel.banner.clone()),
        ("kernel.origin", kernel.origin.to_string()),
        ("kernel.sha256", kernel.sha256().unwrap_or_default().to_owned()),
        ("policy", started.policy_text()),
        ("policy.sha256", started.policy_sha256.clone()),
        ("boot", started.boot.to_string()),
        ("machine", started.machinery.machine.clone()),
        ("accel", started.machinery.accel.clone()),
        ("parameters", started.machinery.parameters.clone()),
        ("host", run.started.host.clone()),
    ];
    let properties = properties.into_iter().chain(guests);
    properties.map(|(name, value)| Property::new(name, one_line(&value))).collect()
}

fn test(
    lane: &LaneRun,
    cell: &CellResult,
    name: &str,
    suffix: &str,
    names: &mut Names,
) -> TestCase {
    let judgement = &cell.judgement;
    let mut status = match judgement.verdict {
        Verdict::Pass | Verdict::Xpass => TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // Not as `flakyFailure`, which CI systems count as a pass.
        Verdict::Flaky | Verdict::Error | Verdict::Miss => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        // JUnit has no expected failure. A failure would turn a pipeline red that perfsec considers
        // a success, and a passed test would hide the difference; a skipped one shows the reason.
        Verdict::Xfail | Verdict::Skip => TestCaseStatus::skipped(),
    };
    let reason = one_line(judgement.reason.as_deref().unwrap_or_default());
    let message = match judgement.verdict {
        verdict @ (Verdict::Xfail | Verdict::Flaky) => format!("{verdict}: {reason}"),
        _ if reason.is_empty() => format!("not as expected: {}", one_line(&cell.title)),
        _ => reason.clone(),
    };
    let mut text = vec![format!("{} on {name}", one_line(&cell.name))];
    text.extend(details(cell));
    text.extend(death_of(lane, cell).into_iter().flat_map(death));
    status.set_message(message).set_type(judgement.verdict.to_string());
    // The message of a skipped cell is its reason, but some viewers show the text instead.
    status.set_description(if judgement.verdict == Verdict::Skip {
        reason.clone()
    } else {
        text.join("\n")
    });

    let class = one_line(&cell.case).replace('/', ".");
    let name = one_line(&format!("{}{suffix}", name_in_case(cell)));
    let unique = names.unique(&format!("{class}/{name}"));
    let mut test =
        TestCase::new(unique.strip_prefix(&format!("{class}/")).unwrap_or(&name), status);
    test.set_classname(class);
    if let Some(observation) = &cell.observation {
        test.set_time(Duration::from_micros(observation.micros.into()));
    }
    if judgement.verdict == Verdict::Xpass {
        test.set_system_out(format!("XPASS: a known difference is gone: {reason}"));
    }
    test
}

/// One error for all cells without a result, which must not look like a success.
fn without_result(count: usize, suffix: &str, names: &mut Names) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status
        .set_type("MISS")
        .set_message(format!("{}: the run ended before them", wording::without_result(count)));
    let mut test = TestCase::new(names.unique(&format!("cells without a result{suffix}")), status);
    test.set_classname(OURS);
    test
}
