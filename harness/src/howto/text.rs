//! Prints a walk through the how-to for a terminal.

use std::time::Duration;

use anstyle::{AnsiColor, Style};

use super::outcome::{Boot, Finding, Performed, StepOutcome, Verdict, Walkthrough};
use crate::prose::{self, MAIL_WIDTH};
use crate::text::{Text, line};

const KEPT: Style = AnsiColor::Green.on_default();
const DIFFERS: Style = AnsiColor::Yellow.on_default();
const BROKEN: Style = AnsiColor::Red.on_default();
const TYPED: Style = Style::new().bold();

/// The walk as a person reads it.
#[must_use]
pub fn text(walk: &Walkthrough) -> Text {
    let mut text = Text::new();
    line!(text, "{}, {}", walk.kernel, walk.system);
    line!(text, "{}", walk.packages.join(", "));
    line!(text, "{}", walk.machine);
    for (at, step) in walk.steps.iter().enumerate() {
        line!(text);
        write_step(at + 1, step, &mut text);
    }
    line!(text);
    for line in walk.stopped.iter().flat_map(|error| error.lines()) {
        line!(text, "{line}");
    }
    line!(text, "{}, in {}", walk.summary(), seconds(walk.took));
    text
}

fn write_step(number: usize, step: &StepOutcome, text: &mut Text) {
    text.paint(TYPED, format_args!("{number}. {}", step.title)).end();
    wrapped("   ", &step.says, text);
    if let Some(boot) = &step.boot {
        line!(text, "   [{}]", booted(boot));
    }
    for command in &step.commands {
        write_command(command, text.end());
    }
}

fn write_command(command: &Performed, text: &mut Text) {
    if !command.why.is_empty() {
        wrapped("   ", &command.why, text);
    }
    for (at, typed) in typed_lines(&command.typed).into_iter().enumerate() {
        let prompt = if at == 0 { command.prompt.as_str() } else { ">" };
        text.span(format_args!("   {prompt} ")).paint(TYPED, typed).end();
    }
    for line in &command.output {
        line!(text, "   {}", line.replace('\t', "        "));
    }
    if let Some(note) = ending(command) {
        line!(text, "   [{note}]");
    }
    for finding in &command.findings {
        write_finding(finding, text);
    }
}

fn write_finding(finding: &Finding, text: &mut Text) {
    let (style, word) = match finding.verdict {
        Verdict::Kept => (KEPT, "ok"),
        Verdict::Differs { .. } => (DIFFERS, "differs"),
        Verdict::Broken { .. } => (BROKEN, "NOT AS PROMISED"),
    };
    text.span("   ").paint(style, word).line(format_args!(": {}", finding.claim));
    match &finding.verdict {
        Verdict::Kept => {}
        Verdict::Differs { but, why } => {
            line!(text, "      but {but}");
            wrapped("      ", &format!("because {why}"), text);
        }
        Verdict::Broken { but } => line!(text, "      but {but}"),
    }
}

fn wrapped(indent: &str, words: &str, text: &mut Text) {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in prose::lines(&words, prose::options(MAIL_WIDTH)) {
        line!(text, "{indent}{line}");
    }
}

/// Lines at the beginning of what was typed that are shown.
const TYPED_LINES: usize = 6;

/// The typed lines, without the middle of a long file.
pub(super) fn typed_lines(typed: &str) -> Vec<String> {
    let lines: Vec<_> = typed.lines().collect();
    match lines.len() {
        0..=10 => lines.into_iter().map(str::to_owned).collect(),
        all => {
            let mut shown: Vec<_> =
                lines.iter().take(TYPED_LINES).map(|it| (*it).to_owned()).collect();
            shown.push(format!("[{} lines left out]", all - TYPED_LINES - 1));
            shown.extend(lines.last().map(|it| (*it).to_owned()));
            shown
        }
    }
}

/// A boot, in words.
pub(super) fn booted(boot: &Boot) -> String {
    let how = if boot.restored { "restored from a snapshot of a boot" } else { "booted" };
    format!("{how} with {}, ready after {}", boot.parameters, seconds(boot.took))
}

/// The end of a command, if it was not an ordinary one.
pub(super) fn ending(command: &Performed) -> Option<String> {
    let slow = command.took >= Duration::from_secs(2);
    match command.exit {
        Some(0) if slow => Some(seconds(command.took)),
        Some(0) => None,
        Some(code) if slow => Some(format!("exit code {code}, {}", seconds(command.took))),
        Some(code) => Some(format!("exit code {code}")),
        None => Some(format!("interrupted, or the session ended, after {}", seconds(command.took))),
    }
}

/// A time in whole seconds, or in tenths if it is short.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{seconds} s"),
    }
}
