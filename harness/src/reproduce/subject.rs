//! The function of the subject's steps.

use std::collections::BTreeSet;

use perfsec_wire::Step;

use super::expected::ExpectedStep;
use super::literal::{identifier, string};
use super::obstacle::Obstacle;
use super::records;
use super::steps::{By, Needs};
use crate::case::Case;

/// Width of the lines, in columns; a tab has eight.
const WIDTH: usize = 99;

/// The body of the function, and what it uses.
pub(super) struct Steps {
    /// The statements.
    pub(super) text: String,
    /// The parts of the skeleton that it calls.
    pub(super) parts: BTreeSet<&'static str>,
    has_any: bool,
    has_never: bool,
}

impl Steps {
    /// The definition of the constants.
    pub(super) fn constants(&self, is_shared: bool) -> String {
        let mut names = vec!["AUDIT = 100"];
        names.extend(is_shared.then_some("SHARED"));
        names.extend(self.has_any.then_some("ANY = 1 << 30"));
        names.extend(self.has_never.then_some(match self.has_any {
            true => "NEVER",
            false => "NEVER = 1 << 30",
        }));
        let mut meanings = vec![if is_shared { "descriptors" } else { "a descriptor" }];
        meanings.extend(self.has_any.then_some("any success"));
        meanings.extend(self.has_never.then_some("no such call"));
        format!("enum {{ {} }};\t/* {} */", names.join(", "), meanings.join("; "))
    }

    /// The expression that says what a result that is no number means.
    pub(super) fn any_in_words(&self) -> String {
        match self.has_never {
            true => r#"expected == ANY ? "or any success" : expected == NEVER ? "(no call)" : """#,
            false => r#"expected == ANY ? "or any success" : """#,
        }
        .to_owned()
    }
}

