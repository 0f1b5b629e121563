//! Builds an answer: asks, asks again with the errno, and searches remedies.

use std::collections::{BTreeMap, BTreeSet};

use perfsec_wire::{Mode, Step};

use super::model::{
    CallLine, ChangeLine, FORMAT, QuestionAnswer, QuestionLine, RefusalLine, RemedyLine, Verdict,
    WhyAnswer,
};
use super::notes::{kptr, notes};
use super::seen::{meaning, seen};
use crate::allow::{Rule, RuleScope};
use crate::asks::{CheckedThing, MadeCheck};
use crate::errno::Errno;
use crate::explain::place;
use crate::grant::cap_constant;
use crate::transcript::{CallHead, CallResult, Syscall};
use crate::why::ask::{Asked, AskedCall, CallRefusal, Changed, Obstacle, ask};
use crate::why::command::{Does, ToolCommand, ToolCommandError};
use crate::why::facts::{FactSource, Facts, Given};
use crate::why::remedy::{Change, Remedy, blocked, remedies, te};
use crate::why::words::Scanned;

/// A question of a user.
#[derive(Clone)]
pub struct Inquiry {
    /// The facts.
    pub facts: Facts,
    /// The command.
    pub command: ToolCommand,
    /// The system call that is known to have failed, if the others are known to have succeeded.
    pub focus: Option<&'static str>,
    /// Facts that were found in words.
    pub understood: Vec<String>,
    /// Words that were not understood.
    pub ignored: Vec<String>,
    /// Facts that could not be read, with the reason.
    pub unread: Vec<String>,
    /// Further paragraphs for the answer.
    pub notes: Vec<String>,
    /// The message or the errno is not that of a refusal.
    pub no_refusal: bool,
    /// The question is about the addresses of the kernel.
    pub about_kptr: bool,
}

impl Inquiry {
    /// A question about a command under these facts.
    #[must_use]
    pub fn about(facts: Facts, command: ToolCommand) -> Self {
        Self {
            facts,
            command,
            focus: None,
            understood: Vec::new(),
            ignored: Vec::new(),
            unread: Vec::new(),
            notes: Vec::new(),
            no_refusal: false,
            about_kptr: false,
        }
    }
}

impl Inquiry {
    /// The question that words ask. `more` completes what they state.
    ///
    /// # Errors
    ///
    /// Mistakes in the data, which the project's tests rule out.
    pub fn of_words(found: Scanned, more: Given) -> Result<Self, ToolCommandError> {
        let fallback = || ToolCommand::read(&["perf_event_open".to_owned()]);
        let command = match &found.command {
            None => fallback()?,
            // A command that perfsec does not know changes nothing about the facts.
            Some(line) => ToolCommand::read(line).or_else(|_| fallback())?,
        };
        let facts = Facts::new(found.given.or(more), None)?;
        Ok(Self {
            focus: found.focus,
            understood: found.understood,
            ignored: found.ignored,
            notes: found.notes,
            no_refusal: found.no_refusal,
            about_kptr: found.about_kptr,
            ..Self::about(facts, command)
        })
    }
}

