//! A submission to KCIDB, KernelCI's database of results, in version 5.3 of its schema
//! (`kcidb_io.schema.V5_3` of the package `kcidb-io`).
//!
//! A cell is a test run, a kernel is a build of a checkout, and a known difference is an issue,
//! with an incident for each cell that shows it or no longer does. Values that perfsec does not
//! know are omitted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::plain::{death, death_of, details, lane_name, one_line};
use crate::case::KnownDifference;
use crate::judge::{Attempt, Judgement, Verdict};
use crate::kernel::{Kernel, Origin};
use crate::record::{CellResult, LaneRun, Run};
use crate::text::Text;

/// The longest excerpt of a log, in characters.
const EXCERPT: usize = 16384;

/// Root of the paths of perfsec's tests.
const ROOT: &str = "perfsec";

/// Name of the submitting CI system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KcidbOrigin(String);

impl Default for KcidbOrigin {
    fn default() -> Self {
        Self("perfsec".to_owned())
    }
}

impl fmt::Display for KcidbOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for KcidbOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if text.is_empty() || !text.chars().all(allowed) {
            return Err("an origin consists of `a` to `z`, `0` to `9` and `_`".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl KcidbOrigin {
    /// An id that depends on all of these parts and on nothing else.
    fn id(&self, parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let hex = crate::hex(&hash.finalize());
        format!("{self}:{}", &hex[..32])
    }
}

#[derive(Serialize)]
struct Submission {
    version: KcidbVersion,
    checkouts: Vec<Checkout>,
    builds: Vec<KcidbBuild>,
    tests: Vec<Test>,
    issues: Vec<Issue>,
    incidents: Vec<KcidbIncident>,
}

#[derive(Serialize)]
struct KcidbVersion {
    major: u32,
    minor: u32,
}

#[derive(Serialize)]
struct Checkout {
    id: String,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    git_commit_name: Option<String>,
    comment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    valid: bool,
    misc: Value,
}

#[derive(Serialize)]
struct KcidbBuild {
    id: String,
    checkout_id: String,
    origin: String,
    comment: String,
    architecture: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    compiler: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_name: Option<String>,
    status: &'static str,
    misc: Value,
}

#[derive(Serialize)]
struct Test {
    id: String,
    build_id: String,
    origin: String,
    path: String,
    comment: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_excerpt: Option<String>,
    environment: Environment,
    misc: Value,
}

#[derive(Serialize)]
struct Environment {
    comment: String,
    misc: Value,
}

#[derive(Serialize)]
struct Issue {
    id: String,
    version: u32,
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    report_url: Option<String>,
    report_subject: String,
    culprit: KcidbCulprit,
    comment: String,
}

#[derive(Serialize)]
struct KcidbCulprit {
    code: bool,
    tool: bool,
    harness: bool,
}

#[derive(Serialize)]
struct KcidbIncident {
    id: String,
    origin: String,
    issue_id: String,
    issue_version: u32,
    test_id: String,
    present: bool,
    comment: String,
}

/// Writes the report.
pub(super) fn kcidb(run: &Run, origin: &KcidbOrigin) -> Text {
    let mut submission = Submission {
        version: KcidbVersion { major: 5, minor: 3 },
        checkouts: Vec::new(),
        builds: Vec::new(),
        tests: Vec::new(),
        issues: Vec::new(),
        incidents: Vec::new(),
    };
    let (mut kernels, mut issues) = (BTreeSet::new(), BTreeSet::new());
    for lane in &run.lanes {
        let kernel = &lane.started.kernel;
        let build_id = origin.id(&["build", kernel.identity()]);
        if kernels.insert(build_id.clone()) {
            let checkout = checkout(run, kernel, origin);
            submission.builds.push(build(kernel, origin, &build_id, &checkout.id));
            if submission.checkouts.iter().all(|known| known.id != checkout.id) {
                submission.checkouts.push(checkout);
            }
        }
        let mut repetitions = BTreeMap::new();
        for cell in &lane.cells {
            let repetition = repetitions.entry(&cell.name).or_insert(0);
            *repetition += 1;
            let test = test(run, lane, cell, *repetition, origin, &build_id);
            if let Some(known) = &cell.judgement.known {
                let issue = issue(known, origin);
                submission.incidents.push(incident(cell, &issue, &test, origin));
                if issues.insert(issue.id.clone()) {
                    submission.issues.push(issue);
                }
            }
            submission.tests.push(test);
        }
    }
    crate::text::json(&submission)
}

/// The source of a kernel, as far as it is known.
fn checkout(run: &Run, kernel: &Kernel, origin: &KcidbOrigin) -> Checkout {
    let from = kernel.origin.to_string();
    let (commit, name) = match &kernel.origin {
        Origin::Tree { commit, described, .. } => (Some(commit), Some(one_line(described))),
        Origin::File { .. }
        | Origin::Deb { .. }
        | Origin::Rpm { .. }
        | Origin::Debian { .. }
        | Origin::Running { .. } => (None, None),
    };
    Checkout {
        id: origin.id(&[
            "checkout",
            match &kernel.origin {
                // Two files may or may not come from the same source.
                Origin::File { .. } | Origin::Running { .. } => kernel.identity(),
                Origin::Tree { commit, .. } => commit,
                Origin::Deb { .. } | Origin::Rpm { .. } | Origin::Debian { .. } => &from,
            },
        ]),
        origin: origin.to_string(),
        git_commit_name: name,
        comment: one_line(&format!("Linux {}: {from}", kernel.version)),
        start_time: time(&run.started.started),
        valid: true,
        misc: without_nulls(json!({
            "version": kernel.version.to_string(),
            // Not `git_commit_hash`: for uncommitted changes perfsec makes a commit that nobody
            // else has.
            "commit": commit,
            "distribution": kernel.distribution.as_deref().map(one_line),
        })),
    }
}

fn build(kernel: &Kernel, origin: &KcidbOrigin, id: &str, checkout_id: &str) -> KcidbBuild {
    KcidbBuild {
        id: id.to_owned(),
        checkout_id: checkout_id.to_owned(),
        origin: origin.to_string(),
        comment: one_line(&kernel.banner),
        architecture: kernel.arch.name(),
        compiler: compiler(kernel),
        config_name: match &kernel.origin {
            Origin::Tree { fragments, .. } => Some(one_line(&fragments.join("+"))),
            _ => kernel.distribution.as_deref().map(one_line),
        },
        status: "PASS",
        misc: without_nulls(json!({
            "release": one_line(&kernel.release),
            "sha256": kernel.sha256(),
            "config": kernel.config,
        })),
    }
}

/// The compiler, from the configuration or the banner:
/// `Linux version R (WHO) (COMPILER, LINKER) #1 …`.
fn compiler(kernel: &Kernel) -> Option<String> {
    let config = kernel.config.as_ref().and_then(|config| config.get("CONFIG_CC_VERSION_TEXT"));
    let banner = || {
        let (_, after) = kernel.banner.split_once(") (")?;
        let (tools, _) = after.split_once(") #")?;
        Some(tools.split_once(", ").map_or(tools, |(compiler, _)| compiler))
    };
    let text = config.or_else(banner)?;
    Some(one_line(text)).filter(|text| !text.is_empty())
}

fn test(
    run: &Run,
    lane: &LaneRun,
    cell: &CellResult,
    repetition: usize,
    origin: &KcidbOrigin,
    build_id: &str,
) -> Test {
    let (started, judgement) = (&lane.started, &cell.judgement);
    let verdict = judgement.verdict;
    let this_lane = started.lane.to_string();
    let parts = [&*run.started.started, &run.started.agent, &this_lane, &cell.name];
    let mut excerpt = details(cell);
    excerpt.extend(death_of(lane, cell).into_iter().flat_map(death));
    let machinery = &started.machinery;
    Test {
        id: origin.id(&[["test", &repetition.to_string()].as_slice(), &parts].concat()),
        build_id: build_id.to_owned(),
        origin: origin.to_string(),
        path: path(&cell.name),
        comment: one_line(&cell.title),
        status: status(verdict),
        duration: cell.observation.as_ref().map(|seen| f64::from(seen.micros) / 1e6),
        log_excerpt: (verdict != Verdict::Pass).then(|| shortened(&excerpt.join("\n"))),
        environment: Environment {
            comment: format!(
                "{}, {}, {}{}",
                lane_name(started),
                one_line(&machinery.machine),
                one_line(&machinery.accel),
                if restored(lane, cell) { ", restored from a snapshot" } else { "" }
            ),
            misc: without_nulls(json!({
                "policy": one_line(&started.policy_text()),
                "policy_sha256": started.policy_sha256,
                "boot": started.boot,
                "parameters": one_line(&machinery.parameters),
                "restored": restored(lane, cell).then_some(true),
            })),
        },
        misc: without_nulls(json!({
            "cell": one_line(&cell.name),
            "verdict": verdict,
            "reason": judgement.reason.as_deref().map(one_line),
            "attempts": (!judgement.attempts.is_empty()).then(|| attempts(judgement)),
            "source": cell.source.iter().map(|line| one_line(line)).collect::<Vec<_>>(),
            "case_sha256": cell.case_sha256,
            "perfsec": one_line(&run.started.perfsec),
        })),
    }
}

/// True if the guest of a cell was restored from a snapshot.
fn restored(lane: &LaneRun, cell: &CellResult) -> bool {
    lane.ready.iter().any(|ready| ready.boot == cell.boot && ready.restored)
}

/// The attempts at a flaky cell.
fn attempts(judgement: &Judgement) -> Vec<Value> {
    let attempt = |attempt: &Attempt| {
        without_nulls(json!({
            "verdict": attempt.verdict,
            "reason": attempt.reason.as_deref().map(one_line),
            "observed": attempt.observed.lines().map(|line| one_line(&line)).collect::<Vec<_>>(),
        }))
    };
    judgement.attempts.iter().map(attempt).collect()
}

/// The status of a verdict. KCIDB has none for a known difference, which is a failure with an
/// incident, and none for a flaky cell. That one is an error: `FAIL` would blame the kernel, and
/// `DONE` counts for less than a pass. The verdict itself is in `misc`.
fn status(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass | Verdict::Xpass => "PASS",
        Verdict::Fail | Verdict::Xfail => "FAIL",
        Verdict::Skip => "SKIP",
        Verdict::Flaky | Verdict::Error => "ERROR",
        Verdict::Miss => "MISS",
    }
}

/// A known difference as an issue. A changed description makes another issue, so versions never
/// rise.
fn issue(known: &KnownDifference, origin: &KcidbOrigin) -> Issue {
    let link = known.link.as_deref().unwrap_or_default();
    let (name, reason) = (one_line(&known.name), one_line(&known.reason));
    let url = uri(link);
    let comment = match &url {
        None if !link.is_empty() => format!("{name}: {reason} ({})", one_line(link)),
        _ => format!("{name}: {reason}"),
    };
    Issue {
        id: origin.id(&["issue", &known.name, &known.reason, link]),
        version: 1,
        origin: origin.to_string(),
        report_url: url,
        report_subject: reason,
        culprit: KcidbCulprit { code: true, tool: false, harness: false },
        comment,
    }
}

fn incident(cell: &CellResult, issue: &Issue, test: &Test, origin: &KcidbOrigin) -> KcidbIncident {
    let verdict = cell.judgement.verdict;
    KcidbIncident {
        id: origin.id(&["incident", &issue.id, &test.id]),
        origin: origin.to_string(),
        issue_id: issue.id.clone(),
        issue_version: issue.version,
        test_id: test.id.clone(),
        present: verdict == Verdict::Xfail,
        comment: format!("{verdict} {}", one_line(&cell.name)),
    }
}

/// The path of a cell: `perfsec.open.cpu-kernel.none_t.paranoid_2.perfmon.enforcing`.
fn path(cell: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let parts = cell.split('/').filter(|part| !part.is_empty());
    parts.fold(ROOT.to_owned(), |path, part| {
        path + "." + &part.chars().map(allowed).collect::<String>()
    })
}

/// The text, shortened in the middle if it is too long: its end shows the cause of a death.
fn shortened(text: &str) -> String {
    const CUT: &str = "\n[...]\n";
    let count = text.chars().count();
    if count <= EXCERPT {
        return text.to_owned();
    }
    let half = (EXCERPT - CUT.len()) / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    begin + CUT + &end
}

/// Drops null values, which KCIDB does not allow.
fn without_nulls(mut misc: Value) -> Value {
    if let Value::Object(map) = &mut misc {
        map.retain(|_, value| !value.is_null());
    }
    misc
}

/// A valid time, or `None`.
fn time(text: &str) -> Option<String> {
    text.parse::<jiff::Timestamp>().ok().map(|time| time.to_string())
}

/// A link, if every character of it is allowed in a web address.
fn uri(link: &str) -> Option<String> {
    let (_, rest) =
        link.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=".contains(c);
    let once = rest.matches('#').count() <= 1;
    (!rest.is_empty() && once && rest.chars().all(allowed)).then(|| link.to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "a/b/none_t/paranoid=-1/perfmon+bpf/enforcing",
        "perfsec.a.b.none_t.paranoid_-1.perfmon_bpf.enforcing"
    )]
    #[case("é//x", "perfsec._.x")]
    fn a_path_has_only_characters_that_paths_can_have(#[case] cell: &str, #[case] wanted: &str) {
        assert_eq!(path(cell), wanted);
    }

    #[rstest]
    #[case("redhat", true)]
    #[case("my_lab2", true)]
    #[case("", false)]
    #[case("My-Lab", false)]
    fn an_origin_is_a_name_that_kcidb_accepts(#[case] name: &str, #[case] good: bool) {
        assert_eq!(name.parse::<KcidbOrigin>().is_ok(), good);
    }

    #[rstest]
    #[case("https://lore.kernel.org/all/x@y/", true)]
    #[case("see https://a", false)]
    #[case("https://a b", false)]
    #[case("https://a/[x]", false)]
    #[case("javascript:alert(1)", false)]
    fn only_a_web_address_is_a_link(#[case] link: &str, #[case] good: bool) {
        assert_eq!(uri(link).is_some(), good);
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_its_end() {
        let text = format!("begin{}end", "é".repeat(2 * EXCERPT));
        let short = shortened(&text);
        assert!(short.chars().count() <= EXCERPT);
        assert!(short.starts_with("begin") && short.ends_with("end"));
        assert_eq!(shortened("short"), "short");
    }
}
