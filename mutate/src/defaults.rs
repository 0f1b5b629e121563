//! Mutants of what a kernel starts with: initial values, and the entries of tables.

use std::ops::Range;

use crate::collect::number;
use crate::draft::Draft;
use crate::modes;
use crate::mutant::{Edit, apply};
use crate::scan::{self, collapse};
use crate::source::SourceFile;
use crate::{Mutant, Operator};

/// The place of a default.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The value of a variable or of a macro.
    Value { whole: Range<usize>, value: Range<usize> },
    /// A variable without a value, which starts as 0.
    Zero { whole: Range<usize> },
    /// An entry of a table, between its braces, and the string that names it.
    Entry { whole: Range<usize>, name: Range<usize> },
}

pub(crate) fn find(file: &SourceFile<'_>, name: &str) -> Option<Found> {
    variable(file.bare(), name)
        .or_else(|| object_macro(file.text(), name))
        .or_else(|| entry(file, name))
}

pub(crate) fn mutants(file: &SourceFile<'_>, name: &str) -> Vec<Mutant> {
    let Some(found) = find(file, name) else { return Vec::new() };
    let mut changes = Vec::new();
    let whole = match &found {
        Found::Value { whole, value } => {
            constants(file, value, &mut changes);
            strings(file, value, &mut changes);
            whole
        }
        Found::Zero { whole } => {
            let end = whole.end - 1;
            changes.push(Edit { start: end, end, text: " = 1".to_owned() });
            whole
        }
        Found::Entry { whole, name } => {
            members(file, whole, &mut changes);
            strings(file, &(name.end..whole.end), &mut changes);
            whole
        }
    };
    let draft = |edit: Edit| {
        let source = file.text();
        let moved = Edit {
            start: edit.start - whole.start,
            end: edit.end - whole.start,
            text: edit.text.clone(),
        };
        Draft {
            operator: Operator::Default,
            at: edit.start,
            before: collapse(&source[whole.clone()]),
            after: collapse(&apply(&source[whole.clone()], &[moved])),
            edits: vec![edit],
            switches: Vec::new(),
        }
    };
    number(file, name, changes.into_iter().map(draft).collect())
}

/// A variable that is defined outside functions.
fn variable(bare: &str, name: &str) -> Option<Found> {
    let mut depth = 0usize;
    let mut statement = 0;
    let mut words = scan::words(bare).filter(|(_, word)| *word == name).peekable();
    for (at, byte) in bare.bytes().enumerate() {
        while words.next_if(|(start, _)| *start < at).is_some() {}
        if depth == 0 && words.peek().is_some_and(|(start, _)| *start == at) {
            let whole = bare[..at].len() - bare[statement..at].trim_start().len()..end(bare, at);
            let text = &bare[whole.clone()];
            let after = &text[at + name.len() - whole.start..];
            let plain = !scan::words(&text[..at - whole.start]).any(|(_, w)| w == "extern")
                && !text[..at - whole.start].contains(['=', '('])
                && at > whole.start;
            if plain && let Some(equals) = after.find('=') {
                let value = at + name.len() + equals + 1..whole.end - 1;
                return Some(Found::Value { whole, value });
            }
            if plain && text.ends_with(';') && !after.contains(['(', '[', '{', ',']) {
                return Some(Found::Zero { whole });
            }
        }
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                statement = at + 1;
            }
            b';' => statement = at + 1,
            _ => {}
        }
    }
    None
}

/// The end of the statement around `at`, with its semicolon.
fn end(bare: &str, at: usize) -> usize {
    let mut depth = 0usize;
    for (offset, byte) in bare.bytes().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return offset + 1,
            _ => {}
        }
    }
    bare.len()
}

/// `#define NAME value`.
fn object_macro(text: &str, name: &str) -> Option<Found> {
    let classes = scan::classify(text);
    scan::runs(&classes, scan::Class::Directive).into_iter().find_map(|line| {
        let rest = text[line.clone()].trim_start_matches('#').trim_start();
        let rest = rest.strip_prefix("define")?.trim_start().strip_prefix(name)?;
        let value = line.end - rest.len()..line.end;
        let object = rest.starts_with(|c: char| c.is_whitespace() || c == '\\');
        (object && !rest.trim().is_empty()).then_some(Found::Value { whole: line, value })
    })
}

