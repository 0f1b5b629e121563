//! Reads a case file into a checked [`Case`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use perfsec_wire::step::{Capget, ResultForm, Task};
use perfsec_wire::{BootMode, CapSet, Mode, Step};
use sha2::{Digest, Sha256};
use toml::Spanned;

use super::adapt::{OF_SYSTEM, names_contexts};
use super::complete::{self, Completeness};
use super::error::Mistakes;
use super::expectation::wrong_result;
use super::file::{CaseFile, ExpectTable, WhenTable};
use super::lines::{first_line, line_number, line_span};
use super::step_table::StepTable;
use super::steps::{StepContext, check_policy};
use super::{
    Axes, Case, CaseError, CaseErrors, Circumstances, Condition, Expect, GuardedTranscript, Level,
    OtherCase, Selector, Setting,
};
use crate::asks::{
    Model, Names, StepQuestions, WrongResult, guard_conditions, parse, parse_returns,
};
use crate::kernel::{FixedIn, KernelVersion};

/// The domain of cells that boot without a policy.
const NO_DOMAIN: &str = "no-domain";

/// Reads the text of one case file.
///
/// # Errors
///
/// All mistakes in it, or the first if it makes the rest meaningless.
pub(super) fn read(
    name: &str,
    path: &Path,
    text: &str,
    model: &Model,
    completeness: Completeness,
) -> Result<Case, Vec<CaseError>> {
    let mut mistakes = Mistakes::new(path, text);
    let mut file: CaseFile = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let help = suggestion(error.message());
            mistakes.add(error.span().unwrap_or(0..0), error.message(), help.as_deref());
            return Err(mistakes.all);
        }
    };
    let axes = axes(&mut file, &mut mistakes);
    check_settings(&file, &axes, &mut mistakes);
    let when = read_conditions(std::mem::take(&mut file.when), &mut mistakes);
    check_own_names(&when, text, model, &mut mistakes);
    let process_names: Vec<String> = file.process.keys().cloned().collect();
    let context = StepContext { boot: file.boot, processes: &process_names };
    let processes = file.process.into_iter();
    let processes = processes.map(|(name, table)| context.process(name, table, &mut mistakes));
    let processes = processes.collect();
    context.subject(&file.given, &file.step, &mut mistakes);
    let shared = model.functions.conditions().keys();
    let conditions: Vec<&str> = when.keys().chain(shared).map(String::as_str).collect();
    let questions = questions(text, &file.step, &process_names, &conditions, model, &mut mistakes);
    let steps: Vec<Step> = file.step.into_iter().map(|table| table.into_inner().step).collect();
    let names = CaseNames { conditions, processes: &process_names, steps: &steps, axes: &axes };
    let requires = file.requires.iter().filter_map(|name| names.condition(name, &mut mistakes));
    let requires = requires.collect();
    let expects =
        file.expect.into_iter().filter_map(|table| names.expect(text, table, &mut mistakes));
    let expects = expects.collect();
    if !mistakes.all.is_empty() {
        return Err(mistakes.all);
    }

    let mut case = Case {
        name: name.to_owned(),
        path: path.to_owned(),
        text: text.to_owned(),
        sha256: digest(text, &axes, questions.as_deref(), model),
        title: file.title,
        source: file.source,
        boot: file.boot,
        policy: file.policy.map(Spanned::into_inner),
        audit: file.audit,
        lockdown: file.lockdown,
        limit: file.limit.map(|limit| Duration::from_secs(limit.into_inner().into())),
        uid: file.uid,
        comm: file.comm.into_inner(),
        processes,
        sysctls: file.sysctl,
        given: file.given.into_iter().map(|step| step.into_inner().step).collect(),
        steps,
        questions,
        model: model.clone(),
        refused: BTreeSet::new(),
        messages: file.messages,
        records: file.records.into_iter().map(|kind| kind.0).collect(),
        when,
        requires,
        only_ours: file.only_ours,
        unfit: names_contexts(&axes.domain).then(|| OF_SYSTEM.to_owned()),
        axes,
        control: file.control.map(|name| OtherCase { span: name.span(), name: name.into_inner() }),
        expects,
    };
    if completeness == Completeness::Optional {
        complete::fill(&mut case);
    } else if !complete::check_cells(&case, &mut mistakes) {
        return Err(mistakes.all);
    }
    complete::check_conditions(&case, &mut mistakes);
    if !mistakes.all.is_empty() {
        return Err(mistakes.all);
    }
    let kernel = Circumstances::hypothetical(KernelVersion::new(0, 0, 0), None);
    case.refused = case.refused_cells(&Setting::from(kernel));
    if completeness == Completeness::Required {
        complete::check_controls(&case, &mut mistakes);
    }
    if mistakes.all.is_empty() { Ok(case) } else { Err(mistakes.all) }
}