/// Answers a question.
#[must_use]
pub fn answer(question: Inquiry) -> WhyAnswer {
    let mut changed = Changed {
        facts: question.facts,
        command: question.command,
        rules: BTreeMap::new(),
        focus: question.focus,
    };
    if changed.command.sudo && changed.facts.uid.source != FactSource::Given {
        changed = Change::Root.apply(&changed);
    }
    let errno = changed.facts.errno;
    let denial = errno.filter(|errno| errno.is_denial());
    let mut out = WhyAnswer {
        format: FORMAT,
        command: changed.command.line(),
        understood: question.understood,
        ignored: question.ignored,
        facts: Vec::new(),
        unread: question.unread,
        calls: Vec::new(),
        verdict: Verdict::Allowed,
        first: None,
        next: Vec::new(),
        seen: Vec::new(),
        second_attempt: None,
        reasons: Vec::new(),
        remedies: Vec::new(),
        rules: Vec::new(),
        notes: question.notes,
    };
    out.ignored.extend(changed.command.ignored.iter().cloned());
    if let Some(denial) = denial {
        let seen = seen(denial, &changed);
        out.seen = seen.lines;
        if let Some(facts) = seen.adopted {
            changed.facts = facts;
        }
    }
    out.facts = changed.facts.lines();
    let does = changed.command.tool.does;
    if does == Does::Ptrace {
        out.verdict = Verdict::NotPerf;
        out.notes.push(format!(
            "{} uses ptrace(2): perf_event_paranoid, CAP_PERFMON and the class perf_event do not \
             matter to it. Its access is that of ptrace: the same user and a dumpable process, else \
             CAP_SYS_PTRACE; Yama's ptrace_scope and SELinux's process {{ ptrace }} can refuse it.",
            changed.command.tool.name
        ));
        return out;
    }
    if let Some(other) = errno.filter(|errno| !errno.is_denial()) {
        out.verdict = Verdict::NotARefusal;
        out.seen = vec![meaning(other)];
        out.notes.extend(notes(&changed, out.verdict));
        return out;
    }
    if question.about_kptr || question.no_refusal || does == Does::Nothing {
        out.verdict = Verdict::NotARefusal;
        if question.about_kptr {
            out.notes.push(kptr(changed.facts.kptr.value).to_owned());
        }
        let of_tool = notes(&changed, out.verdict);
        out.notes.extend(of_tool.into_iter().filter(|_| does == Does::Nothing));
        return out;
    }
    let asked = ask(&changed);
    out.calls = asked.calls.iter().map(call_line).collect();
    let mut refusals = all_refusals(&asked).into_iter();
    out.first = refusals.next();
    out.next = refusals.collect();
    if out.first.is_some() {
        out.verdict = Verdict::Refused;
        out.second_attempt = second_attempt(&changed, &asked);
        out.reasons = blocked(&changed, &asked);
    }
    let found = if out.first.is_some() { remedies(&changed) } else { Vec::new() };
    out.remedies = found.iter().map(|remedy| remedy_line(remedy, &changed)).collect();
    if !changed.facts.policy_is_loaded && changed.facts.selinux.value != Mode::Disabled {
        out.rules = rules(&changed, &found);
    }
    if out.verdict == Verdict::Allowed {
        out.notes.extend(allowed(&changed));
    }
    let of_command = notes(&changed, out.verdict);
    out.notes.extend(of_command);
    out
}

/// The causes that are left if nothing refuses.
fn allowed(changed: &Changed) -> Vec<String> {
    let facts = &changed.facts;
    let mut notes = Vec::new();
    if facts.selinux.value == Mode::Enforcing && !facts.policy_is_loaded {
        notes.push(
            "If it still fails, SELinux may refuse it, which leaves an AVC record unless a \
             dontaudit rule hides it (`semodule -DB` disables these rules, `semodule -B` enables \
             them again) or audit is off."
                .to_owned(),
        );
    }
    let held = facts.file.value.permitted;
    if !held.is_empty() && facts.effective.is_none() {
        notes.push(
            "A capability of a file may also not become effective: nosuid mounts and no_new_privs \
             drop it silently. CapEff in /proc/PID/status shows what a process has."
                .to_owned(),
        );
    }
    notes
}

fn call_line(call: &AskedCall) -> CallLine {
    let errno = call.refusals.first().map(|refusal| refusal.errno);
    CallLine {
        call: head(&call.step, errno),
        purpose: call.purpose.clone(),
        errno: errno.map(|errno| errno.to_string()),
        questions: call.checks.iter().map(|check| question_line(check, &call.step)).collect(),
        records: call.records.clone(),
    }
}

/// The call, as strace would write it.
fn head(step: &Step, errno: Option<Errno>) -> String {
    let result = match errno {
        Some(errno) => CallResult::Error(errno),
        None => CallResult::success(step),
    };
    CallHead::Syscall(Syscall::new(step, result)).to_string()
}

fn question_line(check: &MadeCheck, step: &Step) -> QuestionLine {
    let (asks, held) = match &check.about {
        CheckedThing::Capability { cap, held, .. } => (cap_constant(*cap), *held),
        CheckedThing::Permissions { class, permissions, .. } => {
            (format!("{class} {{ {} }}", permissions.join(" ")), true)
        }
    };
    let answer = match (check.passes, held) {
        (true, _) => QuestionAnswer::Passes,
        (false, true) => QuestionAnswer::Denied,
        (false, false) => QuestionAnswer::NotHeld,
    };
    QuestionLine { asks, place: place(&check.path, step.name()), answer }
}

