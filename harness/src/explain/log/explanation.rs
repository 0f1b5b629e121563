//! The explanation of a whole log.

use std::collections::{BTreeMap, HashMap};

use super::super::knowledge::Knowledge;
use super::super::missing;
use super::super::text::paragraph;
use super::advice::least;
use super::effect::made_good;
use super::errors::excluded;
use super::item::item;
use super::notices::notices;
use super::skipped::skipped;
use super::triage::Triage;
use super::{effect, lockdown};
use crate::audit::{AuditedCall, Form, Log, RecordGroup};
use crate::text::Text;

/// The explanation of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogExplanation {
    /// The text to print.
    pub text: Text,
    /// Number of records that it explains.
    pub records: usize,
    /// Number of other lines that it explains: messages of the kernel, calls without a record.
    pub facts: usize,
}

/// A program in a domain.
struct Actor<'a> {
    domain: &'a str,
    comm: Option<&'a str>,
    groups: Vec<&'a RecordGroup>,
}

/// Explains the records about perf in a log, program by program, and the other facts. Lines that no
/// form has are left to the caller ([`Log::unread`]).
#[must_use]
pub fn log(log: &Log, knowledge: &Knowledge) -> LogExplanation {
    let Triage { about_perf, undetermined, unrelated } = Triage::new(log, knowledge);
    let mut actors: Vec<Actor<'_>> = Vec::new();
    let mut indices = HashMap::new();
    for group in about_perf {
        let source = &group.denial.source;
        let domain = if source.is_omitted() { UNKNOWN_DOMAIN } else { source.short() };
        let comm = group.denial.comm.as_deref();
        let index = *indices.entry((domain, comm)).or_insert_with(|| {
            actors.push(Actor { domain, comm, groups: Vec::new() });
            actors.len() - 1
        });
        actors[index].groups.push(group);
    }
    let mut text = Text::new();
    forms(&mut text, log);
    let mut records = 0;
    for actor in &actors {
        records += actor.groups.iter().map(|group| group.count).sum::<usize>();
        explain(&mut text, actor, knowledge);
        text.end();
    }
    let facts = notices(&mut text, log);
    skipped(&mut text, log, &unrelated, &undetermined);
    text.trim_end();
    LogExplanation { text, records, facts }
}

/// Stands for a domain that the form of the log omits.
const UNKNOWN_DOMAIN: &str = "a domain that the log does not name";

/// Names the forms that were read, and what they lack.
fn forms(out: &mut Text, log: &Log) {
    if log.forms.is_empty() {
        return;
    }
    let named: Vec<_> = log.forms.iter().map(|(_, text)| text).collect();
    paragraph(out, 0, &format!("read as: {}", named.join("; ")));
    for (form, _) in log.forms.iter() {
        let Some(lacks) = form.description().lacks else { continue };
        let (or, more) = match form {
            Form::Setroubleshoot => (
                " or the sealert command in the message",
                ". The kernel asks for open, cpu, kernel and tracepoint of perf_event with the \
                 domain on both sides, so there the type in the message is the domain",
            ),
            _ => ("", ""),
        };
        let text = format!(
            "{form} leaves out {lacks}: `ausearch -m AVC -ts recent -i`{or} shows the records{more}"
        );
        paragraph(out, 2, &text);
    }
    out.end();
}

fn explain(out: &mut Text, actor: &Actor<'_>, knowledge: &Knowledge) {
    let (domain, comm) = (actor.domain, actor.comm.unwrap_or("a program"));
    let groups = actor.groups.as_slice();
    paragraph(out, 0, &format!("{comm} in {domain}: {}", outcome(groups)));
    let mut seen: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut items: Vec<(&RecordGroup, &str)> = Vec::new();
    for group in groups {
        for name in &group.denial.permissions {
            let key = (group.denial.class.as_str(), name.as_str());
            if !seen.contains_key(&key) {
                items.push((group, name));
            }
            *seen.entry(key).or_default() += group.count;
        }
    }
    for (group, name) in items {
        let class = group.denial.class.as_str();
        let number = seen.get(&(class, name)).copied().unwrap_or_default();
        let alike = groups
            .iter()
            .filter(|other| other.denial.class == class && other.denial.permissions.contains(name));
        let calls: Vec<&AuditedCall> = alike.flat_map(|other| &other.calls).collect();
        item(out, group, name, number, &calls, knowledge);
    }
    let missing = missing::missing_records(groups);
    for note in &missing.notes {
        paragraph(out, 2, note);
        if note.ends_with(':') {
            reasons(out, 4, missing.reasons);
        }
    }
    for note in made_good(groups, domain) {
        paragraph(out, 2, &note);
    }
    if groups.iter().any(|group| lockdown::is_ignored(&group.denial)) {
        paragraph(out, 2, lockdown::IGNORED);
    }
    let mut calls: Vec<_> = groups.iter().flat_map(|group| &group.calls).collect();
    calls.sort();
    calls.dedup();
    let excluded: Vec<_> = calls.iter().filter_map(|call| excluded(call, groups)).collect();
    for note in &excluded {
        paragraph(out, 2, note);
    }
    least(out, groups, knowledge, !excluded.is_empty());
}

/// Lists the possible reasons for a missing record.
fn reasons(out: &mut Text, indent: usize, reasons: &[&str]) {
    for (number, reason) in reasons.iter().enumerate() {
        let end = if number + 1 < reasons.len() { ";" } else { "." };
        paragraph(out, indent, &format!("{}. {reason}{end}", number + 1));
    }
}

/// Summarises the outcome of all records.
fn outcome(groups: &[&RecordGroup]) -> String {
    let has = |test: fn(&RecordGroup) -> bool| groups.iter().any(|group| test(group));
    let granted = has(|group| group.denial.granted);
    let harmless = has(|group| effect::is_harmless(group) && group.denial.refused());
    let refused = has(|group| {
        !group.denial.granted
            && group.denial.permissive == Some(false)
            && !effect::is_harmless(group)
    });
    let let_through = has(|group| !group.denial.granted && group.denial.permissive == Some(true));
    let unsaid = has(|group| !group.denial.granted && group.denial.permissive.is_none());
    let mut words = Vec::new();
    if refused {
        words.push("denied by SELinux (permissive=0)");
    }
    if harmless {
        words.push("denied by SELinux (permissive=0), which broke nothing");
    }
    if let_through {
        words.push("denied by SELinux but let through (permissive=1)");
    }
    if unsaid {
        words.push("denied by SELinux, perhaps let through (the records lack permissive=)");
    }
    if granted {
        words.push("allowed, and logged by an auditallow rule");
    }
    words.join("; ")
}
