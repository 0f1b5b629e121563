//! `cargo xtask suite`: runs the suite on several kernels and prints one table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use xshell::{Shell, cmd};

use crate::error::Error;
use crate::setup;

/// The kernels on which the suite must pass: every long-term series in Debian's archive, the newest
/// series, and for two series a release before the fixes that the cases name.
pub(crate) const KERNELS: [&str; 7] = [
    "debian:5.10",
    "debian:6.1",
    "debian:6.12",
    "debian:6.18",
    "debian:7.3",
    "debian:5.10.218",
    "debian:6.12.94",
];

/// The kernels on which the suite must pass under the policies of Debian's suites: one of each.
const UNDER_POLICIES: [&str; 4] = ["debian:5.10", "debian:6.1", "debian:6.12", "debian:7.3"];

/// Policies of Debian's suites.
const POLICIES: [&str; 4] = ["debian:bullseye", "debian:bookworm", "debian:trixie", "debian:sid"];

/// A kernel and a distribution's policy that every run of the tests covers.
pub(crate) const TESTED_POLICY: (&str, &str) = ("debian:6.12", "debian:trixie");

/// The domain of confined users and that of everybody else, in Debian's policies.
pub(crate) const CONTEXTS: [&str; 2] =
    ["user_u:user_r:user_t:s0", "unconfined_u:unconfined_r:unconfined_t:s0"];

/// A kernel built from source the usual way, with the options of `kconfigs/`.
pub(crate) const FROM_SOURCE: &str = "tree:debian:6.1";

/// Options of `suite`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels, as for `perfsec run --kernel`; `all` means every kernel on which the suite must
    /// pass, or with --policies one for each of Debian's suites.
    #[arg(long, value_name = "KERNEL", default_value = "all")]
    kernels: Vec<String>,
    /// Run in the domains of users under these policies, as for `perfsec run --policy`, rather than
    /// under perfsec's own; `all` means the default policy of each of Debian's suites.
    #[arg(long, value_name = "POLICY")]
    policies: Vec<String>,
    /// The contexts of these domains [default: those of user_t and unconfined_t].
    #[arg(long, value_name = "CONTEXT", requires = "policies")]
    domain: Vec<String>,
    /// Run only these cells (globs on their names).
    #[arg(value_name = "CELL")]
    cells: Vec<String>,
}

/// The results on one kernel under one policy.
#[derive(Clone, Debug, Default, PartialEq)]
struct Column {
    release: String,
    policy: String,
    /// Number of cells by area and verdict.
    areas: BTreeMap<String, BTreeMap<String, usize>>,
    boots: u64,
    seconds: f64,
}

impl Options {
    fn kernels(&self) -> Vec<&str> {
        let all: &[&str] = if self.policies.is_empty() { &KERNELS } else { &UNDER_POLICIES };
        expand(&self.kernels, all)
    }

    /// Arguments of the runs on each kernel.
    fn under(&self) -> Vec<Vec<&str>> {
        if self.policies.is_empty() {
            return vec![Vec::new()];
        }
        let contexts: Vec<&str> = match &*self.domain {
            [] => CONTEXTS.to_vec(),
            given => given.iter().map(String::as_str).collect(),
        };
        let under = |policy| {
            let domains = contexts.iter().flat_map(|context| ["--domain", *context]);
            ["--policy", policy].into_iter().chain(domains).collect()
        };
        expand(&self.policies, &POLICIES).into_iter().map(under).collect()
    }
}

/// The given names, with `all` replaced.
fn expand<'a>(names: &'a [String], all: &[&'a str]) -> Vec<&'a str> {
    let each = |name: &'a String| match name.as_str() {
        "all" => all.to_vec(),
        other => vec![other],
    };
    names.iter().flat_map(each).collect()
}

/// Runs the suite on each kernel, under each policy, and prints the table. Fails if a run failed.
pub(crate) fn suite(shell: &Shell, options: &Options) -> Result<(), Error> {
    let perfsec = setup::build(shell)?;
    setup::install(shell, &perfsec, &["run", "debian"])?;
    if !options.policies.is_empty() {
        setup::install(shell, &perfsec, &["policies"])?;
    }
    let room = shell.create_temp_dir()?;
    let record = room.path().join("record.jsonl");
    let (mut columns, mut failed) = (Vec::new(), None);
    for kernel in options.kernels() {
        for under in options.under() {
            let cells = &options.cells;
            let run =
                cmd!(shell, "{perfsec} run --kernel {kernel} {under...} --out {record} {cells...}");
            let command = run.to_string();
            eprintln!("$ {command}");
            let status = Command::from(run)
                .status()
                .map_err(|source| Error::Start { command: command.clone(), source })?;
            if !status.success() {
                failed.get_or_insert(Error::Failed { command, status, reported: true });
            }
            columns.push(Column::read(&text(&record)?));
        }
    }
    print!("{}", table(&columns));
    failed.map_or(Ok(()), Err)
}

