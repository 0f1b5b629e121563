//! A walk through the how-to as an HTML page.

use maud::{Markup, html as markup};

use super::outcome::{Finding, Performed, StepOutcome, Verdict, Walkthrough};
use super::text::{booted, ending, seconds, typed_lines};
use crate::text::{Text, page};

const STYLE: &str = "\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
html { background: Canvas; color: CanvasText }
main { max-width: 60rem; margin: 0 auto; padding: 0 1rem }
pre { background: #8882; padding: .5rem .8rem; overflow-x: auto; font-size: .85rem }
.note { color: GrayText } .findings { list-style: none; padding: 0 }
.findings li { border-left: .3rem solid; padding-left: .6rem; margin: .3rem 0 }
.kept { border-color: #2a8 } .differs { border-color: #ca0 } .broken { border-color: #c33 }
@media print { :root { color-scheme: light; font-size: 9pt } pre { white-space: pre-wrap } }";

/// The walk as one HTML page that loads nothing.
#[must_use]
pub fn html(walk: &Walkthrough) -> Text {
    let title = format!("perf under SELinux, tried on {}", walk.kernel);
    let content = markup! {
        p { b { (walk.summary()) } ", in " (seconds(walk.took)) "." }
        p { (walk.system) ": " (walk.packages.join(", ")) ". " (walk.machine) "." }
        @for (at, step) in walk.steps.iter().enumerate() { (section(at + 1, step)) }
        @if let Some(error) = &walk.stopped { pre { (error) } }
    };
    page(&title, STYLE, &content)
}

fn section(number: usize, step: &StepOutcome) -> Markup {
    markup! {
        section id={ "step-" (number) } {
            h2 { (number) ". " (step.title) @if !step.holds() { " (not as promised)" } }
            p { (step.says) }
            @if let Some(boot) = &step.boot { p.note { "The guest was " (booted(boot)) "." } }
            @for command in &step.commands { (performed(command)) }
        }
    }
}

fn performed(command: &Performed) -> Markup {
    let typed = typed_lines(&command.typed).join("\n");
    markup! {
        @if !command.why.is_empty() { p { (command.why) } }
        pre {
            (command.prompt) " " b { (typed) } "\n"
            @for line in &command.output { (line) "\n" }
        }
        @if let Some(note) = ending(command) { p.note { (note) } }
        @if !command.findings.is_empty() {
            ul.findings { @for finding in &command.findings { (item(finding)) } }
        }
    }
}

fn item(finding: &Finding) -> Markup {
    let claim = &finding.claim;
    match &finding.verdict {
        Verdict::Kept => markup! { li.kept { "As promised: " (claim) } },
        Verdict::Differs { but, why } => markup! {
            li.differs { "Differs: " (claim) ", but " (but) ", because " (why) }
        },
        Verdict::Broken { but } => markup! {
            li.broken { b { "Not as promised" } ": " (claim) ", but " (but) }
        },
    }
}