impl Case {
    /// The case with another text, which may lack expectations and controls.
    ///
    /// # Errors
    ///
    /// All mistakes in the text.
    pub fn with_text(&self, text: &str) -> Result<Self, CaseErrors> {
        let case = read(&self.name, &self.path, text, &self.model, Completeness::Optional);
        case.map_err(CaseErrors)
    }
}

/// The axes, with the default modes. Without a policy there is one domain and one mode.
fn axes(file: &mut CaseFile, mistakes: &mut Mistakes<'_>) -> Axes {
    let mode = file.mode.take();
    let mode = mode.map(|modes| modes.0.into_iter().map(|mode| mode.0).collect::<Vec<_>>());
    let no_domain = || vec![NO_DOMAIN.to_owned()];
    let (domain, mode) = match (file.boot.has_policy(), file.domain.take(), mode) {
        (true, Some(domain), None) => (domain.0, Mode::ALL.to_vec()),
        (true, Some(domain), Some(mode)) if !mode.contains(&Mode::Disabled) => (domain.0, mode),
        (false, None, None) => (no_domain(), vec![Mode::Disabled]),
        (true, None, _) => {
            mistakes.add(0..0, "the case has no `domain`", None);
            (no_domain(), Mode::ALL.to_vec())
        }
        (true, ..) => {
            let message = "the mode `disabled` needs a boot without a policy";
            mistakes.add(0..0, message, Some("add `boot = \"no-policy\"`"));
            (no_domain(), Mode::ALL.to_vec())
        }
        (false, ..) => {
            let message = "without a policy there is neither a domain nor a mode";
            mistakes.add(0..0, message, Some("remove `domain` and `mode`"));
            (no_domain(), vec![Mode::Disabled])
        }
    };
    let (paranoid, grant) = (file.perf_event_paranoid.0.clone(), file.grant.0.clone());
    Axes { domain, paranoid, grant, mode }
}

/// Checks the settings that concern the whole case.
fn check_settings(file: &CaseFile, axes: &Axes, mistakes: &mut Mistakes<'_>) {
    if file.boot == BootMode::NoFileCaps && axes.grant.iter().any(|grant| grant.0 != CapSet::EMPTY)
    {
        let message = "no executable has capabilities if the kernel ignores file capabilities";
        mistakes.add(0..0, message, Some("add `grant = \"none\"`"));
    }
    if file.audit && file.boot == BootMode::AuditUnset {
        let message = "the first cell that enables audit would enable it for all that follow";
        mistakes.add(0..0, message, Some("add `audit = false`"));
    }
    let comm = file.comm.get_ref().as_str();
    if comm.is_empty() || comm.len() > 15 || comm.contains('/') || comm == "." || comm == ".." {
        mistakes.add(file.comm.span(), "`comm` must be a file name of at most 15 bytes", None);
    }
    if let Some(limit) = file.limit.as_ref().filter(|limit| *limit.get_ref() == 0) {
        mistakes.add(limit.span(), "a subject needs some time: `limit` is in seconds", None);
    }
    if let Some(name) = &file.policy {
        check_policy(name.get_ref(), name.span(), mistakes);
    }
}

