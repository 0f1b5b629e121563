//! Expected transcripts: text that is checked against the case's steps when the file is read.

use std::collections::BTreeSet;

use perfsec_wire::Step;

use super::file::needed;
use crate::transcript::{self, CallResult, Effect, ResultError};

/// An expected transcript, with the lines of every kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    lines: Vec<Line>,
}

/// A line of an expected transcript on one kernel.
#[derive(
    Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
pub struct Expected {
    /// In canonical spelling.
    pub text: String,
    /// Where it stands in the case file, from 1.
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    content: Content,
    guard: Option<Guard>,
    /// Line of the file, from 1.
    number: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Call { step: usize, text: String, outcome: CallResult },
    Effect(Effect),
}

/// `if NAME` or `unless NAME` at the end of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Guard {
    condition: String,
    wanted: bool,
}

/// A mistake in a transcript: the line of the file, what is wrong, what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Mistake {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Arguments that are those of the step: a long call need not be written out in every block.
const ELIDED: &str = "...";

/// Longest line that [`abbreviated`] leaves as it is: what a mail shows unbroken.
const MAIL_WIDTH: usize = 78;

/// A line as it is best written into a case file.
#[must_use]
pub fn abbreviated(line: &str) -> String {
    let call = !line.starts_with(char::is_whitespace) && line.len() > MAIL_WIDTH;
    match (line.split_once('('), line.rsplit_once(')')) {
        (Some((syscall, _)), Some((_, result))) if call => format!("{syscall}({ELIDED}){result}"),
        _ => line.to_owned(),
    }
}

