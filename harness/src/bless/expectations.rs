//! Rewrites the `[[expect]]` blocks of a case file.

use std::collections::BTreeMap;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value};

use super::cover::cover;
use crate::case::{Case, Coordinates, Level, Selector};
use crate::transcript::{Transcript, TranscriptCall};

/// The new expectation of a cell: a transcript, or `None` if it is computed.
pub(super) type NewExpectations<'a> = BTreeMap<&'a Coordinates, Option<&'a Transcript>>;

/// Gives cells their new expectations. All others keep what they have.
///
/// A block whose cells all saw the same keeps its place and gets the new transcript; others are
/// split. Cells that no block selects get blocks at the end.
pub(super) fn write(document: &mut DocumentMut, case: &Case, new: &NewExpectations<'_>) {
    let old: Vec<Table> = document
        .get("expect")
        .and_then(Item::as_array_of_tables)
        .map(|tables| tables.iter().cloned().collect())
        .unwrap_or_default();
    let mut blocks = ArrayOfTables::new();
    let mut placed: Vec<&Coordinates> = Vec::new();
    for (table, expect) in old.iter().zip(&case.expects) {
        let cells: Vec<_> =
            case.axes.coordinates().filter(|at| expect.selector.selects(at)).collect();
        let (change, keep): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(|at| new.contains_key(at));
        placed.extend(new.keys().copied().filter(|at| expect.selector.selects(at)));
        let transcripts = distinct(&change, new);
        let whole =
            keep.is_empty() && change.iter().all(|at| new.get(at).is_some_and(Option::is_some));
        match transcripts.as_slice() {
            _ if change.is_empty() => blocks.push(table.clone()),
            [(text, _)] if whole => {
                let mut table = table.clone();
                table.insert("transcript", literal(text));
                blocks.push(table);
            }
            _ => {
                for selector in cover(&case.axes, &keep) {
                    blocks.push(split(table, &selector));
                }
                push_all(&mut blocks, case, transcripts);
            }
        }
    }
    let rest: Vec<_> =
        new.keys().filter(|at| !placed.contains(at)).map(|at| (*at).clone()).collect();
    push_all(&mut blocks, case, distinct(&rest, new));
    for (index, table) in blocks.iter_mut().enumerate() {
        // After the steps, in this order.
        table.set_position(Some(1_000_000 + index as isize));
        if table.decor().prefix().is_none() {
            table.decor_mut().set_prefix("\n");
        }
    }
    if blocks.is_empty() {
        document.remove("expect");
    } else {
        document.insert("expect", Item::ArrayOfTables(blocks));
    }
}

/// The distinct transcripts, each with its cells.
fn distinct(cells: &[Coordinates], new: &NewExpectations<'_>) -> Vec<(String, Vec<Coordinates>)> {
    let mut texts: Vec<(String, Vec<Coordinates>)> = Vec::new();
    for at in cells {
        let Some(Some(seen)) = new.get(at) else { continue };
        let lines = seen.calls.iter().flat_map(TranscriptCall::abbreviated);
        let text: String = lines.map(|line| line + "\n").collect();
        match texts.iter_mut().find(|(known, _)| *known == text) {
            Some((_, cells)) => cells.push(at.clone()),
            None => texts.push((text, vec![at.clone()])),
        }
    }
    texts
}

fn push_all(blocks: &mut ArrayOfTables, case: &Case, transcripts: Vec<(String, Vec<Coordinates>)>) {
    for (text, cells) in transcripts {
        for selector in cover(&case.axes, &cells) {
            let mut table = selecting(&selector);
            table.insert("transcript", literal(&text));
            blocks.push(table);
        }
    }
}

/// The block with another selector.
fn split(table: &Table, selector: &Selector) -> Table {
    const SELECTORS: [&str; 4] = ["domain", "perf_event_paranoid", "grant", "mode"];
    let mut block = selecting(selector);
    for (key, item) in table.iter().filter(|(key, _)| !SELECTORS.contains(key)) {
        block.insert(key, item.clone());
    }
    block
}

fn selecting(selector: &Selector) -> Table {
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
    named(&mut table, "perf_event_paranoid", selector.paranoid.as_ref(), |level| match level {
        Level::Set(value) => i64::from(*value).into(),
        Level::Default => level.to_string().into(),
    });
    named(&mut table, "grant", selector.grant.as_ref(), |grant| grant.to_string().into());
    named(&mut table, "mode", selector.mode.as_ref(), |mode| mode.to_string().into());
    table
}

/// A literal multi-line string, unless the text contains its terminator.
pub(super) fn literal(lines: &str) -> Item {
    let literal = format!("'''\n{lines}'''").parse::<Value>();
    Item::Value(literal.unwrap_or_else(|_| lines.into()))
}
