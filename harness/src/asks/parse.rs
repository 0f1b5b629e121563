//! Reads the text of `asks`.

use perfsec_wire::Step;

use super::call::CallFact;
use super::question::{
    Audit, Check, Fact, Guard, Namespace, Question, REFUSED, Refusal, Returned, SelinuxCheck,
    Target,
};
use crate::errno::Errno;
use crate::grant::cap_number;
use crate::transcript::{CallResult, ResultError};

/// The names that questions can refer to.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    /// Kernel functions with a list of their own.
    pub functions: Vec<&'a str>,
    /// Conditions on the kernel.
    pub conditions: Vec<&'a str>,
    /// Processes of the case, and tasks that steps clone.
    pub tasks: Vec<&'a str>,
    /// True for the list of a function, where `target` is what its caller names.
    pub in_function: bool,
}

/// A mistake in a list of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line in the file, from 1.
    pub line: usize,
    /// The message.
    pub message: String,
    /// Advice on how to fix it.
    pub help: Option<String>,
}

/// An error message, and advice on how to fix the mistake.
type Wrong = (String, Option<String>);

/// Reads a list of questions whose first line is line `first` of the file.
///
/// # Errors
///
/// The first mistake in it.
pub fn parse(text: &str, first: usize, names: &Names<'_>) -> Result<Vec<Question>, Mistake> {
    let mut questions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = first + index;
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        let question = names.question(line, line_number);
        questions.push(question.map_err(|(message, help)| Mistake {
            line: line_number,
            message,
            help,
        })?);
    }
    Ok(questions)
}

/// The reason why a result of `returns` is refused.
pub(crate) enum WrongResult {
    /// A suffix is wrong.
    Suffix(Mistake),
    /// The step cannot have this result.
    Result(String, ResultError),
}

/// Reads the results of a step, one in each line, whose first line is line `first` of the file.
pub(crate) fn parse_returns(
    text: &str,
    first: usize,
    step: &Step,
    names: &Names<'_>,
) -> Result<Vec<Returned>, WrongResult> {
    let mut all = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The words of a quoted text are its own.
        let after = line.rfind('"').map_or(0, |at| at + 1);
        let rest = &line[after..];
        let end = ["  if ", "  unless "].iter().filter_map(|word| rest.find(word)).min();
        let (result, suffixes) = line.split_at(end.map_or(line.len(), |end| after + end));
        let result = CallResult::of_step(step, result.trim_end())
            .map_err(|error| WrongResult::Result(result.to_owned(), error))?;
        // A question is only a bearer of guards here.
        let mut question = Question::plain(Check::Return(None), first + index);
        let suffixes: Vec<_> = suffixes.split_whitespace().collect();
        names.suffixes(&suffixes, &mut question).map_err(|(message, help)| {
            WrongResult::Suffix(Mistake { line: first + index, message, help })
        })?;
        all.push(Returned { result, guards: question.guards });
    }
    Ok(all)
}