/// The questions of all steps; `None` if no step lists any.
fn questions(
    text: &str,
    steps: &[Spanned<StepTable>],
    processes: &[String],
    conditions: &[&str],
    model: &Model,
    mistakes: &mut Mistakes<'_>,
) -> Option<Vec<StepQuestions>> {
    let lists = |step: &Spanned<StepTable>| {
        step.get_ref().asks.is_some() || step.get_ref().returns.is_some()
    };
    if !steps.iter().any(lists) {
        return None;
    }
    let cloned = steps.iter().filter_map(|step| match &step.get_ref().step {
        Step::Clone(clone) => Some(clone.bind.as_str()),
        _ => None,
    });
    let names = Names {
        functions: model.functions.names().collect(),
        conditions: conditions.to_vec(),
        tasks: processes.iter().map(String::as_str).chain(cloned).collect(),
        in_function: false,
    };
    let mut all = Vec::new();
    for step in steps {
        let line = line_number(text, step.span().start);
        let table = step.get_ref();
        let StepTable { step, asks, returns } = table;
        let returns = returns.as_ref().map(|returns| {
            let first = first_line(text, returns.span().start);
            let parsed = parse_returns(returns.get_ref(), first, step, &names);
            parsed.unwrap_or_else(|wrong| {
                let (span, message, help) = match wrong {
                    WrongResult::Result(result, error) => {
                        let (message, help) = wrong_result(step, &result, error);
                        (returns.span(), message, help)
                    }
                    WrongResult::Suffix(mistake) => {
                        (line_span(text, mistake.line), mistake.message, mistake.help)
                    }
                };
                mistakes.add(span, message, help.as_deref());
                Vec::new()
            })
        });
        if let (Step::Run(_), Some(key)) = (step, asks.as_ref().or(table.returns.as_ref())) {
            let message = "what a program asks depends on the program";
            mistakes.add(key.span(), message, Some("write its transcript in an `[[expect]]`"));
        } else if returns.is_none() && !is_computed(step) {
            let message = format!("`{}` has a text as its result", step.name());
            mistakes.add(line_span(text, line), message, Some("write it: returns = '\"2\\n\"'"));
        }
        let parsed = asks.as_ref().map(|asks| {
            let first = first_line(text, asks.span().start);
            parse(asks.get_ref(), first, &names)
        });
        let asks = parsed.transpose().unwrap_or_else(|mistake| {
            mistakes.add(line_span(text, mistake.line), mistake.message, mistake.help.as_deref());
            None
        });
        all.push(StepQuestions {
            line,
            asks: asks.unwrap_or_default(),
            returns: returns.unwrap_or_default(),
        });
    }
    Some(all)
}

/// True if the usual result of a step is known: a text is known only if it is about the subject.
fn is_computed(step: &Step) -> bool {
    step.result_form() != ResultForm::Text
        || matches!(step, Step::Capget(Capget { pid: Task::Caller }) | Step::Getresuid(_))
}

/// SHA-256 of the text and of the shared lists and conditions on which the case depends, in hex.
fn digest(text: &str, axes: &Axes, questions: Option<&[StepQuestions]>, model: &Model) -> String {
    let mut digest = Sha256::new_with_prefix(text);
    let asks = questions.unwrap_or_default().iter().flat_map(|step| &step.asks);
    for (name, list) in model.functions.reached(asks.clone()) {
        digest.update(name);
        list.asks.iter().for_each(|question| digest.update(question.to_string()));
    }
    let mut names = model.functions.conditions_of(asks);
    names.extend(axes.paranoid.contains(&Level::Default).then(|| Level::RESTRICTED.to_owned()));
    let returns = questions.unwrap_or_default().iter().flat_map(|step| &step.returns);
    names.extend(guard_conditions(returns.flat_map(|returned| &returned.guards)));
    for name in names {
        digest.update(format!("{name} {:?}", model.functions.conditions().get(&name)));
    }
    crate::hex(&digest.finalize())
}

