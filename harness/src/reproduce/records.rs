//! AVC records as patterns of fnmatch(3).

use std::collections::BTreeSet;

use perfsec_wire::Step;
use perfsec_wire::step::Prctl;

use super::expected::ExpectedStep;
use super::literal::string;
use super::obstacle::Obstacle;
use crate::case::Case;
use crate::policy::KERNEL;
use crate::transcript::{Avc, quoted};

/// The domain of the parent, which only the running program knows.
const PARENT: &str = "(parent)";

/// A record that a step must cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The name of the process, as the record has it.
    comm: String,
    pattern: String,
}

/// A process that causes a record.
pub(super) struct Cause<'a> {
    /// Name of its executable.
    pub(super) comm: &'a str,
    /// Its domain.
    pub(super) domain: &'a str,
    /// True in permissive mode.
    pub(super) permissive: bool,
}

impl Record {
    /// Any pid, and contexts by their type: the rest of a context is that of the shell.
    pub(super) fn of(avc: &Avc, cause: &Cause<'_>) -> Result<Self, Obstacle> {
        let value = |key: &str| avc.field(key).map(str::to_owned);
        let source = value("scontext").unwrap_or_else(|| cause.domain.to_owned());
        let target = value("tcontext").unwrap_or_else(|| source.clone());
        let (source, target) = (by_type(&source)?, by_type(&target)?);
        let comm = value("comm").unwrap_or_else(|| quoted(cause.comm));
        let mut pattern = format!(
            "avc:  {}  {{ {} }} for  pid=* comm={}",
            avc.verb,
            avc.permissions.join(" "),
            escaped(&comm)
        );
        for (key, value) in &avc.fields {
            match key.as_str() {
                "pid" | "comm" | "scontext" | "tcontext" | "tclass" | "permissive" => {}
                "srawcon" | "trawcon" => return Err(Obstacle::Policy("extra".to_owned())),
                // dump_common_audit_data() prints " capability=%d ".
                "capability" => pattern.push_str(&format!(" capability={value} ")),
                _ => pattern.push_str(&format!(" {key}={}", escaped(value))),
            }
        }
        let class = value("tclass").unwrap_or_default();
        pattern.push_str(&format!(" scontext={source} tcontext={target} tclass={class}"));
        if avc.verb == "denied" {
            let own = || u8::from(cause.permissive).to_string();
            let permissive = value("permissive").unwrap_or_else(own);
            pattern.push_str(&format!(" permissive={permissive}"));
        }
        Ok(Self { comm, pattern })
    }
}

fn by_type(context: &str) -> Result<String, Obstacle> {
    match context {
        _ if context == format!("u:r:{KERNEL}:s0") => Ok(format!("*:{PARENT}*")),
        text if text.contains(':') => Err(Obstacle::Policy("minimal".to_owned())),
        // Without levels, nothing follows the type.
        domain => Ok(format!("*:{domain}*")),
    }
}

/// A value as a pattern that matches it; `*` alone stays one that matches anything.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('[', "?")
}

/// The argument of `check` with the records of a step, as lines of C, and true if it names the
/// parent's domain.
pub(super) fn argument(records: &[Record], width: usize) -> (Vec<String>, bool) {
    let has_parent = records.iter().any(|record| record.pattern.contains(PARENT));
    let mut lines = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let mut text = record.pattern.clone();
        if has_parent {
            text = text.replace('%', "%%").replace(PARENT, "%1$s");
        }
        if index + 1 < records.len() {
            text.push('\n');
        }
        lines.extend(pieces(&text, width).iter().map(|piece| string(piece)));
    }
    if lines.is_empty() {
        lines.push(string(""));
    }
    if has_parent {
        lines[0].insert_str(0, "with_parent(");
        if let Some(last) = lines.last_mut() {
            last.push(')');
        }
    }
    (lines, has_parent)
}

/// Cuts a text behind blanks.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split_inclusive(' ') {
        let last = pieces.len() - 1;
        if !pieces[last].is_empty() && string(&pieces[last]).len() + word.len() > width {
            pieces.push(word.to_owned());
        } else {
            pieces[last].push_str(word);
        }
    }
    pieces
}

/// The condition of C that a record is one of the subject's, or of a task that it made.
pub(super) fn ours(case: &Case, expected: &[ExpectedStep]) -> String {
    let mut names = BTreeSet::from([quoted(&case.comm)]);
    names.extend(expected.iter().flat_map(|step| &step.records).map(|it| it.comm.clone()));
    names.extend(case.steps.iter().filter_map(|step| match step {
        Step::Prctl(Prctl::SetName(name)) => Some(quoted(name)),
        _ => None,
    }));
    let is = |name: &String| format!("strstr(record, {})", string(&format!(" comm={name} ")));
    match names.iter().map(is).collect::<Vec<_>>().as_slice() {
        [one] => one.clone(),
        several => format!("({})", several.join(" || ")),
    }
}
