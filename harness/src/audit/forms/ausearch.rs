//! The two reports of `ausearch` that leave out the records: `--format csv` and `--format text`.
//!
//! Both name the program and the outcome of the event, and neither the class, the permissions nor
//! the contexts. The csv's columns are NODE, EVENT, DATE, TIME, SERIAL_NUM, EVENT_KIND, SESSION,
//! SUBJ_PRIME, SUBJ_SEC, SUBJ_KIND, ACTION, RESULT, OBJ_PRIME, OBJ_SEC, OBJ_KIND, HOW.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::super::assemble::Assembler;
use super::super::notice::{DecisionSummary, Notice};
use super::form::Form;

/// The action of events with an AVC record.
const ACTION: &str = "accessed-mac-policy-controlled-object";

static TEXT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let head = r"^(?:On \S+ )?At (\S+ \S+) (.*?),? ?(successfully|unsuccessfully) (\S+)";
    Regex::new(&format!(r"{head}(?: (.*?))??(?: using (.+?))?\s*$")).ok()
});

/// An event of a report.
pub(super) struct ReportedEvent {
    action: String,
    summary: DecisionSummary,
}

/// Reads a line of `--format text`. Returns `None` if the line has another form.
pub(super) fn text(line: &str) -> Option<ReportedEvent> {
    let found = TEXT.as_ref()?.captures(line)?;
    let text = |at: usize| found.get(at).map(|part| part.as_str().to_owned());
    let summary = DecisionSummary {
        program: text(6),
        succeeded: Some(text(3)? == "successfully"),
        serial: None,
        when: text(1),
    };
    Some(ReportedEvent { action: text(4)?, summary })
}

/// Reads a row of `--format csv`.
pub(super) fn row(row: &BTreeMap<String, String>, out: &mut Assembler) {
    let get = |key: &str| row.get(key).filter(|text| !text.is_empty()).cloned();
    let when = [get("DATE"), get("TIME")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let summary = DecisionSummary {
        program: get("HOW"),
        succeeded: get("RESULT").map(|text| text.starts_with("success")),
        serial: get("SERIAL_NUM"),
        when: Some(when).filter(|when| !when.is_empty()),
    };
    let action = match get("EVENT").as_deref() {
        Some("AVC") => ACTION.to_owned(),
        _ => get("ACTION").unwrap_or_default(),
    };
    add(ReportedEvent { action, summary }, Form::AusearchCsv, out);
}

/// Adds an event, if SELinux decided in it.
pub(super) fn add(event: ReportedEvent, form: Form, out: &mut Assembler) {
    out.other(form);
    if event.action == ACTION {
        out.log.add_notice(Notice::Decision(event.summary));
    }
}
