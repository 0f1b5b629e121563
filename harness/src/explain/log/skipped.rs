//! Lists the records and lines that are not explained.

use super::super::text::paragraph;
use crate::audit::{Log, RecordGroup};
use crate::counted::counted;
use crate::text::{Text, line};

/// The number of record groups to name that are not about perf.
const UNRELATED: usize = 8;

/// Lists the records and lines that are not explained. Lines in no form are the caller's.
pub(super) fn skipped(
    out: &mut Text,
    log: &Log,
    unrelated: &[&RecordGroup],
    undetermined: &[&RecordGroup],
) {
    let undetermined: usize = undetermined.iter().map(|group| group.count).sum();
    if undetermined > 0 {
        let records = counted(undetermined, "record");
        paragraph(
            out,
            0,
            &format!(
                "skipped {records} of capabilities that may not be about perf: no SYSCALL record \
                 shows the call"
            ),
        );
    }
    for group in unrelated.iter().take(UNRELATED) {
        let denial = &group.denial;
        let names: Vec<_> = denial.permissions.iter().map(String::as_str).collect();
        let comm = denial.comm.as_deref().unwrap_or("a program");
        let line = format!(
            "{comm} in {}: {} {{ {} }} is not about perf ({})",
            denial.source.short(),
            denial.class,
            names.join(" "),
            counted(group.count, "record"),
        );
        paragraph(out, 0, &line);
    }
    if unrelated.len() > UNRELATED {
        let more = unrelated.len() - UNRELATED;
        let are = if more == 1 { "group of records is" } else { "groups of records are" };
        line!(out, "and {more} more {are} not about perf");
    }
    if log.damaged > 0 {
        let why = log.damage.as_ref().map_or(String::new(), |error| format!(": {error}"));
        paragraph(out, 0, &format!("{} not a complete AVC record{why}", are(log.damaged)));
    }
    if log.too_long > 0 {
        paragraph(out, 0, &format!("{} longer than any record", are(log.too_long)));
    }
}

fn are(lines: usize) -> String {
    format!("{} {}", counted(lines, "line"), if lines == 1 { "is" } else { "are" })
}