/// The innermost braces around `"NAME"`.
fn entry(file: &SourceFile<'_>, name: &str) -> Option<Found> {
    let quoted = format!("\"{name}\"");
    file.code().match_indices(&quoted).find_map(|(at, _)| {
        let bare = file.bare();
        let before = bare[..at].trim_end();
        // `{ "NAME", …` or `.procname = "NAME"`.
        if !before.ends_with(['{', '=']) {
            return None;
        }
        let mut depth = 0usize;
        let start = bare[..at].bytes().enumerate().rev().find_map(|(offset, byte)| {
            match byte {
                b'}' => depth += 1,
                b'{' if depth == 0 => return Some(offset),
                b'{' => depth -= 1,
                b';' if depth == 0 => return Some(usize::MAX),
                _ => {}
            }
            None
        })?;
        let end = (start < at).then(|| closing(bare, start))??;
        Some(Found::Entry { whole: start..end, name: at..at + quoted.len() })
    })
}

/// The end of the braces that open at `start`.
fn closing(bare: &str, start: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in bare.bytes().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(offset + 1),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Every constant of a value: a number becomes its neighbours, a truth value its opposite.
fn constants(file: &SourceFile<'_>, value: &Range<usize>, changes: &mut Vec<Edit>) {
    let text = &file.text()[value.clone()];
    let before = changes.len();
    for (offset, word) in scan::words(text) {
        let start = value.start + offset;
        let mut change = |text: String| {
            changes.push(Edit { start, end: start + word.len(), text });
        };
        match word {
            "true" => change("false".to_owned()),
            "false" => change("true".to_owned()),
            "CAP_FULL_SET" => change("CAP_EMPTY_SET".to_owned()),
            "CAP_EMPTY_SET" => change("CAP_FULL_SET".to_owned()),
            _ => {
                let others = modes::others(word);
                others.iter().for_each(|other| change((*other).to_owned()));
                if let Ok(number) = word.parse::<u64>()
                    && (word == "0" || !word.starts_with('0'))
                {
                    change(number.saturating_add(1).to_string());
                    if let Some(less) = number.checked_sub(1) {
                        change(less.to_string());
                    }
                }
            }
        }
    }
    // A number with a name.
    let name = text.trim();
    if changes.len() == before && !name.is_empty() && name.bytes().all(scan::is_word) {
        let start = value.start + text.len() - text.trim_start().len();
        let end = start + name.len();
        changes.push(Edit { start, end, text: format!("({name} + 1)") });
    }
}

/// Modes and bounds in an entry of a table of sysctls or files.
fn members(file: &SourceFile<'_>, whole: &Range<usize>, changes: &mut Vec<Edit>) {
    let text = &file.bare()[whole.clone()];
    for (offset, word) in scan::words(text) {
        let start = whole.start + offset;
        let end = start + word.len();
        let others = modes::others(word).iter();
        changes.extend(others.map(|other| Edit { start, end, text: (*other).to_owned() }));
        if matches!(word, "extra1" | "extra2") && text[..offset].ends_with('.') {
            // Without a bound, every number is accepted.
            let value = text[offset..].find(['=']).map(|at| offset + at + 1);
            let stop = text[offset..].find([',', '}']).map(|at| offset + at);
            if let (Some(value), Some(stop)) = (value, stop) {
                changes.push(Edit {
                    start: whole.start + value,
                    end: whole.start + value + text[value..stop].trim_end().len(),
                    text: " NULL".to_owned(),
                });
            }
        }
    }
}

/// Exchanges neighbouring strings of a list.
fn strings(file: &SourceFile<'_>, list: &Range<usize>, changes: &mut Vec<Edit>) {
    let source = file.text();
    let classes = scan::classify(&source[list.clone()]);
    let literals = scan::runs(&classes, scan::Class::Literal);
    let at = |run: &Range<usize>| list.start + run.start..list.start + run.end;
    for pair in literals.windows(2) {
        let [first, second] = [at(&pair[0]), at(&pair[1])];
        let between = &source[first.end..second.start];
        // In a macro, lines go on after a backslash.
        if between.replace('\\', " ").trim() == "," {
            let [one, two] = [&first, &second].map(|range| &source[range.clone()]);
            let text = format!("{two}{between}{one}");
            changes.push(Edit { start: first.start, end: second.end, text });
        }
    }
}
