//! The forms in which people have records, in one table.

use std::collections::BTreeMap;
use std::fmt;

use crate::counted::counted;

/// A form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// `/var/log/audit/audit.log`, as auditd writes it.
    AuditLog,
    /// The same with names after a control character (`log_format = ENRICHED`).
    AuditLogEnriched,
    /// `ausearch`, `ausearch --raw`.
    Ausearch,
    /// `ausearch -i`
    AusearchInterpreted,
    /// `ausearch --format csv`
    AusearchCsv,
    /// `ausearch --format text`
    AusearchText,
    /// `aureport -a`
    Aureport,
    /// A message of setroubleshoot.
    Setroubleshoot,
    /// `dmesg`, in each of its time formats; the serial console.
    KernelLog,
    /// A file of syslog, in the old format or that of RFC 5424.
    Syslog,
    /// `journalctl`, in each of its short formats.
    Journal,
    /// `journalctl -o json`, and `json-pretty`, `json-sse`, `json-seq`.
    JournalJson,
    /// `journalctl -o export`
    JournalExport,
    /// `journalctl -o verbose`
    JournalVerbose,
    /// JSON of laurel.
    Laurel,
    /// Documents of auditbeat, or of anything that uses the Elastic Common Schema.
    Auditbeat,
    /// JSON of go-audit.
    GoAudit,
    /// Docker's json-file logs.
    DockerLog,
    /// Logs of Kubernetes' containers, in the format of CRI.
    CriLog,
    /// Android's `logcat`.
    Logcat,
    /// Records in strings or fields of other JSON.
    Json,
    /// A table with a column for records or for each field.
    Csv,
    /// A record alone.
    Bare,
}

/// The unit in which a form counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Records with the same event id are one.
    Event,
    Record,
    Line,
    Row,
    Message,
}

/// The description of a form.
#[derive(Debug)]
pub struct FormDescription {
    /// The form.
    pub form: Form,
    /// Its name in the output.
    pub name: &'static str,
    /// The fields of AVC records that it lacks, as the end of "without …".
    pub lacks: Option<&'static str>,
    unit: Unit,
}

const fn row(form: Form, name: &'static str, unit: Unit) -> FormDescription {
    FormDescription { form, name, lacks: None, unit }
}

const fn poor(form: Form, name: &'static str, unit: Unit, lacks: &'static str) -> FormDescription {
    FormDescription { form, name, lacks: Some(lacks), unit }
}

/// All forms.
pub static FORMS: [FormDescription; 23] = [
    row(Form::AuditLog, "audit.log", Unit::Event),
    row(Form::AuditLogEnriched, "audit.log, enriched", Unit::Event),
    row(Form::Ausearch, "ausearch", Unit::Event),
    row(Form::AusearchInterpreted, "ausearch -i", Unit::Event),
    poor(
        Form::AusearchCsv,
        "ausearch --format csv",
        Unit::Row,
        "the class, the permissions, the contexts and permissive=",
    ),
    poor(
        Form::AusearchText,
        "ausearch --format text",
        Unit::Line,
        "the class, the permissions, the contexts and permissive=",
    ),
    poor(Form::Aureport, "aureport -a", Unit::Row, "permissive= and the result of the call"),
    poor(
        Form::Setroubleshoot,
        "setroubleshoot",
        Unit::Message,
        "the domain of the program, permissive= and the result of the call",
    ),
    row(Form::KernelLog, "kernel log", Unit::Event),
    row(Form::Syslog, "syslog", Unit::Event),
    row(Form::Journal, "journal", Unit::Record),
    row(Form::JournalJson, "journal JSON", Unit::Event),
    row(Form::JournalExport, "journal export", Unit::Event),
    row(Form::JournalVerbose, "journal verbose", Unit::Event),
    row(Form::Laurel, "laurel JSON", Unit::Event),
    row(Form::Auditbeat, "auditbeat JSON", Unit::Event),
    row(Form::GoAudit, "go-audit JSON", Unit::Event),
    row(Form::DockerLog, "docker json-file", Unit::Event),
    row(Form::CriLog, "CRI container log", Unit::Event),
    row(Form::Logcat, "logcat", Unit::Event),
    row(Form::Json, "JSON", Unit::Event),
    row(Form::Csv, "CSV", Unit::Row),
    row(Form::Bare, "record alone", Unit::Record),
];

impl Form {
    /// The form's row in [`FORMS`].
    #[must_use]
    pub fn description(self) -> &'static FormDescription {
        FORMS.iter().find(|row| row.form == self).unwrap_or(&FORMS[FORMS.len() - 1])
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description().name)
    }
}

/// The forms that were read, and how much of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormCounts {
    counts: BTreeMap<Form, Count>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Count {
    number: usize,
    /// The event of the last record.
    last: Option<String>,
}

impl FormCounts {
    /// Counts a record. The records of one event count once in forms that name the event.
    pub(in crate::audit) fn count(&mut self, form: Form, event: Option<&str>) {
        let count = self.counts.entry(form).or_default();
        let same = form.description().unit == Unit::Event
            && event.is_some()
            && count.last.as_deref() == event;
        if !same {
            count.number += 1;
            count.last = event.map(str::to_owned);
        }
    }

    /// Each form with its count and unit: `laurel JSON, 3 events`.
    pub fn iter(&self) -> impl Iterator<Item = (Form, String)> {
        self.counts.iter().map(|(form, count)| {
            let unit = match form.description().unit {
                Unit::Event => "event",
                Unit::Record => "record",
                Unit::Line => "line",
                Unit::Row => "row",
                Unit::Message => "message",
            };
            (*form, format!("{form}, {}", counted(count.number, unit)))
        })
    }

    /// True if no form was recognised.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn records_of_an_event_count_once() {
        let mut counts = FormCounts::default();
        for event in ["1", "1", "2"] {
            counts.count(Form::AuditLog, Some(event));
            counts.count(Form::Journal, Some(event));
        }
        counts.count(Form::AuditLog, None);
        let texts: Vec<_> = counts.iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["audit.log, 3 events", "journal, 3 records"]);
    }

    #[test]
    fn the_page_on_explain_lists_every_form() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/explain.md");
        let page = std::fs::read_to_string(page).unwrap();
        for row in &FORMS {
            let line = format!("    {:<24}", row.name);
            assert!(page.lines().any(|known| known.starts_with(&line)), "{line}");
        }
    }
}
