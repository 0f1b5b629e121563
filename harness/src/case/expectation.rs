//! Expected transcripts, checked against the case's steps when the file is read.

use std::collections::BTreeSet;

use perfsec_wire::Step;

use super::bindings::needed;
use crate::transcript::{
    CallHead, CallResult, ELIDED, Effect, ExpectedCall, ExpectedEffects, ExpectedTranscript,
    ResultError, Syscall, Times,
};

/// An expected transcript, with the lines of all kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardedTranscript {
    lines: Vec<GuardedLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct GuardedLine {
    content: LineContent,
    guard: Option<Guard>,
    /// Line in the case file, from 1.
    number: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LineContent {
    /// The last field is true for a `recvmsg` that brings no descriptor.
    Call {
        step: usize,
        call: Syscall,
        nothing: bool,
    },
    Effects(ExpectedEffects),
    /// Effects of a call of a program.
    Below(ExpectedEffects),
}

/// `if NAME` or `unless NAME` at the end of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Guard {
    condition: String,
    wanted: bool,
}

/// A mistake in a transcript: the line of the file, the message, and advice.
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

impl GuardedTranscript {
    /// Parses a transcript that begins on line `first` of the file.
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
                if !lines
                    .iter()
                    .any(|line: &GuardedLine| matches!(line.content, LineContent::Call { .. }))
                {
                    return Err(Mistake::new(number, "an effect before the first syscall")
                        .help("do not indent syscalls, only what they cause"));
                }
                parse_effects(line, &body, number, steps, &lines)?
            } else {
                let last = lines.iter().rev().find_map(|line: &GuardedLine| match &line.content {
                    LineContent::Call { step, .. } => Some((*step, line.guard.is_some())),
                    LineContent::Effects(_) | LineContent::Below(_) => None,
                });
                // Two guarded lines in a row may be alternatives of one step.
                let from = match last {
                    None => 0,
                    Some((step, true)) if guard.is_some() => step,
                    Some((step, _)) => step + 1,
                };
                parse_call(&body, number, steps, from)?
            };
            lines.push(GuardedLine { content, guard, number });
        }
        let transcript = Self { lines };
        transcript.check(first, steps, processes)?;
        Ok(transcript)
    }

    /// The transcript for one kernel; `holds` evaluates the condition with this name.
    pub(super) fn resolve(&self, holds: impl Fn(&str) -> bool) -> ExpectedTranscript {
        let mut calls: Vec<ExpectedCall> = Vec::new();
        for line in self.resolved(&holds) {
            match (&line.content, calls.last_mut()) {
                (LineContent::Effects(effects), Some(call)) => call.effects.push(effects.clone()),
                (LineContent::Below(below), Some(call)) => {
                    if let Some(group) = call.effects.last_mut() {
                        group.effects.extend(below.effects.iter().cloned());
                    }
                }
                // parse() refuses an effect before the first call.
                (LineContent::Effects(_) | LineContent::Below(_), None) => {}
                (LineContent::Call { call, .. }, _) => calls.push(ExpectedCall {
                    head: CallHead::Syscall(call.clone()),
                    line: line.number,
                    effects: Vec::new(),
                }),
            }
        }
        ExpectedTranscript { calls }
    }

    /// True if, on any kernel, a syscall is refused for lack of privilege.
    #[must_use]
    pub(super) fn has_denial(&self) -> bool {
        self.lines.iter().any(|line| match &line.content {
            LineContent::Call { call, nothing, .. } => *nothing || call.result.is_denial(),
            LineContent::Effects(_) | LineContent::Below(_) => false,
        })
    }

    /// Names of the conditions in the guards of lines.
    pub(super) fn conditions(&self) -> BTreeSet<&str> {
        let guards = self.lines.iter().filter_map(|line| line.guard.as_ref());
        guards.map(|guard| guard.condition.as_str()).collect()
    }

    /// True if any line has a guard.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.lines.iter().any(|line| line.guard.is_some())
    }

    /// The lines whose guards hold. A syscall whose guard fails takes its effects with it.
    fn resolved(&self, holds: &impl Fn(&str) -> bool) -> impl Iterator<Item = &GuardedLine> {
        let (mut call_holds, mut above_holds) = (true, true);
        self.lines.iter().filter(move |line| {
            let own =
                line.guard.as_ref().is_none_or(|guard| holds(&guard.condition) == guard.wanted);
            match line.content {
                LineContent::Call { .. } => {
                    call_holds = own;
                    own
                }
                LineContent::Effects(_) => {
                    above_holds = own;
                    call_holds && own
                }
                LineContent::Below(_) => call_holds && above_holds && own,
            }
        })
    }

    /// Checks that every step that is performed has one line, for all combinations of conditions.
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
                LineContent::Call { step, call, nothing } => {
                    let made = !nothing && !matches!(call.result, CallResult::Error(_));
                    Some((*step, made, line.number))
                }
                LineContent::Effects(_) | LineContent::Below(_) => None,
            })
            .peekable();
        let opened_by_steps: Vec<_> = steps.iter().filter_map(Step::binds).collect();
        let mut open: BTreeSet<&str> = BTreeSet::new();
        for (index, step) in steps.iter().enumerate() {
            // A descriptor that no step opens comes from the `[[given]]` steps.
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
                Some((at, made, number)) if at == index => {
                    calls.next();
                    if let Some(fd) = missing {
                        return Err(Mistake::new(
                            number,
                            format!("`{step}` is not performed: `{fd}` was never opened"),
                        )
                        .help("remove the line"));
                    }
                    open.extend(step.binds().filter(|_| made));
                }
                _ if reachable => {
                    let number = calls.peek().map_or(first, |(_, _, number)| *number);
                    return Err(Mistake::new(number, format!("no line for `{step}`")).help(
                        "write one line for each step that is performed, in the order of the steps",
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

/// Splits a line into its guard and the rest.
fn split_guard(
    line: &str,
    number: usize,
    conditions: &[&str],
) -> Result<(String, Option<Guard>), Mistake> {
    for (word, wanted) in [("  if ", true), ("  unless ", false)] {
        // trim_start(): the indent of an effect does not separate a guard.
        let Some((body, name)) = line.trim_start().rsplit_once(word) else { continue };
        // A count may come before the guard or after it.
        let (name, count) = name.trim().split_once("  ").unwrap_or((name.trim(), ""));
        if !conditions.contains(&name) {
            let close = crate::suggest::closest(name, conditions);
            return Err(Mistake::new(number, format!("no condition `{name}`{close}"))
                .help(format!("define it: [when.{name}]")));
        }
        let rest = format!("{}  {}", body.trim_end(), count.trim()).trim_end().to_owned();
        return Ok((rest, Some(Guard { condition: name.to_owned(), wanted })));
    }
    Ok((line.trim().to_owned(), None))
}

/// Parses an indented line.
fn parse_effects(
    line: &str,
    body: &str,
    number: usize,
    steps: &[Step],
    lines: &[GuardedLine],
) -> Result<LineContent, Mistake> {
    let effects =
        ExpectedEffects::parse(body, number).map_err(|error| Mistake::new(number, error))?;
    let step = lines.iter().rev().find_map(|line| match line.content {
        LineContent::Call { step, .. } => steps.get(step),
        _ => None,
    });
    let is_of_program = effects.effects.iter().any(Effect::is_of_program);
    if !matches!(step, Some(Step::Run(_))) {
        return match is_of_program {
            true => Err(Mistake::new(number, format!("`{body}` is a line of a program"))
                .help("only a `run` step runs one; do not indent syscalls of the subject")),
            false => Ok(LineContent::Effects(effects)),
        };
    }
    let indent = line.len() - line.trim_start().len();
    if indent <= PROGRAM_INDENT {
        let is_message = matches!(effects.effects[..], [Effect::Kernel(_)]);
        return match is_of_program || is_message {
            true => Ok(LineContent::Effects(effects)),
            false => Err(Mistake::new(number, format!("`{body}` is below no call of the program"))
                .help("indent it by four blanks, below the call that causes it")),
        };
    }
    let above = lines.iter().rev().find_map(|line| match &line.content {
        LineContent::Effects(effects) => effects.effects.first(),
        _ => None,
    });
    if is_of_program || !matches!(above, Some(Effect::Called(_))) || effects.times != Times::Once {
        return Err(Mistake::new(
            number,
            format!("`{body}` is no effect of a call of the program"),
        )
        .help(
            "indent calls by two blanks and what they cause by four; a count belongs to a call",
        ));
    }
    let below = effects.effects.into_iter().map(|effect| Effect::Caused(Box::new(effect)));
    let effects = ExpectedEffects { effects: below.collect(), ..effects };
    Ok(LineContent::Below(effects))
}

/// The indent of the calls of a program; their effects have more.
const PROGRAM_INDENT: usize = 2;

fn parse_call(
    line: &str,
    number: usize,
    steps: &[Step],
    from: usize,
) -> Result<LineContent, Mistake> {
    let (call, result) = line.rsplit_once('=').ok_or_else(|| {
        Mistake::new(number, format!("`{line}` is not a syscall with its result"))
            .help("write `SYSCALL(ARGUMENTS) = RESULT`, and indent what it causes")
    })?;
    let call = call.split_whitespace().collect::<Vec<_>>().join(" ");
    let result = result.trim();
    let is = |step: &Step| call == format!("{}({ELIDED})", step.name()) || call == step.to_string();
    let step = (from..steps.len()).find(|at| is(&steps[*at])).ok_or_else(|| {
        let rest: Vec<_> = steps.iter().skip(from).map(ToString::to_string).collect();
        let mistake =
            Mistake::new(number, format!("`{call}` is none of the steps that can come here"));
        match rest.as_slice() {
            [] => mistake.help("every step already has its line"),
            rest => mistake.help(format!("remaining steps: {}", rest.join("; "))),
        }
    })?;
    let result = parse_result(&steps[step], result, number)?;
    let nothing = result.is_nothing(&steps[step]);
    Ok(LineContent::Call { step, call: Syscall::new(&steps[step], result), nothing })
}

fn parse_result(step: &Step, result: &str, number: usize) -> Result<CallResult, Mistake> {
    CallResult::of_step(step, result).map_err(|error| {
        let (message, help) = wrong_result(step, result, error);
        Mistake { line: number, message, help }
    })
}

/// The error message for a result that a step cannot have, and advice.
pub(super) fn wrong_result(
    step: &Step,
    result: &str,
    error: ResultError,
) -> (String, Option<String>) {
    match error {
        ResultError::Errno(error) => (error, None),
        ResultError::Form(expected) => (
            format!("`{}` cannot return `{result}`", step.name()),
            Some(format!("write {expected} or an errno such as `EACCES`")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use perfsec_wire::step::{AttrPlace, Ioctl, PerfEventOpen, Place, Request};
    use rstest::rstest;

    use super::*;

    fn steps() -> Vec<Step> {
        let open = PerfEventOpen {
            attr: perfsec_wire::PerfEventAttr::default(),
            pid: perfsec_wire::step::Task::Caller,
            cpu: -1,
            group: None,
            flags: Vec::new(),
            attr_at: AttrPlace::Mapped,
            times: 1,
            bind: "fd".to_owned(),
        };
        let enable = Ioctl {
            fd: "fd".to_owned(),
            request: Request::Enable,
            arg: 0,
            to: None,
            filter: None,
            attr: None,
            ids_len: 4,
            at: Place::Mapped,
            compat: false,
        };
        vec![Step::PerfEventOpen(Box::new(open)), Step::Ioctl(Box::new(enable))]
    }

    const OPEN: &str = "perf_event_open(software/dummy, pid=0, cpu=-1)";

    fn resolved(text: &str, new: bool) -> Vec<String> {
        let transcript = GuardedTranscript::parse(text, 1, &steps(), &[], &["new"]).unwrap();
        let resolved = transcript.resolve(|_| new).to_string();
        resolved.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_guarded_line_is_expected_if_its_condition_holds() {
        let text = format!(
            "{OPEN} = fd\n  avc denied {{ open }} tclass=perf_event\n  \
             cap  perfmon = granted  if new\nioctl(fd, ENABLE) = 0\n"
        );
        assert_eq!(resolved(&text, true).len(), 4);
        assert_eq!(resolved(&text, false).len(), 3);
        assert_eq!(resolved(&text, true)[2], "  cap perfmon = granted");
    }

    #[test]
    fn a_guarded_call_takes_its_effects_along() {
        let text = format!(
            "{OPEN} = EINVAL  unless new\n{OPEN} = fd  if new\n  cap perfmon = granted\n\
             ioctl(fd, ENABLE) = 0  if new\n"
        );
        assert_eq!(resolved(&text, false), [format!("{OPEN} = EINVAL")]);
        assert_eq!(resolved(&text, true).len(), 3);
    }

    #[test]
    fn the_arguments_of_a_step_may_be_elided() {
        let text = "perf_event_open(...) = fd\nioctl(...) = 0\n";
        assert_eq!(
            resolved(text, true),
            [format!("{OPEN} = fd"), "ioctl(fd, ENABLE) = 0".to_owned()]
        );
    }

    /// A transcript of a step that runs a program.
    fn of_program(text: &str) -> Result<GuardedTranscript, Mistake> {
        let argv = vec!["perf".to_owned(), "stat".to_owned()];
        let run = perfsec_wire::step::Run { argv, output: Vec::new(), interrupt_after: None };
        GuardedTranscript::parse(text, 1, &[Step::Run(run)], &[], &["new"])
    }

    #[test]
    fn a_program_has_its_calls_and_their_effects_below_it() {
        let text = "\
run(perf stat) = exit 0
  ...
  perf_event_open(software/*) = fd  +
    cap perfmon = granted
    avc denied { open } tclass=perf_event  if new
  bpf(...) = EPERM  unless new
    cap bpf = not held
  output \"not supported\"
  never sys_admin
";
        let resolved = |new| of_program(text).unwrap().resolve(|_| new).to_string();
        let without = |part: &str| {
            let lines = text.lines().filter(|line| !line.contains(part));
            let lines = lines.map(|line| line.split("  if ").next().unwrap_or_default());
            lines.map(|line| format!("{}\n", line.trim_end())).collect::<String>()
        };
        assert_eq!(resolved(true), without("bpf"));
        assert_eq!(resolved(false), without("avc").replace("  unless new", ""));
    }

    #[rstest]
    #[case("  cap perfmon = granted", "is below no call of the program")]
    #[case("    cap perfmon = granted", "no effect of a call of the program")]
    #[case("  open(...) = fd\n    cap bpf = granted  +", "no effect of a call of the program")]
    #[case("  open(...) = fd\n    read(...) = some", "no effect of a call of the program")]
    #[case("  open(...) = EACCESS", "unknown errno")]
    #[case("  output not supported", "is not a text in quotes")]
    fn a_mistake_below_a_program_is_reported(#[case] lines: &str, #[case] part: &str) {
        let mistake = of_program(&format!("run(perf stat) = exit 0\n{lines}\n")).unwrap_err();
        assert!(mistake.message.contains(part), "{mistake:?}");
    }

    #[test]
    fn a_call_below_a_step_that_runs_no_program_is_a_mistake() {
        let text = format!("{OPEN} = EACCES\n  read(...) = some\n");
        let mistake = GuardedTranscript::parse(&text, 1, &steps(), &[], &[]).unwrap_err();
        assert!(mistake.message.contains("is a line of a program"), "{mistake:?}");
    }

    #[rstest]
    #[case("exit 0", true)]
    #[case("exit 255", true)]
    #[case("exit *", true)]
    #[case("killed by SIGINT", true)]
    #[case("EACCES", true)]
    #[case("exit", false)]
    #[case("0", false)]
    fn a_program_ends_with_a_code_or_a_signal(#[case] result: &str, #[case] valid: bool) {
        assert_eq!(of_program(&format!("run(perf stat) = {result}\n")).is_ok(), valid);
    }

    #[rstest]
    #[case("cap bpf = granted  +", "  cap bpf = granted  +")]
    #[case("cap bpf = granted  +  if new", "  cap bpf = granted  +")]
    #[case("(cap bpf = granted; cap perfmon = granted)  unless new  *", "")]
    fn an_effect_may_have_a_count_and_a_guard(#[case] effect: &str, #[case] line: &str) {
        let text = format!("{OPEN} = EACCES\n  {effect}\n");
        let lines = resolved(&text, true);
        assert_eq!(lines.get(1).map_or("", String::as_str), line);
    }

    #[rstest]
    #[case("perf_event_open(software/dumy, pid=0, cpu=-1) = fd", "none of the steps")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = EACCESS", "unknown errno")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = ok", "cannot return")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = fd", "no line for `ioctl")]
    #[case("  cap perfmon = granted", "before the first syscall")]
    #[case("perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES  if nw", "did you mean `new`")]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES\nioctl(fd, ENABLE) = 0",
        "never opened"
    )]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES\n\
         perf_event_open(software/dummy, pid=0, cpu=-1) = EPERM",
        "none of the steps"
    )]
    #[case(
        "perf_event_open(software/dummy, pid=0, cpu=-1) = EACCES  if new\n\
         perf_event_open(software/dummy, pid=0, cpu=-1) = EPERM  unless newer",
        "two lines"
    )]
    fn a_mistake_is_reported(#[case] text: &str, #[case] part: &str) {
        let known = ["new", "newer"];
        let mistake = GuardedTranscript::parse(text, 1, &steps(), &[], &known).unwrap_err();
        assert!(mistake.message.contains(part), "{mistake:?}");
    }
}