fn text(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::File { doing: "read", path: path.to_owned(), source };
    fs::read_to_string(path).map_err(failed)
}

impl Column {
    /// Reads a run record. Skips lines that are not events.
    fn read(text: &str) -> Self {
        let mut column = Self::default();
        for event in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            match event["event"].as_str() {
                Some("lane") => {
                    let release = event["kernel"]["version"].as_str();
                    column.release = release.unwrap_or_default().to_owned();
                    // The first lane's; later ones may be without a policy.
                    if column.policy.is_empty() {
                        column.policy = event["policy"].as_str().unwrap_or_default().to_owned();
                    }
                }
                Some("cell") => {
                    let case = event["case"].as_str().unwrap_or_default();
                    let area = case.split('/').next().unwrap_or_default();
                    let verdict = event["judgement"]["verdict"].as_str().unwrap_or_default();
                    let counts = column.areas.entry(area.to_owned()).or_default();
                    *counts.entry(verdict.to_owned()).or_default() += 1;
                }
                Some("lane_end") => {
                    column.boots += event["boots"].as_u64().unwrap_or_default();
                    column.seconds += event["millis"].as_f64().unwrap_or_default() / 1000.0;
                }
                _ => {}
            }
        }
        column
    }

    fn total(&self) -> BTreeMap<String, usize> {
        let mut total = BTreeMap::new();
        for (verdict, count) in self.areas.values().flatten() {
            *total.entry(verdict.clone()).or_default() += count;
        }
        total
    }
}

/// `412` if all cells passed; otherwise with the count of each other verdict: `400 12 SKIP`.
fn counts(counts: &BTreeMap<String, usize>) -> String {
    let mut text = counts.get("PASS").copied().unwrap_or_default().to_string();
    for (verdict, count) in counts.iter().filter(|(verdict, _)| *verdict != "PASS") {
        let _ = write!(text, " {count} {verdict}");
    }
    text
}

/// Formats a row for each area and a column for each kernel.
fn table(columns: &[Column]) -> String {
    let areas: BTreeSet<_> = columns.iter().flat_map(|column| column.areas.keys()).collect();
    let none = BTreeMap::new();
    let mut rows: Vec<(String, Vec<String>)> = vec![
        ("PASS".to_owned(), columns.iter().map(|c| c.release.clone()).collect()),
        ("policy".to_owned(), columns.iter().map(|c| c.policy.clone()).collect()),
    ];
    for area in areas {
        let cells = columns.iter().map(|c| counts(c.areas.get(area).unwrap_or(&none)));
        rows.push((area.clone(), cells.collect::<Vec<_>>()));
    }
    rows.push(("total".to_owned(), columns.iter().map(|c| counts(&c.total())).collect()));
    rows.push(("boots".to_owned(), columns.iter().map(|c| c.boots.to_string()).collect()));
    let seconds = |column: &Column| format!("{:.0}", column.seconds);
    rows.push(("seconds".to_owned(), columns.iter().map(seconds).collect()));

    let first = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let width =
        |at: usize| rows.iter().filter_map(|(_, cells)| cells.get(at)).map(String::len).max();
    let widths: Vec<_> = (0..columns.len()).map(|at| width(at).unwrap_or_default()).collect();
    let mut out = String::new();
    for (name, cells) in &rows {
        let _ = write!(out, "{name:first$}");
        for (cell, width) in cells.iter().zip(&widths) {
            let _ = write!(out, "  {cell:>width$}");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str = r#"{"event":"lane","kernel":{"version":"6.1.192"},"policy":"minimal"}
{"event":"cell","case":"open/a","judgement":{"verdict":"PASS"}}
{"event":"cell","case":"open/b","judgement":{"verdict":"PASS"}}
{"event":"cell","case":"bpf/a","judgement":{"verdict":"SKIP"}}
{"event":"lane_end","boots":1,"millis":2500}
"#;

    #[test]
    fn the_table_has_a_row_for_each_area_and_a_column_for_each_kernel() {
        let text = table(&[Column::read(RECORD), Column::default()]);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["PASS", "6.1.192"]);
        assert_eq!(lines[1], ["policy", "minimal"]);
        assert_eq!(lines[2], ["bpf", "0", "1", "SKIP", "0"]);
        assert_eq!(lines[3], ["open", "2", "0"]);
        assert_eq!(lines[4], ["total", "2", "1", "SKIP", "0"]);
        assert_eq!(lines[6], ["seconds", "2", "0"]);
    }
}