impl Names<'_> {
    fn question(&self, line: &str, number: usize) -> Result<Question, Wrong> {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let suffix = |word: &&str| matches!(*word, "or" | "if" | "unless" | "+");
        if words[0] == "kernel" {
            // The words of a message are its own, and so are its blanks.
            let effect = line.parse().map_err(|error| (error, None))?;
            return Ok(Question::plain(Check::Effect(effect), number));
        }
        let end = words.iter().position(suffix).unwrap_or(words.len());
        let suffixes = words.split_off(end);
        if words.is_empty() {
            return Err((format!("`{line}` has no question before `{}`", suffixes[0]), None));
        }
        let mut question = Question::plain(self.either(&words)?, number);
        self.suffixes(&suffixes, &mut question)?;
        Ok(question)
    }

    fn suffixes(&self, words: &[&str], question: &mut Question) -> Result<(), Wrong> {
        let mut rest = words;
        while let Some((word, after)) = rest.split_first() {
            rest = match (*word, after) {
                ("+", _) => {
                    question.repeats = true;
                    after
                }
                ("or", ["go", "on", after @ ..]) => {
                    question.refusal = Some(Refusal::GoOn);
                    after
                }
                ("or", ["nothing", after @ ..]) => {
                    question.refusal = Some(Refusal::Nothing);
                    after
                }
                ("or", [errno, after @ ..]) => {
                    let errno = errno.parse().map_err(|error| (error, None))?;
                    question.refusal = Some(Refusal::Errno(errno));
                    after
                }
                ("if" | "unless", [name, rest @ ..]) => {
                    let (fact, rest) = match rest {
                        [">", level, rest @ ..] if *name == "level" => (level_above(level)?, rest),
                        rest => (self.fact(name)?, rest),
                    };
                    question.guards.push(Guard { fact, wanted: *word == "if" });
                    rest
                }
                _ => {
                    let message = format!("`{word}` cannot follow here");
                    let help = "after a question come `or ERRNO`, `or go on`, `if CONDITION`, \
                                `unless CONDITION` and `+`";
                    return Err((message, Some(help.to_owned())));
                }
            };
        }
        Ok(())
    }

    fn fact(&self, name: &str) -> Result<Fact, Wrong> {
        let mut facts = Fact::OF_TARGET.iter().chain(&Fact::OF_CALLER);
        if let Some((_, fact)) = facts.find(|(known, _)| *known == name) {
            return Ok(fact.clone());
        }
        if name == REFUSED {
            return Ok(Fact::Refused);
        }
        if self.conditions.contains(&name) {
            return Ok(Fact::Condition(name.to_owned()));
        }
        let of_call: &[_] = if self.in_function { &CallFact::ALL } else { &[] };
        if let Some((_, fact)) = of_call.iter().find(|(known, _)| *known == name) {
            return Ok(Fact::Call(*fact));
        }
        let facts = Fact::OF_TARGET.iter().chain(&Fact::OF_CALLER).map(|(known, _)| *known);
        let facts = facts.chain(of_call.iter().map(|(known, _)| *known));
        let close = crate::suggest::closest(name, self.conditions.iter().copied().chain(facts));
        let help = format!("define it: [when.{name}]");
        Err((format!("no condition `{name}`{close}"), Some(help)))
    }

    fn either(&self, words: &[&str]) -> Result<Check, Wrong> {
        joined(words, "||", |choice| self.both(choice), Check::Either)
    }

    fn both(&self, words: &[&str]) -> Result<Check, Wrong> {
        joined(words, "&", |check| self.check(check), Check::Both)
    }

    fn check(&self, words: &[&str]) -> Result<Check, Wrong> {
        let initial = || Namespace::Initial;
        match words {
            [] => Err(("a side of `||` or `&` is empty".to_owned(), None)),
            ["capable", caps @ ..] => capable(caps, Audit::Audited, initial()),
            ["quiet", "capable", caps @ ..] => capable(caps, Audit::Quiet, initial()),
            ["unseen", "capable", caps @ ..] => capable(caps, Audit::Unseen, initial()),
            ["ns_capable", caps @ .., "on", target] => {
                capable(caps, Audit::Audited, Namespace::Of(self.target(target)?))
            }
            ["ns_capable", caps @ ..] => capable(caps, Audit::Audited, Namespace::Own),
            ["quiet", rest @ ..] => self.selinux(rest, false),
            ["return", "0"] => Ok(Check::Return(None)),
            ["return", errno] => {
                let errno = errno.trim_start_matches('-').parse::<Errno>();
                errno.map(|errno| Check::Return(Some(errno))).map_err(|error| (error, None))
            }
            ["holds" | "domain" | "uid" | "selinux_err" | "record", ..] => {
                words.join(" ").parse().map(Check::Effect).map_err(|error| (error, None))
            }
            words if words.contains(&"{") => self.selinux(words, true),
            [name] => self.function(name, None),
            [name, "on", target] => self.function(name, Some(self.target(target)?)),
            [_, word, ..] => {
                let message = format!("`{}` is not a question", words.join(" "));
                let help = format!(
                    "`{word}` is unexpected: write `CLASS {{ PERMISSION }}`, \
                     `capable CAPABILITY`, or the name of a function, each with `on TARGET`"
                );
                Err((message, Some(help)))
            }
        }
    }

    fn selinux(&self, words: &[&str], audited: bool) -> Result<Check, Wrong> {
        let wrong = |message: String| {
            (
                message,
                Some("write `CLASS { PERMISSION }` or `CLASS { PERMISSION } on TARGET`".to_owned()),
            )
        };
        let [class, "{", rest @ ..] = words else {
            return Err(wrong(format!("`{}` is not an SELinux check", words.join(" "))));
        };
        let Some(end) = rest.iter().position(|word| *word == "}") else {
            return Err(wrong(format!("`{}` has no `}}`", words.join(" "))));
        };
        let permissions: Vec<String> = rest[..end].iter().map(|&name| name.to_owned()).collect();
        if permissions.is_empty() {
            return Err(wrong(format!("`{}` names no permission", words.join(" "))));
        }
        let (target, fields) = match &rest[end + 1..] {
            ["on", target, fields @ ..] => (self.target(target)?, fields),
            fields => (Target::Own, fields),
        };
        Ok(Check::Selinux(SelinuxCheck {
            class: (*class).to_owned(),
            permissions,
            target,
            fields: record_fields(fields).map_err(wrong)?,
            audited,
        }))
    }

    fn function(&self, name: &str, target: Option<Target>) -> Result<Check, Wrong> {
        if self.functions.contains(&name) {
            return Ok(Check::Function { name: name.to_owned(), target });
        }
        let known = self.functions.iter().copied().chain(["capable", "quiet", "unseen", "return"]);
        let close = crate::suggest::closest(name, known);
        let help = "add it to cases/functions.toml, or write its questions here";
        Err((format!("no function `{name}`{close}"), Some(help.to_owned())))
    }

    fn target(&self, name: &str) -> Result<Target, Wrong> {
        match name {
            "agent" => Ok(Target::Agent),
            "target" if self.in_function => Ok(Target::Argument),
            _ if self.tasks.contains(&name) => Ok(Target::Task(name.to_owned())),
            _ if name.ends_with("_t") => Ok(Target::Type(name.to_owned())),
            _ => {
                let known = self.tasks.iter().copied().chain(["agent"]);
                let close = crate::suggest::closest(name, known);
                let help = "a target is a process of the case, `agent`, or a type such as `all_t`";
                Err((format!("no target `{name}`{close}"), Some(help.to_owned())))
            }
        }
    }
}