/// Checks that no condition of the case has the name of a shared one.
fn check_own_names(
    when: &BTreeMap<String, Condition>,
    text: &str,
    model: &Model,
    mistakes: &mut Mistakes<'_>,
) {
    for name in when.keys().filter(|name| model.functions.conditions().contains_key(*name)) {
        let at = text.find(&format!("[when.{name}]")).unwrap_or_default();
        let message = format!("`{name}` is a condition of cases/functions.toml, for all cases");
        mistakes.add(at..at, message, Some("remove this one, or rename it"));
    }
}

/// The conditions of the `[when]` tables.
pub(crate) fn read_conditions(
    tables: BTreeMap<String, WhenTable>,
    mistakes: &mut Mistakes<'_>,
) -> BTreeMap<String, Condition> {
    let mut conditions = BTreeMap::new();
    for (name, table) in tables {
        let since = releases(table.since.as_ref(), mistakes);
        let until = releases(table.until.as_ref(), mistakes);
        let mut series = Vec::new();
        if let Some(list) = &table.series {
            for text in list.get_ref().split(',') {
                match text.trim().parse::<KernelVersion>() {
                    Ok(version) => series.push(version),
                    Err(error) => mistakes.add(list.span(), error.to_string(), None),
                }
            }
        }
        let WhenTable { distribution, config, machine, reason, .. } = table;
        conditions.insert(
            name,
            Condition { since, until, series, distribution, config, machine, reason },
        );
    }
    conditions
}

/// The releases that `since` or `until` lists.
fn releases(text: Option<&Spanned<String>>, mistakes: &mut Mistakes<'_>) -> Option<FixedIn> {
    let text = text?;
    match text.get_ref().parse::<FixedIn>() {
        Ok(fixed) => Some(fixed),
        Err(error) => {
            mistakes.add(text.span(), error.to_string(), None);
            None
        }
    }
}

/// The parts of a case that its expectations refer to.
struct CaseNames<'a> {
    conditions: Vec<&'a str>,
    processes: &'a [String],
    steps: &'a [Step],
    axes: &'a Axes,
}

impl CaseNames<'_> {
    /// The name of a condition, if the case defines it.
    fn condition(&self, name: &Spanned<String>, mistakes: &mut Mistakes<'_>) -> Option<String> {
        if self.conditions.contains(&name.get_ref().as_str()) {
            return Some(name.get_ref().clone());
        }
        let close = crate::suggest::closest(name.get_ref(), &self.conditions);
        let message = format!("no condition `{}`{close}", name.get_ref());
        let help = format!("define it: [when.{}]", name.get_ref());
        mistakes.add(name.span(), message, Some(&help));
        None
    }

    /// The expectation of one `[[expect]]` table.
    fn expect(
        &self,
        text: &str,
        table: Spanned<ExpectTable>,
        mistakes: &mut Mistakes<'_>,
    ) -> Option<Expect> {
        let line = line_number(text, table.span().start);
        let table = table.into_inner();
        let selector = self.selector(&table, mistakes);
        let xfail = table.xfail.as_ref().and_then(|name| self.condition(name, mistakes));
        let first = first_line(text, table.transcript.span().start);
        let lines = table.transcript.get_ref();
        match GuardedTranscript::parse(lines, first, self.steps, self.processes, &self.conditions) {
            Ok(transcript) => Some(Expect { selector, transcript, xfail, line }),
            Err(mistake) => {
                let span = line_span(text, mistake.line);
                mistakes.add(span, mistake.message, mistake.help.as_deref());
                None
            }
        }
    }

    /// The selector of an `[[expect]]` table, each value checked against its axis.
    fn selector(&self, table: &ExpectTable, mistakes: &mut Mistakes<'_>) -> Selector {
        fn text<T: fmt::Display>(values: &[T]) -> Vec<String> {
            values.iter().map(ToString::to_string).collect()
        }
        let axes = self.axes;
        let mut check = |axis: Vec<String>, values: Vec<String>, span: Range<usize>| {
            for value in values.into_iter().filter(|value| !axis.contains(value)) {
                let close = crate::suggest::closest(&value, &axis);
                let message = format!("the case has no `{value}`{close}");
                let help = format!("values of this axis: {}", axis.join(", "));
                mistakes.add(span.clone(), message, Some(&help));
            }
        };
        if let Some(values) = &table.domain {
            check(axes.domain.clone(), values.get_ref().0.clone(), values.span());
        }
        if let Some(values) = &table.perf_event_paranoid {
            check(text(&axes.paranoid), text(&values.get_ref().0), values.span());
        }
        if let Some(values) = &table.grant {
            check(text(&axes.grant), text(&values.get_ref().0), values.span());
        }
        let mode = table.mode.as_ref().map(|values| {
            let modes: Vec<Mode> = values.get_ref().0.iter().map(|mode| mode.0).collect();
            check(text(&axes.mode), text(&modes), values.span());
            modes
        });
        Selector {
            domain: table.domain.as_ref().map(|values| values.get_ref().0.clone()),
            paranoid: table.perf_event_paranoid.as_ref().map(|values| values.get_ref().0.clone()),
            grant: table.grant.as_ref().map(|values| values.get_ref().0.clone()),
            mode,
        }
    }
}