/// One step.
struct Line {
    /// Statements before it.
    before: String,
    /// The name of what it makes.
    bind: Option<String>,
    /// Conditions in C without which the step does not run.
    guard: Vec<String>,
    /// The arguments of `check`, but the records.
    arguments: [String; 3],
    records: Vec<String>,
    /// The condition of the statement behind it, and that statement.
    after: Option<(&'static str, String)>,
}

/// Writes the steps.
pub(super) fn steps(
    case: &Case,
    expected: &[ExpectedStep],
    needs: &mut Needs,
) -> Result<Steps, Obstacle> {
    let mut lines = Vec::new();
    let mut parts = BTreeSet::new();
    let has_entries = case.steps.iter().any(resumes);
    if has_entries {
        needs.variables.insert("next".to_owned());
    }
    for (index, (step, wanted)) in case.steps.iter().zip(expected).enumerate() {
        let call = match step {
            Step::Agent(_) => {
                needs.call(step, By::Subject(index))?;
                format!("ask({})", index + 1)
            }
            _ => needs.call(step, By::Subject(index))?,
        };
        let mut line = Line {
            before: String::new(),
            bind: step.binds().map(str::to_owned),
            guard: needs.conditions(step),
            arguments: [
                string(&step.to_string()),
                call,
                wanted.result.clone().unwrap_or_else(|| "NEVER".to_owned()),
            ],
            records: Vec::new(),
            after: None,
        };
        let (records, has_parent) = records::argument(&wanted.records, 78);
        line.records = records;
        parts.extend(has_parent.then_some("parent"));
        for granted in &wanted.unseen {
            line.before.push_str(&format!("\t/* {granted}, which leaves no record */\n"));
        }
        if resumes(step) {
            let next = index + 1;
            let wait = match step {
                Step::Clone(_) => "\tif (result > 0)\n\t\thand_over(result);\n",
                _ => "",
            };
            line.before.push_str(&format!(
                "\ts->next = {next};\n\tresult = {};\n{wait}\tcase {next}:\t/* where it goes on */\n",
                line.arguments[1]
            ));
            line.arguments[1] = "result".to_owned();
            line.bind = None;
        }
        if let Some(became) = &wanted.became {
            parts.insert("became");
            line.after = Some(("!result", format!("is_now({});", became.arguments())));
        }
        if let Some(text) = &wanted.text {
            line.after = Some(("", format!("check_text({});", string(text))));
        }
        lines.push(line);
    }
    let before = needs.before.remove("").unwrap_or_default();
    let declared = declare(&mut lines, needs);
    let uses = |word: &str| lines.iter().any(|line| line.arguments[2] == word);
    let (has_any, has_never) = (uses("ANY"), uses("NEVER"));
    parts.insert(if has_any { "any" } else { "exact" });
    let mut text = String::new();
    if has_entries {
        text.push_str("\tlong result = 0;\n\n");
    }
    let made: Vec<_> =
        needs.made.iter().filter(|name| needs.variables.contains(*name)).cloned().collect();
    if !made.is_empty() {
        parts.insert("pass");
    }
    for name in &made {
        text.push_str(&format!("\tlong {name} = atol(getenv(\"{name}\"));\n"));
    }
    for name in &declared {
        text.push_str(&format!("\tlong {name} = -1;\n"));
    }
    if !declared.is_empty() || !made.is_empty() {
        text.push('\n');
    }
    before.iter().for_each(|line| text.push_str(&format!("\t{line}\n")));
    if has_entries {
        text.push_str("\tswitch (s->next) {\n\tcase 0:\n");
    }
    let mut known: BTreeSet<String> = declared.into_iter().chain(made).collect();
    for line in &lines {
        let step = line.text(needs.shares, &mut known);
        text.push_str(&if has_entries { below_case(&step) } else { step });
    }
    if has_entries {
        text.push_str("\t}\n");
    }
    Ok(Steps { text, parts, has_any, has_never })
}

/// True if another program or task performs the steps behind this one.
fn resumes(step: &Step) -> bool {
    match step {
        Step::Execve(_) => true,
        Step::Clone(clone) => clone.continues,
        _ => false,
    }
}

/// Statements as those of a `switch`, in which only the labels stand at its own column.
fn below_case(statements: &str) -> String {
    let indented = |line: &str| match line.starts_with("\tcase ") {
        true => format!("{line}\n"),
        false => format!("\t{line}\n"),
    };
    statements.lines().map(indented).collect()
}

/// Removes names that no step uses, and returns those that need a value before their step.
fn declare(lines: &mut [Line], needs: &Needs) -> Vec<String> {
    let mut early = Vec::new();
    for line in lines.iter_mut() {
        let Some(name) = line.bind.as_deref().map(identifier) else { continue };
        if !needs.variables.contains(&name) {
            line.bind = None;
        } else if !line.guard.is_empty() && !early.contains(&name) && !needs.shares {
            early.push(name);
        }
    }
    early.retain(|name| !needs.made.contains(name));
    early
}

impl Line {
    fn text(&self, shares: bool, known: &mut BTreeSet<String>) -> String {
        let mut out = self.before.clone();
        let mut indent = "\t".to_owned();
        if !self.guard.is_empty() {
            out.push_str(&format!("\tif ({})\n", self.guard.join(" && ")));
            indent.push('\t');
        }
        let prefix = match self.bind.as_deref().map(identifier) {
            Some(name) if shares => format!("s->{name} = "),
            Some(name) if known.insert(name.clone()) => format!("long {name} = "),
            Some(name) => format!("{name} = "),
            None => String::new(),
        };
        match &self.after {
            Some(("", then)) => {
                out.push_str(&self.check(&indent, &format!("if ({prefix}")));
                out.push_str(&format!(" >= 0)\n{indent}\t{then}\n"));
            }
            after => {
                out.push_str(&self.check(&indent, &prefix));
                out.push_str(";\n");
                if let Some((condition, then)) = after {
                    out.push_str(&format!("{indent}if ({condition})\n{indent}\t{then}\n"));
                }
            }
        }
        out
    }

    /// The call of `check`, with as many arguments on each line as it has room for.
    fn check(&self, indent: &str, prefix: &str) -> String {
        let rest = format!("{indent}      ");
        let start = 8 * indent.len();
        let mut out = format!("{indent}{prefix}check(");
        let mut column = start + prefix.len() + "check(".len();
        let arguments = self.arguments.iter().chain(&self.records);
        let last = self.arguments.len() + self.records.len() - 1;
        for (index, argument) in arguments.enumerate() {
            // Neighbours of a string literal are a part of it.
            let comma = if index < self.arguments.len() { "," } else { "" };
            let end = if index == last { ")" } else { comma };
            let lead = if index == 0 { "" } else { " " };
            let width = argument.lines().map(str::len).max().unwrap_or(0) + end.len();
            if index > 0 && column + lead.len() + width > WIDTH {
                out.push_str(&format!("\n{rest}"));
                column = start + 6;
            } else {
                out.push_str(lead);
                column += lead.len();
            }
            out.push_str(argument);
            out.push_str(end);
            column += width;
        }
        out
    }
}

/// Wraps a text at blanks.
pub(super) fn wrap(text: &str, first: &str, rest: &str) -> String {
    let options = textwrap::Options::new(95)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    textwrap::fill(text, options)
}
