//! The AVC report of `aureport -a`: a row for each record.
//!
//! Its columns: number, date, time, comm, subject, system call, class, permission, object, result,
//! event. The system call is a number without `-i`. The result is that of the record; some versions
//! print `unset`.

use std::sync::LazyLock;

use regex::Regex;

use super::super::assemble::Summary;
use super::super::denial::{Context, Denial};
use super::super::syscall::AuditedCall;

static ROW: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let head = r"^\s*\d+\. (\S+ \S+) (.+) (\S+:\S+:\S+|\?|\(null\)|\S+_t)";
    let rest = r"(\S+) (\w+) (\S+) (\S+) (denied|granted|unset) (\d+)\s*$";
    Regex::new(&format!("{head} {rest}")).ok()
});

/// Reads a row. Returns `None` if the line has another form.
pub(super) fn read(line: &str) -> Option<Summary> {
    let found = ROW.as_ref()?.captures(line)?;
    let text = |at: usize| found.get(at).map_or("", |part| part.as_str());
    let context = |text: &str| match text {
        "?" | "(null)" | "unset" => Context::omitted(),
        text => Context { text: text.to_owned(), invalid: false },
    };
    let denial = Denial {
        granted: text(8) == "granted",
        permissions: text(6).split(',').map(str::to_owned).collect(),
        class: text(5).to_owned(),
        comm: Some(text(2)).filter(|comm| *comm != "?").map(str::to_owned),
        ..Denial::summarised(context(text(3)), context(text(7)), line)
    };
    // The report does not name the architecture; a number is that of the machine.
    let call = AuditedCall::parse(&format!("arch=x86_64 syscall={}", text(4)));
    let call = call.filter(|_| !matches!(text(4), "?" | "unset" | "(null)"));
    let time = text(1).replace(':', ".");
    Some(Summary { denial, event: Some(format!("{time}:{}", text(9))), call })
}

/// True for the title of the report and of its columns.
pub(super) fn is_title(line: &str) -> bool {
    let line = line.trim();
    line == "AVC Report"
        || line == "# date time comm subj syscall class permission obj result event"
        || line == "Avc Object Summary Report"
}