impl Transcript {
    /// Reads a transcript whose first line is line `first` of the file.
    pub(super) fn parse(
        text: &str,
        first: usize,
        steps: &[Step],
        processes: &[String],
        conditions: &[&str],
    ) -> Result<Self, Mistake> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let number = first + index;
            let (body, guard) = split_guard(line, number, conditions)?;
            let content = if line.starts_with(char::is_whitespace) {
                if !lines.iter().any(|line: &Line| matches!(line.content, Content::Call { .. })) {
                    return Err(Mistake::new(number, "an effect stands before every syscall")
                        .help("syscalls are not indented, what they cause is"));
                }
                let effect =
                    transcript::parse_effect(body).map_err(|error| Mistake::new(number, error))?;
                Content::Effect(effect)
            } else {
                let last = lines.iter().rev().find_map(|line: &Line| match &line.content {
                    Content::Call { step, .. } => Some((*step, line.guard.is_some())),
                    Content::Effect(_) => None,
                });
                // Two guarded lines in a row may be the two sides of one step.
                let from = match last {
                    None => 0,
                    Some((step, true)) if guard.is_some() => step,
                    Some((step, _)) => step + 1,
                };
                parse_call(body, number, steps, from)?
            };
            lines.push(Line { content, guard, number });
        }
        let transcript = Self { lines };
        transcript.check(first, steps, processes)?;
        Ok(transcript)
    }

    /// The lines that hold on one kernel.
    pub(super) fn resolve(&self, holds: impl Fn(&str) -> bool) -> Vec<Expected> {
        self.resolved(&holds)
            .map(|line| Expected {
                text: match &line.content {
                    Content::Call { text, .. } => text.clone(),
                    Content::Effect(effect) => format!("  {effect}"),
                },
                line: line.number,
            })
            .collect()
    }

    /// Whether any line, on any kernel, is a syscall that is refused for lack of privilege.
    #[must_use]
    pub(super) fn has_denial(&self) -> bool {
        self.lines.iter().any(|line| match &line.content {
            Content::Call { outcome: CallResult::Error(errno), .. } => errno.is_denial(),
            Content::Call { outcome, .. } => *outcome == CallResult::Nothing,
            Content::Effect(_) => false,
        })
    }

    /// Names of the conditions that lines depend on.
    pub(super) fn conditions(&self) -> BTreeSet<&str> {
        let guards = self.lines.iter().filter_map(|line| line.guard.as_ref());
        guards.map(|guard| guard.condition.as_str()).collect()
    }

    /// Whether any line depends on the kernel.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.lines.iter().any(|line| line.guard.is_some())
    }

    /// A guarded syscall takes its effects with it.
    fn resolved(&self, holds: &impl Fn(&str) -> bool) -> impl Iterator<Item = &Line> {
        let mut call_holds = true;
        self.lines.iter().filter(move |line| {
            let own =
                line.guard.as_ref().is_none_or(|guard| holds(&guard.condition) == guard.wanted);
            match line.content {
                Content::Call { .. } => {
                    call_holds = own;
                    own
                }
                Content::Effect(_) => call_holds && own,
            }
        })
    }

    /// Every step that would be performed has one line, under each combination of conditions.
    fn check(&self, first: usize, steps: &[Step], processes: &[String]) -> Result<(), Mistake> {
        let names: Vec<_> = self.conditions().into_iter().collect();
        if names.len() > 8 {
            return Err(Mistake::new(first, "more than eight conditions in one transcript")
                .help("write two `[[expect]]` blocks or two cases"));
        }
        for combination in 0..1u32 << names.len() {
            let holds = |name: &str| {
                names
                    .iter()
                    .position(|known| *known == name)
                    .is_some_and(|at| combination >> at & 1 == 1)
            };
            self.check_one(first, steps, processes, &holds)?;
        }
        Ok(())
    }

    fn check_one(
        &self,
        first: usize,
        steps: &[Step],
        processes: &[String],
        holds: &impl Fn(&str) -> bool,
    ) -> Result<(), Mistake> {
        let mut calls = self
            .resolved(holds)
            .filter_map(|line| match &line.content {
                Content::Call { step, outcome, .. } => Some((*step, *outcome, line.number)),
                Content::Effect(_) => None,
            })
            .peekable();
        let opened_by_steps: Vec<_> = steps.iter().filter_map(Step::binds).collect();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            // A file descriptor that no step makes is one of the given ones.
            let needed = needed(step, processes);
            let missing =
                needed.iter().find(|fd| !open.contains(*fd) && opened_by_steps.contains(fd));
            let reachable = missing.is_none();
            match calls.peek().copied() {
                Some((at, _, number)) if at < index => {
                    return Err(Mistake::new(number, "a step has two lines").help(
                        "alternatives need a condition on both: `if NAME` and `unless NAME`",
                    ));
                }
                Some((at, outcome, number)) if at == index => {
                    calls.next();
                    if let Some(fd) = missing {
                        return Err(Mistake::new(
                            number,
                            format!("`{step}` is not performed: `{fd}` was never opened"),
                        )
                        .help("leave the line out"));
                    }
                    match (step.binds(), outcome) {
                        (Some(fd), CallResult::Success) => drop(open.insert(fd)),
                        (None, _) | (_, CallResult::Error(_) | CallResult::Nothing) => {}
                    }
                }
                _ if reachable => {
                    let number = calls.peek().map_or(first, |(_, _, number)| *number);
                    return Err(Mistake::new(number, format!("no line for `{step}`")).help(
                        "every step that is performed has a line, in the order of the steps",
                    ));
                }
                _ => {}
            }
        }
        match calls.next() {
            Some((_, _, number)) => Err(Mistake::new(number, "a step has two lines")
                .help("alternatives need a condition on both: `if NAME` and `unless NAME`")),
            None => Ok(()),
        }
    }
}

fn split_guard<'a>(
    line: &'a str,
    number: usize,
    conditions: &[&str],
) -> Result<(&'a str, Option<Guard>), Mistake> {
    for (word, wanted) in [("  if ", true), ("  unless ", false)] {
        // The indent of an effect is no separator.
        let Some((body, name)) = line.trim_start().rsplit_once(word) else { continue };
        let name = name.trim();
        if !conditions.contains(&name) {
            let close = crate::suggest::closest(name, conditions);
            return Err(Mistake::new(number, format!("no condition `{name}`{close}"))
                .help(format!("define it: [when.{name}]")));
        }
        return Ok((body.trim_end(), Some(Guard { condition: name.to_owned(), wanted })));
    }
    Ok((line.trim(), None))
}

fn parse_call(line: &str, number: usize, steps: &[Step], from: usize) -> Result<Content, Mistake> {
    let (call, result) = line.rsplit_once('=').ok_or_else(|| {
        Mistake::new(number, format!("`{line}` is no syscall with its result"))
            .help("write `SYSCALL(ARGUMENTS) = RESULT`, and indent what it causes")
    })?;
    let call = call.split_whitespace().collect::<Vec<_>>().join(" ");
    let result = result.trim();
    let is = |step: &Step| call == format!("{}({ELIDED})", step.name()) || call == step.to_string();
    let step = (from..steps.len()).find(|at| is(&steps[*at])).ok_or_else(|| {
        let rest: Vec<_> = steps.iter().skip(from).map(ToString::to_string).collect();
        let mistake = Mistake::new(number, format!("`{call}` is none of the steps that come here"));
        match rest.as_slice() {
            [] => mistake.help("every step has its line already"),
            rest => mistake.help(format!("the steps that remain: {}", rest.join("; "))),
        }
    })?;
    let outcome = parse_result(&steps[step], result, number)?;
    Ok(Content::Call { step, text: format!("{} = {result}", steps[step]), outcome })
}

