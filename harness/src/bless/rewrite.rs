//! Rewrites the expectations of a case file and leaves the rest untouched.

use std::collections::BTreeMap;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use super::cover::cover;
use crate::case::{Case, Coordinates, Selector};
use crate::transcript::{Transcript, TranscriptCall};

/// The case file cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum BlessError {
    /// It no longer parses, so it was changed after perfsec read it.
    #[error("the file changed while its cells ran")]
    Changed(#[from] toml_edit::TomlError),
}

/// The text of the case file, with observed transcripts in place of those that differ.
///
/// A block whose cells all saw the same keeps its place and gets the new transcript; others are
/// split. Cells that no block selects get blocks at the end.
///
/// # Errors
///
/// If the text does not parse.
pub fn rewrite(
    case: &Case,
    seen: &BTreeMap<Coordinates, Transcript>,
) -> Result<String, BlessError> {
    let mut document: DocumentMut = case.text.parse()?;
    let old: Vec<Table> = document
        .get("expect")
        .and_then(Item::as_array_of_tables)
        .map(|tables| tables.iter().cloned().collect())
        .unwrap_or_default();
    let mut new = ArrayOfTables::new();
    let mut placed: Vec<&Coordinates> = Vec::new();
    for (table, expect) in old.iter().zip(&case.expects) {
        let cells: Vec<_> =
            case.axes.coordinates().filter(|at| expect.selector.selects(at)).collect();
        let (keep, change): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(|at| !seen.contains_key(at));
        placed.extend(seen.keys().filter(|at| expect.selector.selects(at)));
        let texts = texts(&change, seen);
        match (keep.is_empty(), texts.as_slice()) {
            (_, []) => new.push(table.clone()),
            (true, [(text, _)]) => {
                let mut table = table.clone();
                table.insert("transcript", transcript(text));
                new.push(table);
            }
            _ => {
                for selector in cover(&case.axes, &keep) {
                    new.push(block(&selector, table.get("transcript").cloned()));
                }
                push_all(&mut new, case, texts);
            }
        }
    }
    let rest: Vec<_> = seen.keys().filter(|at| !placed.contains(at)).cloned().collect();
    push_all(&mut new, case, texts(&rest, seen));
    for (index, table) in new.iter_mut().enumerate() {
        // After the steps, in this order.
        table.set_position(Some(1_000_000 + index as isize));
        if table.decor().prefix().is_none() {
            table.decor_mut().set_prefix("\n");
        }
    }
    document.insert("expect", Item::ArrayOfTables(new));
    Ok(document.to_string())
}

/// The distinct transcripts, each with its cells.
fn texts(
    cells: &[Coordinates],
    seen: &BTreeMap<Coordinates, Transcript>,
) -> Vec<(String, Vec<Coordinates>)> {
    let mut texts: Vec<(String, Vec<Coordinates>)> = Vec::new();
    for at in cells {
        let Some(seen) = seen.get(at) else { continue };
        let lines = seen.calls.iter().flat_map(TranscriptCall::abbreviated);
        let text: String = lines.map(|line| line + "\n").collect();
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, cells)) => cells.push(at.clone()),
            None => texts.push((text, vec![at.clone()])),
        }
    }
    texts
}

fn push_all(tables: &mut ArrayOfTables, case: &Case, texts: Vec<(String, Vec<Coordinates>)>) {
    for (text, cells) in texts {
        for selector in cover(&case.axes, &cells) {
            tables.push(block(&selector, Some(transcript(&text))));
        }
    }
}

fn block(selector: &Selector, transcript: Option<Item>) -> Table {
    fn named<T>(
        table: &mut Table,
        key: &str,
        values: Option<&Vec<T>>,
        value: impl Fn(&T) -> Value,
    ) {
        match values.map(Vec::as_slice) {
            None => {}
            Some([one]) => drop(table.insert(key, Item::Value(value(one)))),
            Some(list) => {
                let list: Array = list.iter().map(value).collect();
                table.insert(key, Item::Value(Value::Array(list)));
            }
        }
    }
    let mut table = Table::new();
    named(&mut table, "domain", selector.domain.as_ref(), |name| name.into());
    named(&mut table, "perf_event_paranoid", selector.paranoid.as_ref(), |level| {
        i64::from(*level).into()
    });
    named(&mut table, "grant", selector.grant.as_ref(), |grant| grant.to_string().into());
    named(&mut table, "mode", selector.mode.as_ref(), |mode| mode.to_string().into());
    table.insert("transcript", transcript.unwrap_or_default());
    table
}

/// A literal multi-line string, unless the text contains its terminator.
fn transcript(text: &str) -> Item {
    let literal = format!("'''\n{text}'''").parse::<Value>();
    Item::Value(literal.unwrap_or_else(|_| text.into()))
}