/// "did you mean" for serde's own messages about names, which quote the name and then the choices.
fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    let close = crate::suggest::closest(wrong, quoted);
    // Messages of perfsec's own types already have a suggestion.
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
        let model = Model::built_in().expect("the built-in lists");
        match read("a", Path::new("a.toml"), text, &model, Completeness::Required) {
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        }
    }

    #[test]
    fn a_good_case_is_read() {
        assert!(errors(GOOD).is_empty(), "{}", errors(GOOD)[0]);
    }

    // The text to replace, its replacement, the line of the error, and a part of its message.
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
        "ioctl = { request = \"ENABLE\" }",
        "read = { count = 8, text = true, some = true }",
        16,
        "`text` shows the whole text"
    )]
    #[case(
        "ioctl = { request = \"ENABLE\" }",
        "setresuid = { uid = 1, saved = 2 }",
        17,
        "write `uid` for all three ids"
    )]
    #[case(
        "[[step]]\nioctl",
        "[[given]]\nclone = { continue = true }\n[[step]]\nioctl",
        16,
        "only the subject can hand its steps over"
    )]
    #[case(
        "ioctl = { request = \"ENABLE\" }",
        "clone = { flags = [\"NEWPID\"], continue = true }\n[[step]]\nexecve = {}",
        18,
        "the first process of a PID namespace cannot stop"
    )]
    #[case(
        "[[step]]\nperf",
        "[[step]]\nstat = { path = \"/\" }\nasks = \"\"\n[[step]]\nperf",
        13,
        "`stat` has a text as its result"
    )]
    #[case(
        "[[step]]\nperf",
        "[[step]]\nsetfsuid = { uid = 0 }\nreturns = \"0  if nwe\"\n[[step]]\nperf",
        15,
        "no condition `nwe`"
    )]
    #[case("mode =", "records = [\"SYSCAL\"]\nmode =", 7, "did you mean `SYSCALL`?")]
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
        "the same value twice"
    )]
    fn a_mistake_points_to_its_line(
        #[case] from: &str,
        #[case] to: &str,
        #[case] line: usize,
        #[case] part: &str,
    ) {
        let text = GOOD.replacen(from, to, 1);
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
        fn a_damaged_case_never_panics(
            at in 0..GOOD.len(),
            len in 0..40usize,
            put in "[ -~\n]{0,8}",
        ) {
            let end = (at + len).min(GOOD.len());
            let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
            for error in errors(&text) {
                let _ = error.to_string();
            }
        }
    }
}