fn parse_result(step: &Step, result: &str, number: usize) -> Result<CallResult, Mistake> {
    transcript::parse_result(step, result).map_err(|error| match error {
        ResultError::Errno(error) => Mistake::new(number, error),
        ResultError::Form(expected) => {
            Mistake::new(number, format!("`{}` cannot return `{result}`", step.name()))
                .help(format!("write {expected} or an errno such as `EACCES`"))
        }
    })
}

#[cfg(test)]
mod tests {
    use perfsec_wire::step::{Ioctl, PerfEventOpen, Request};
    use rstest::rstest;

    use super::*;

    fn steps() -> Vec<Step> {
        let open = PerfEventOpen {
            attr: perfsec_wire::PerfEventAttr::default(),
            pid: perfsec_wire::step::Task::Caller,
            cpu: -1,
            group: None,
            flags: Vec::new(),
            bind: "fd".to_owned(),
        };
        let enable = Ioctl {
            fd: "fd".to_owned(),
            request: Request::Enable,
            arg: 0,
            to: None,
            filter: None,
            attr: None,
            compat: false,
        };
        vec![Step::PerfEventOpen(Box::new(open)), Step::Ioctl(Box::new(enable))]
    }

    const OPEN: &str = "perf_event_open(software/dummy, pid=0, cpu=-1)";

    fn resolved(text: &str, new: bool) -> Vec<String> {
        let transcript = Transcript::parse(text, 1, &steps(), &[], &["new"]).unwrap();
        transcript.resolve(|_| new).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_guarded_line_is_there_when_its_condition_holds() {
        let text = format!(
            "{OPEN} = fd\n  avc denied {{ open }} tclass=perf_event\n  cap  perfmon = granted  if new\nioctl(fd, ENABLE) = 0\n"
        );
        assert_eq!(resolved(&text, true).len(), 4);
        assert_eq!(resolved(&text, false).len(), 3);
        assert_eq!(resolved(&text, true)[2], "  cap perfmon = granted");
    }

    #[test]
    fn a_guarded_call_takes_its_effects_along() {
        let text = format!(
            "{OPEN} = EINVAL  unless new\n{OPEN} = fd  if new\n  cap perfmon = granted\nioctl(fd, ENABLE) = 0  if new\n"
        );
        assert_eq!(resolved(&text, false), [format!("{OPEN} = EINVAL")]);
        assert_eq!(resolved(&text, true).len(), 3);
    }

    #[test]
    fn the_arguments_of_a_step_may_be_left_out() {
        let text = "perf_event_open(...) = fd\nioctl(...) = 0\n";
        assert_eq!(
            resolved(text, true),
            [format!("{OPEN} = fd"), "ioctl(fd, ENABLE) = 0".to_owned()]
        );
    }

    #[test]
    fn only_a_line_too_long_for_a_mail_is_abbreviated() {
        let short = format!("{OPEN} = fd");
        assert_eq!(abbreviated(&short), short);
        let long = format!("perf_event_open({}, pid=0) = EACCES", "x".repeat(80));
        assert_eq!(abbreviated(&long), "perf_event_open(...) = EACCES");
    }

    #[rstest]
    #[case("perf_event_open(software/dumy, pid=0, cpu=-1) = fd", "none of the steps")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = EACCESS", "unknown errno")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = ok", "cannot return")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = fd", "no line for `ioctl")]
    #[case("  cap perfmon = granted", "before every syscall")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES  if nw", "did you mean `new`")]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES\nioctl(fd, ENABLE) = 0",
        "never opened"
    )]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES\nperf_event_open(software/dummy, pid=0, cpu=-1) = EPERM",
        "none of the steps"
    )]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES  if new\nperf_event_open(software/dummy, pid=0, cpu=-1) = EPERM  unless newer",
        "two lines"
    )]
    fn a_mistake_is_named(#[case] text: &str, #[case] part: &str) {
        let mistake = Transcript::parse(text, 1, &steps(), &[], &["new", "newer"]).unwrap_err();
        assert!(mistake.message.contains(part), "{mistake:?}");
    }
}