/// Every refusal once: several events are refused alike.
fn all_refusals(asked: &Asked) -> Vec<RefusalLine> {
    let mut all = Vec::new();
    for call in &asked.calls {
        for refusal in &call.refusals {
            let line = refusal_line(call.step.name(), refusal);
            if !all.contains(&line) {
                all.push(line);
            }
        }
    }
    all
}

fn refusal_line(syscall: &str, refusal: &CallRefusal) -> RefusalLine {
    RefusalLine {
        syscall: syscall.to_owned(),
        errno: refusal.errno.to_string(),
        place: refusal.place.clone(),
        because: refusal.because.clone(),
        not_held: refusal.not_held.iter().map(|cap| cap_constant(*cap)).collect(),
        silent: refusal.silent || !matches!(refusal.obstacle, Obstacle::Denial { .. }),
    }
}

fn remedy_line(remedy: &Remedy, changed: &Changed) -> RemedyLine {
    let line =
        |change: &Change| ChangeLine { how: change.how(changed), gives_away: change.gives_away() };
    RemedyLine { changes: remedy.changes.iter().map(line).collect() }
}

/// The second attempt of perf (`evsel__fallback()`).
fn second_attempt(changed: &Changed, asked: &Asked) -> Option<String> {
    let (call, refusal) = asked.first()?;
    let opens = matches!(call.step, Step::PerfEventOpen(_));
    let falls_back = changed.command.retries()
        && changed.facts.level.value > 1
        && opens
        && refusal.errno == Errno::EACCES;
    if !falls_back {
        return None;
    }
    let again = Changed { command: changed.command.without_kernel(), ..changed.clone() };
    let tool = &changed.command.tool.name;
    let of_kernel = changed.command.events.iter().any(|event| {
        let name = event.event.to_string();
        name.ends_with("context-switches") || name.ends_with("cpu-migrations")
    });
    let zero = match of_kernel {
        true => "; context-switches and cpu-migrations happen in the kernel, so they then count 0",
        false => "",
    };
    let result = match ask(&again).first() {
        None => format!("which succeeds{zero}"),
        Some((_, refusal)) => {
            let lower = Change::Level(2).apply(&again);
            let at_two = match changed.facts.level.value > 2 && ask(&lower).passes() {
                true => format!(" (at level 2 that would succeed{zero})"),
                false => String::new(),
            };
            format!(
                "and {} refuses that too, with {}: {}{at_two}",
                refusal.place, refusal.errno, refusal.because
            )
        }
    };
    Some(format!(
        "After EACCES, {tool} tries each event again without the kernel (it shows them with `:u`), \
         {result}."
    ))
}

/// The SELinux rules that the calls need, with the first remedy that gives a capability.
fn rules(changed: &Changed, found: &[Remedy]) -> Vec<String> {
    let gives = |change: &Change| {
        matches!(change, Change::FileCaps(_) | Change::Ambient(_) | Change::ContainerCaps(_))
    };
    let chosen = found.iter().find(|remedy| remedy.changes.iter().any(gives)).or(found.first());
    let chosen = chosen.map(|remedy| remedy.changes.as_slice()).unwrap_or_default();
    let now = chosen.iter().fold(changed.clone(), |now, change| change.apply(&now));
    let asked = ask(&now);
    let mut scopes: BTreeMap<RuleScope, Rule> = BTreeMap::new();
    for [source, target, class, permission] in asked.permissions() {
        let rule = scopes.entry(RuleScope { source, target, class }).or_default();
        rule.permissions.insert(permission);
    }
    // Where SELinux is asked without effect, as about setuid, no rule is needed.
    let concerns = ["perf_event", "capability", "capability2", "bpf", "file", "lockdown"];
    let known: BTreeSet<_> = concerns.into_iter().collect();
    let rules = scopes.iter().filter(|(scope, _)| known.contains(scope.class.as_str()));
    rules.map(|(scope, rule)| te(scope, rule)).collect()
}