/// Checks with a sign between them, or a single one without.
fn joined(
    words: &[&str],
    sign: &str,
    read: impl Fn(&[&str]) -> Result<Check, Wrong>,
    join: impl Fn(Vec<Check>) -> Check,
) -> Result<Check, Wrong> {
    let checks: Result<Vec<_>, _> = words.split(|word| *word == sign).map(read).collect();
    let mut checks = checks?;
    Ok(if checks.len() == 1 { checks.remove(0) } else { join(checks) })
}

fn level_above(level: &str) -> Result<Fact, Wrong> {
    level.parse().map(Fact::LevelAbove).map_err(|_| {
        let message = format!("`{level}` is not a value of perf_event_paranoid");
        (message, Some("write `if level > 1`".to_owned()))
    })
}

fn capable(words: &[&str], audit: Audit, namespace: Namespace) -> Result<Check, Wrong> {
    let caps = words.split(|word| *word == "|").map(|name| match name {
        [name] => cap_number(name).map_err(|error| (error, None)),
        _ => {
            let help = "write `capable perfmon | sys_admin`";
            Err((format!("`{}` is not a capability", name.join(" ")), Some(help.to_owned())))
        }
    });
    Ok(Check::Capable { caps: caps.collect::<Result<_, _>>()?, audit, namespace })
}

/// Fields of a record: `name="maps" dev="proc"`. Quoted values may contain blanks.
fn record_fields(words: &[&str]) -> Result<Vec<(String, String)>, String> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let open = |value: &str| value.matches('"').count() % 2 == 1;
    for word in words {
        match fields.last_mut().filter(|(_, value)| open(value)) {
            Some((_, value)) => {
                value.push(' ');
                value.push_str(word);
            }
            None => match word.split_once('=') {
                Some((key, value)) => fields.push((key.to_owned(), value.to_owned())),
                None => return Err(format!("`{word}` is not a field `KEY=VALUE` of the record")),
            },
        }
    }
    Ok(fields)
}

