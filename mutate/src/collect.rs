//! Runs the operators over a function, removes duplicates and numbers the rest.

use std::collections::{HashMap, HashSet};

use tree_sitter::Node;

use crate::draft::{Draft, Drafts};
use crate::function::{Function, block, descendants};
use crate::mutant::Edit;
use crate::source::{Definition, SourceFile};
use crate::{Error, Mutant, Operator, operators};

/// The mutants of one function. The configuration may leave several definitions of it.
pub(crate) fn mutants<'a>(
    file: &SourceFile<'_>,
    definitions: impl Iterator<Item = &'a Definition>,
) -> Result<Vec<Mutant>, Error> {
    let mut drafts = Vec::new();
    let mut name = "";
    for definition in definitions {
        name = &definition.name;
        let f = Function::new(file, definition);
        let tree = f.parse()?;
        let Some(body) = block(&tree) else { continue };
        let mut found = Drafts::new(&f);
        for node in descendants(body) {
            visit(&f, node, &mut found);
        }
        drafts.extend(found.list);
    }
    Ok(number(file, name, drafts))
}

fn visit(f: &Function<'_>, node: Node<'_>, out: &mut Drafts<'_>) {
    operators::checks::visit(f, node, out);
    operators::calls::visit(f, node, out);
    operators::order::visit(f, node, out);
    operators::conditions::visit(f, node, out);
    operators::names::visit(f, node, out);
    operators::identity::visit(f, node, out);
    operators::audit::visit(f, node, out);
    operators::flags::visit(f, node, out);
    operators::constants::visit(f, node, out);
}

/// Removes drafts that make the same change, sorts the rest as in the source, and counts them.
pub(crate) fn number(file: &SourceFile<'_>, name: &str, mut drafts: Vec<Draft>) -> Vec<Mutant> {
    let rank = |operator| Operator::ALL.iter().position(|other| *other == operator);
    drafts.sort_by_key(|draft| rank(draft.operator));
    let mut seen = HashSet::new();
    drafts.retain(|draft| seen.insert(essence(file.text(), &draft.edits)));
    drafts.sort_by_key(|draft| (draft.at, rank(draft.operator)));
    let mut ordinals: HashMap<Operator, usize> = HashMap::new();
    let number = |draft: Draft| {
        let ordinal = ordinals.entry(draft.operator).or_default();
        *ordinal += 1;
        Mutant {
            file: file.path().to_owned(),
            function: name.to_owned(),
            line: file.text()[..draft.at].matches('\n').count() + 1,
            operator: draft.operator,
            ordinal: *ordinal,
            before: draft.before,
            after: draft.after,
            edits: draft.edits,
            switches: draft.switches,
        }
    };
    drafts.into_iter().map(number).collect()
}

/// The edits without the text that they leave as it is.
fn essence(source: &str, edits: &[Edit]) -> Vec<Edit> {
    let trim = |edit: &Edit| {
        let (mut start, mut end) = (edit.start, edit.end);
        let mut text = edit.text.as_bytes();
        let source = source.as_bytes();
        while start < end && text.first() == Some(&source[start]) {
            start += 1;
            text = &text[1..];
        }
        while start < end && text.last() == Some(&source[end - 1]) {
            end -= 1;
            text = &text[..text.len() - 1];
        }
        Edit { start, end, text: String::from_utf8_lossy(text).into_owned() }
    };
    let mut edits: Vec<_> = edits.iter().map(trim).collect();
    edits.sort();
    edits
}
