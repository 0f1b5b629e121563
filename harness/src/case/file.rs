//! The shape of a case file, and its way to a checked [`Case`].

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use perfsec_wire::step::{Action, Task};
use perfsec_wire::{BootMode, CapSet, Lockdown, Mode, Step};
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::complete::{self, Completeness};
use super::lines::{line_of, line_span};
use super::values::{Many, Named};
use super::{
    Axes, Case, CaseError, CaseProcess, Condition, Expect, OtherCase, Selector, Transcript,
};
use crate::grant::Grant;
use crate::kernel::{FixedIn, KernelVersion};

/// The user id of a subject whose case names none: any that is not root's will do, because root
/// holds every capability whatever its executable carries.
pub const UNPRIVILEGED: u32 = 1000;

/// What stands for the domain where there is none.
const NO_DOMAIN: &str = "no-domain";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    source: Vec<String>,
    domain: Option<Many<String>>,
    perf_event_paranoid: Many<i32>,
    #[serde(default = "every_grant")]
    grant: Many<Grant>,
    mode: Option<Many<Named<Mode>>>,
    #[serde(default)]
    boot: BootMode,
    policy: Option<Spanned<String>>,
    #[serde(default = "on")]
    audit: bool,
    #[serde(default)]
    lockdown: Lockdown,
    #[serde(default = "unprivileged")]
    uid: u32,
    #[serde(default = "usual_comm")]
    comm: Spanned<String>,
    #[serde(default)]
    messages: Vec<String>,
    #[serde(default)]
    syscall_records: bool,
    #[serde(default)]
    process: BTreeMap<String, ProcessTable>,
    #[serde(default)]
    sysctl: BTreeMap<String, String>,
    #[serde(default)]
    requires: Vec<Spanned<String>>,
    control: Option<Spanned<String>>,
    #[serde(default)]
    when: BTreeMap<String, WhenTable>,
    #[serde(default)]
    given: Vec<Spanned<Step>>,
    step: Vec<Spanned<Step>>,
    #[serde(default)]
    expect: Vec<Spanned<ExpectTable>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessTable {
    #[serde(default = "unprivileged")]
    uid: u32,
    #[serde(default)]
    grant: Option<Grant>,
    domain: String,
    #[serde(default)]
    step: Vec<Spanned<Step>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WhenTable {
    since: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    series: Option<Spanned<String>>,
    distribution: Option<String>,
    config: Option<String>,
    reason: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectTable {
    domain: Option<Spanned<Many<String>>>,
    perf_event_paranoid: Option<Spanned<Many<i32>>>,
    grant: Option<Spanned<Many<Grant>>>,
    mode: Option<Spanned<Many<Named<Mode>>>>,
    xfail: Option<Spanned<String>>,
    transcript: Spanned<String>,
}

fn every_grant() -> Many<Grant> {
    let names = ["none", "perfmon", "sys_admin", "perfmon+sys_admin"];
    Many(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn on() -> bool {
    true
}

fn usual_comm() -> Spanned<String> {
    Spanned::new(0..0, crate::plan::COMM.to_owned())
}

fn unprivileged() -> u32 {
    UNPRIVILEGED
}

/// Reads the text of one case file.
///
/// # Errors
///
/// Everything that is wrong with it, or the first thing when nothing after it makes sense.
pub(super) fn read(
    name: &str,
    path: &Path,
    text: &str,
    completeness: Completeness,
) -> Result<Case, Vec<CaseError>> {
    let error = |span: Range<usize>, message: String, help: Option<String>| CaseError {
        path: path.to_owned(),
        text: text.to_owned(),
        span,
        message,
        help,
    };
    let file: File = toml::from_str(text).map_err(|toml| {
        let message = toml.message().to_owned();
        let help = suggestion(&message);
        vec![error(toml.span().unwrap_or(0..0), message, help)]
    })?;
    let mut errors = Vec::new();

    let mode = file.mode.map(|modes| modes.0.into_iter().map(|mode| mode.0).collect::<Vec<_>>());
    let (domain, mode) = match (file.boot.has_policy(), file.domain, mode) {
        (true, Some(domain), None) => (domain.0, Mode::ALL.to_vec()),
        (true, Some(domain), Some(mode)) if !mode.contains(&Mode::Disabled) => (domain.0, mode),
        (false, None, None) => (vec![NO_DOMAIN.to_owned()], vec![Mode::Disabled]),
        (true, None, _) => {
            errors.push(error(0..0, "the case has no `domain`".to_owned(), None));
            (vec![NO_DOMAIN.to_owned()], Mode::ALL.to_vec())
        }
        (true, ..) => {
            let message = "the mode `disabled` needs a boot without a policy".to_owned();
            errors.push(error(0..0, message, Some("add `boot = \"no-policy\"`".to_owned())));
            (vec![NO_DOMAIN.to_owned()], Mode::ALL.to_vec())
        }
        (false, ..) => {
            let message = "without a policy there is neither a domain nor a mode".to_owned();
            errors.push(error(0..0, message, Some("leave `domain` and `mode` out".to_owned())));
            (vec![NO_DOMAIN.to_owned()], vec![Mode::Disabled])
        }
    };
    let axes = Axes { domain, paranoid: file.perf_event_paranoid.0, grant: file.grant.0, mode };
    if file.boot == BootMode::NoFileCaps
        && axes.grant.iter().any(|grant| grant.0 != CapSet::default())
    {
        let message = "no executable has capabilities where the kernel ignores them".to_owned();
        errors.push(error(0..0, message, Some("add `grant = \"none\"`".to_owned())));
    }
    if file.audit && matches!(file.boot, BootMode::AuditUnset | BootMode::AuditLate) {
        let message =
            "the first cell that enables audit would do it for all that follow".to_owned();
        errors.push(error(0..0, message, Some("add `audit = false`".to_owned())));
    }
    let comm = file.comm.get_ref().as_str();
    if comm.is_empty() || comm.len() > 15 || comm.contains('/') || comm == "." || comm == ".." {
        let message = "`comm` is a file name of at most 15 bytes".to_owned();
        errors.push(error(file.comm.span(), message, None));
    }
    let policies = perfsec_cases::policy_names();
    let known_policy = |name: &str, span: Range<usize>| {
        if policies.contains(&name) {
            return None;
        }
        let close = crate::suggest::closest(name, &policies);
        Some(error(span, format!("no policy `{name}`{close}"), None))
    };
    if let Some(name) = &file.policy {
        errors.extend(known_policy(name.get_ref(), name.span()));
    }
    let mut when = BTreeMap::new();
    for (name, table) in file.when {
        let since = versions(table.since.as_ref(), &error, &mut errors);
        let until = versions(table.until.as_ref(), &error, &mut errors);
        let mut series = Vec::new();
        if let Some(list) = &table.series {
            for text in list.get_ref().split(',') {
                match text.trim().parse::<KernelVersion>() {
                    Ok(version) => series.push(version),
                    Err(problem) => errors.push(error(list.span(), problem.to_string(), None)),
                }
            }
        }
        let WhenTable { distribution, config, reason, .. } = table;
        when.insert(name, Condition { since, until, series, distribution, config, reason });
    }
    let condition_names: Vec<&str> = when.keys().map(String::as_str).collect();
    let known = |name: &Spanned<String>| {
        if condition_names.contains(&name.get_ref().as_str()) {
            return Ok(name.get_ref().clone());
        }
        let close = crate::suggest::closest(name.get_ref(), &condition_names);
        let message = format!("no condition `{}`{close}", name.get_ref());
        Err(error(name.span(), message, Some(format!("define it: [when.{}]", name.get_ref()))))
    };

    let process_names: Vec<String> = file.process.keys().cloned().collect();
    let check = |step: &Spanned<Step>, bound: &mut Vec<String>, errors: &mut Vec<CaseError>| {
        let (span, step) = (step.span(), step.get_ref());
        for name in needed(step, &process_names) {
            if !bound.iter().any(|known| known == name) {
                let close = crate::suggest::closest(name, bound.iter());
                let message = format!("no step before this one opens `{name}`{close}");
                errors.push(error(span.clone(), message, None));
            }
        }
        bound.extend(step.binds().map(str::to_owned));
        let problem = match step {
            Step::Agent(Action::LoadPolicy(name)) => known_policy(name, span.clone()),
            Step::Agent(Action::Kill(name)) if !process_names.contains(name) => {
                let close = crate::suggest::closest(name, &process_names);
                Some(error(span.clone(), format!("no process `{name}`{close}"), None))
            }
            Step::Agent(Action::AuditEnable) if file.boot != BootMode::AuditLate => {
                let message = "it would be enabled for all cells that follow".to_owned();
                Some(error(span, message, Some("add `boot = \"audit-late\"`".to_owned())))
            }
            Step::Ioctl(ioctl) if ioctl.compat && !ioctl.request.takes_number() => {
                let message = format!("`{}` takes a pointer, which `compat` cannot", ioctl.request);
                Some(error(span, message, None))
            }
            _ => None,
        };
        errors.extend(problem);
    };
    let mut processes = Vec::new();
    for (name, table) in file.process {
        // What a process opens is its own: only what it sends reaches the subject.
        let mut bound = vec!["subject".to_owned()];
        table.step.iter().for_each(|step| check(step, &mut bound, &mut errors));
        if let Some(step) = table.step.iter().find(|s| matches!(s.get_ref(), Step::Agent(_))) {
            let message = "a process cannot perform a step of the agent".to_owned();
            let help = Some("write it as a `[[given]]` step".to_owned());
            errors.push(error(step.span(), message, help));
        }
        let steps = table.step.into_iter().map(Spanned::into_inner).collect();
        let grant = table.grant.unwrap_or(Grant(perfsec_wire::CapSet::EMPTY));
        let (uid, domain) = (table.uid, table.domain);
        processes.push(CaseProcess { name, uid, grant, domain, steps });
    }
    let mut bound = process_names.clone();
    file.given.iter().for_each(|step| check(step, &mut bound, &mut errors));
    for step in &file.step {
        check(step, &mut bound, &mut errors);
        if matches!(step.get_ref(), Step::Agent(Action::AuditRule)) {
            let message = "an audit rule must be there before the subject is".to_owned();
            let help = Some("write it as a `[[given]]` step".to_owned());
            errors.push(error(step.span(), message, help));
        }
    }
    let steps: Vec<Step> = file.step.into_iter().map(Spanned::into_inner).collect();
    if steps.is_empty() {
        errors.push(error(0..0, "a case needs at least one step".to_owned(), None));
    }

    let mut requires = Vec::new();
    for name in &file.requires {
        match known(name) {
            Ok(name) => requires.push(name),
            Err(problem) => errors.push(problem),
        }
    }

    let mut expects: Vec<Expect> = Vec::new();
    for table in file.expect {
        let line = line_of(text, table.span().start);
        let table = table.into_inner();
        let selector = selector(&table, &axes, &error, &mut errors);
        let xfail = match table.xfail.as_ref().map(&known) {
            Some(Ok(name)) => Some(name),
            Some(Err(problem)) => {
                errors.push(problem);
                None
            }
            None => None,
        };
        let span = table.transcript.span();
        let raw = &text[span.clone()];
        // A multi-line string begins on the line after its quotes.
        let skipped = usize::from(raw.starts_with("'''\n") || raw.starts_with("\"\"\"\n"));
        let first = line_of(text, span.start) + skipped;
        let lines = table.transcript.get_ref();
        match Transcript::parse(lines, first, &steps, &process_names, &condition_names) {
            Ok(transcript) => expects.push(Expect { selector, transcript, xfail, line }),
            Err(mistake) => {
                errors.push(error(line_span(text, mistake.line), mistake.message, mistake.help));
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }

    let mut case = Case {
        name: name.to_owned(),
        path: path.to_owned(),
        text: text.to_owned(),
        sha256: crate::hex(&Sha256::digest(text)),
        title: file.title,
        source: file.source,
        axes,
        boot: file.boot,
        policy: file.policy.map(Spanned::into_inner),
        audit: file.audit,
        lockdown: file.lockdown,
        uid: file.uid,
        comm: file.comm.into_inner(),
        processes,
        sysctls: file.sysctl,
        given: file.given.into_iter().map(Spanned::into_inner).collect(),
        steps,
        messages: file.messages,
        syscall_records: file.syscall_records,
        when,
        requires,
        control: file.control.map(|name| OtherCase { span: name.span(), name: name.into_inner() }),
        expects,
    };
    match completeness {
        Completeness::Demanded => complete::check(&case, &error)?,
        Completeness::NotYet => complete::fill(&mut case),
    }
    Ok(case)
}

/// The names that must stand for something before a step makes sense: descriptors, mappings, and tasks that
/// are not processes of the case.
pub(super) fn needed<'a>(step: &'a Step, processes: &[String]) -> Vec<&'a str> {
    let task = match step.task() {
        Some(Task::Named(name)) if !processes.contains(name) => Some(name.as_str()),
        _ => None,
    };
    step.needs().into_iter().chain(task).collect()
}

/// The releases that a condition names.
fn versions(
    text: Option<&Spanned<String>>,
    error: &impl Fn(Range<usize>, String, Option<String>) -> CaseError,
    errors: &mut Vec<CaseError>,
) -> Option<FixedIn> {
    let text = text?;
    match text.get_ref().parse() {
        Ok(fixed) => Some(fixed),
        Err(problem) => {
            let problem: crate::kernel::VersionError = problem;
            errors.push(error(text.span(), problem.to_string(), None));
            None
        }
    }
}

fn selector(
    table: &ExpectTable,
    axes: &Axes,
    error: &impl Fn(Range<usize>, String, Option<String>) -> CaseError,
    errors: &mut Vec<CaseError>,
) -> Selector {
    let mut reject = |span: Range<usize>, value: String, axis: Vec<String>| {
        let close = crate::suggest::closest(&value, &axis);
        let message = format!("the case has no `{value}`{close}");
        errors.push(error(span, message, Some(format!("its axis is: {}", axis.join(", ")))));
    };
    let mut strings = |axis: Vec<String>, values: Vec<String>, span: Range<usize>| {
        for value in values.into_iter().filter(|value| !axis.contains(value)) {
            reject(span.clone(), value, axis.clone());
        }
    };
    fn text<T: fmt::Display>(values: &[T]) -> Vec<String> {
        values.iter().map(ToString::to_string).collect()
    }
    if let Some(values) = &table.domain {
        strings(axes.domain.clone(), values.get_ref().0.clone(), values.span());
    }
    if let Some(values) = &table.perf_event_paranoid {
        strings(text(&axes.paranoid), text(&values.get_ref().0), values.span());
    }
    if let Some(values) = &table.grant {
        strings(text(&axes.grant), text(&values.get_ref().0), values.span());
    }
    if let Some(values) = &table.mode {
        let named: Vec<_> = values.get_ref().0.iter().map(|mode| mode.0).collect();
        strings(text(&axes.mode), text(&named), values.span());
    }
    Selector {
        domain: table.domain.as_ref().map(|values| values.get_ref().0.clone()),
        paranoid: table.perf_event_paranoid.as_ref().map(|values| values.get_ref().0.clone()),
        grant: table.grant.as_ref().map(|values| values.get_ref().0.clone()),
        mode: table
            .mode
            .as_ref()
            .map(|values| values.get_ref().0.iter().map(|mode| mode.0).collect()),
    }
}

/// `did you mean` for serde's own messages about names, which quote the name and then the choices.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let close = crate::suggest::closest(wrong, quoted);
    // Our own types have said it already.
    let said = message.contains("did you mean");
    (message.starts_with("unknown ") && !said && !close.is_empty())
        .then(|| close.trim_start_matches("; ").to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const GOOD: &str = r#"
title = "a task counts itself"
source = ["a test"]
domain = ["all_t", "none_t"]
perf_event_paranoid = 2
grant = ["none", "perfmon"]
mode = "permissive"

[when.new]
since = "6.1.191, 6.12"
reason = "a commit"

[[step]]
perf_event_open = { attr = { event = "software/dummy" } }

[[step]]
ioctl = { request = "ENABLE" }

[[expect]]
grant = "none"
transcript = '''
perf_event_open(...) = EACCES
  cap perfmon = not held
'''

[[expect]]
grant = "perfmon"
transcript = '''
perf_event_open(...) = fd
  cap perfmon = granted  if new
ioctl(...) = 0
'''
"#;

    fn errors(text: &str) -> Vec<CaseError> {
        match read("a", Path::new("a.toml"), text, Completeness::Demanded) {
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        }
    }

    #[test]
    fn a_good_case_is_read() {
        assert!(errors(GOOD).is_empty(), "{}", errors(GOOD)[0]);
    }

    // What is written instead of what, the line that the error points to, and a part of its text.
    #[rstest]
    #[case("domain =", "domian =", 4, "did you mean `domain`?")]
    #[case("perf_event_paranoid = 2", "perf_event_paranoid = \"two\"", 5, "invalid type")]
    #[case(
        "event = \"software/dummy\"",
        "event = \"software/dumy\"",
        14,
        "no software event `dumy`"
    )]
    #[case(
        "event = \"software/dummy\"",
        "event = \"software/dummy\", sample_type = [\"RAV\"]",
        14,
        "no sample type `RAV`; did you mean `RAW`?"
    )]
    #[case(
        "event = \"software/dummy\"",
        "event = \"software/dummy\", config = 3",
        14,
        "`software/dummy` already sets `config`"
    )]
    #[case("event = \"software/dummy\"", "evnt = \"software/dummy\"", 14, "unknown field `evnt`")]
    #[case("perf_event_open = {", "perf_event_opn = {", 14, "unknown variant `perf_event_opn`")]
    #[case("request = \"ENABLE\"", "request = \"ENABEL\"", 17, "ENABEL")]
    #[case(
        "ioctl = { request",
        "ioctl = { fd = \"ev\", request",
        16,
        "no step before this one opens `ev`"
    )]
    #[case(
        "grant = [\"none\", \"perfmon\"]",
        "grant = [\"none\", \"perfmom\"]",
        6,
        "did you mean `perfmon`?"
    )]
    #[case("mode = \"permissive\"", "mode = \"permisive\"", 7, "unknown mode")]
    #[case("= EACCES", "= EACCESS", 22, "did you mean `EACCES`?")]
    #[case("  cap perfmon = not held", "  cap perfmn = not held", 23, "did you mean `perfmon`?")]
    #[case("since = \"6.1.191, 6.12\"", "since = \"six\"", 10, "six")]
    #[case("if new", "if nwe", 30, "no condition `nwe`")]
    #[case(
        "grant = \"perfmon\"\ntr",
        "grant = \"sys_admin\"\ntr",
        27,
        "the case has no `sys_admin`"
    )]
    #[case(
        "grant = \"perfmon\"\ntr",
        "grant = \"none\"\ntr",
        26,
        "two expectations for the cell `a/all_t"
    )]
    #[case(
        "[[expect]]\ngrant = \"none\"",
        "[[expect]]\ndomain = \"all_t\"\ngrant = \"none\"",
        33,
        "no expectation for the cell `a/none_t"
    )]
    #[case("domain = [\"all_t\", \"none_t\"]", "domain = []", 4, "the list is empty")]
    #[case(
        "domain = [\"all_t\", \"none_t\"]",
        "domain = [\"all_t\", \"all_t\"]",
        4,
        "stands twice"
    )]
    fn a_mistake_points_to_its_line(
        #[case] instead_of: &str,
        #[case] written: &str,
        #[case] line: usize,
        #[case] part: &str,
    ) {
        let text = GOOD.replacen(instead_of, written, 1);
        assert_ne!(text, GOOD);
        let errors = errors(&text);
        let whole = errors[0].to_string();
        assert!(whole.contains(part), "{whole}");
        assert_eq!(errors[0].position().0, line, "{whole}");
    }

    #[test]
    fn a_denial_without_a_control_is_a_mistake() {
        let text = GOOD
            .replace("perf_event_open(...) = fd", "perf_event_open(...) = EPERM")
            .replace("ioctl(...) = 0\n", "");
        assert!(errors(&text)[0].message.contains("has no control"), "{}", errors(&text)[0]);
    }

    proptest! {
        #[test]
        fn a_damaged_case_never_panics(at in 0..GOOD.len(), len in 0..40usize, put in "[ -~\n]{0,8}") {
            let end = (at + len).min(GOOD.len());
            let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
            for error in errors(&text) {
                let _ = error.to_string();
            }
        }
    }
}