/// A line up to the `#` that begins a comment: the first, or one after a blank.
fn without_comment(line: &str) -> &str {
    let comment = line.char_indices().find(|&(at, letter)| {
        letter == '#' && (at == 0 || line[..at].ends_with(char::is_whitespace))
    });
    &line[..comment.map_or(line.len(), |(at, _)| at)]
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn names() -> Names<'static> {
        Names {
            functions: vec!["perfmon_capable", "perf_allow_kernel", "ptrace_may_access(READ)"],
            conditions: vec!["debian", "jit"],
            tasks: vec!["other"],
            in_function: false,
        }
    }

    #[rstest]
    #[case("perf_event { open }")]
    #[case("bpf { map_read map_write } on other")]
    #[case("file { read } on other name=\"maps\" dev=\"proc\" ino=*")]
    #[case("lockdown { confidentiality } lockdown_reason=\"use of kprobes\"  unless debian")]
    #[case("quiet file { read } on owner_t")]
    #[case("capable perfmon | sys_admin  or EACCES  if level > 1")]
    #[case("ns_capable setuid")]
    #[case("perfmon_capable & ns_capable kill on other || perf_allow_kernel on other")]
    #[case("quiet capable syslog  or go on")]
    #[case("unseen capable sys_admin  or go on")]
    #[case("perf_allow_kernel  or EPERM  if debian  unless jit")]
    #[case("perfmon_capable || ptrace_may_access(READ) on other  or EACCES")]
    #[case("perfmon_capable  or go on  +")]
    #[case("fd { use } on other  or nothing")]
    #[case("return 0  unless another-process")]
    #[case("return EINVAL  if debian")]
    #[case("return EACCES  if refused")]
    #[case("kernel SELinux:  Class perf_event not defined in policy.")]
    #[case("kernel SELinux: the above unknown classes and permissions will be denied")]
    fn a_question_is_written_as_it_is_read(#[case] line: &str) {
        let questions = parse(line, 1, &names()).expect(line);
        assert_eq!(questions.len(), 1);
        assert_eq!(questions[0].to_string(), line);
    }

    #[test]
    fn comments_and_blank_lines_are_no_questions() {
        let text = "\n# all of it\nperf_event { open }  # first\n";
        let questions = parse(text, 7, &names()).expect("questions");
        assert_eq!(questions.len(), 1);
        assert_eq!(questions[0].line, 9);
    }

    #[rstest]
    #[case("perf_alow_kernel", "no function `perf_alow_kernel`; did you mean `perf_allow_kernel`?")]
    #[case("perfmon_capable  if debain", "no condition `debain`; did you mean `debian`?")]
    #[case("perfmon_capable  if level > high", "`high` is not a value of perf_event_paranoid")]
    #[case("capable perfmn", "unknown capability `perfmn`; did you mean `perfmon`?")]
    #[case("capable perfmon sys_admin", "`perfmon sys_admin` is not a capability")]
    #[case("perfmon_capable  or EACCESS", "unknown errno `EACCESS`; did you mean `EACCES`?")]
    #[case("file { read } on othr", "no target `othr`; did you mean `other`?")]
    #[case("file { read } on target", "no target `target`")]
    #[case("file { read", "`file { read` has no `}`")]
    #[case("file { }", "`file { }` names no permission")]
    #[case("file { read } dev", "`dev` is not a field `KEY=VALUE` of the record")]
    #[case("or EACCES", "`or EACCES` has no question before `or`")]
    #[case("perfmon_capable  or", "`or` cannot follow here")]
    #[case("perfmon_capable || ", "a side of `||` or `&` is empty")]
    #[case("perfmon_capable bpf_capable", "`perfmon_capable bpf_capable` is not a question")]
    fn a_mistake_is_reported_with_its_line(#[case] line: &str, #[case] message: &str) {
        let mistake = parse(&format!("perfmon_capable\n{line}"), 4, &names()).unwrap_err();
        assert_eq!(mistake.line, 5);
        assert_eq!(mistake.message, message);
    }
}
