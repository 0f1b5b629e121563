//! Extends the class declarations in policy source: the two files in `policy/flask`.

use std::collections::BTreeSet;

use super::declared::{Declared, Kind, Lack, List};
use super::rewrite::Insertions;
use super::wanted::WantedClass;

/// The comment that ends both files in most trees.
const END: &str = "# FLASK";

/// The permissions of classes that `access_vectors` declares.
pub(super) fn declared(source: &str) -> Declared<'_> {
    let mut declared = Declared::default();
    let mut tokens = tokens(source).peekable();
    while let Some((_, word)) = tokens.next() {
        let kind = match word {
            "class" => Kind::Class,
            "common" => Kind::Common,
            _ => continue,
        };
        let Some((_, name)) = tokens.next() else { break };
        if tokens.next_if(|(_, word)| *word == "inherits").is_some()
            && let Some((_, common)) = tokens.next()
        {
            declared.inherits.insert(name, common);
        }
        let mut list = List { kind, name, permissions: BTreeSet::new(), close: None };
        if tokens.next_if(|(_, word)| *word == "{").is_some() {
            for (at, word) in tokens.by_ref() {
                if word == "}" {
                    list.close = Some(at);
                    break;
                }
                list.permissions.insert(word);
            }
        }
        declared.lists.push(list);
    }
    declared
}

/// `access_vectors` with what it lacks.
pub(super) fn access_vectors(source: &str, lack: &Lack) -> String {
    let mut insertions = Insertions::default();
    for (close, names) in &lack.permissions {
        let line = source[..*close].rfind('\n').map_or(0, |at| at + 1);
        if source[line..*close].trim().is_empty() {
            insertions
                .add(line, names.iter().map(|name| format!("\t{name}\n")).collect::<String>());
        } else {
            insertions.add(*close, names.iter().map(|name| format!("{name} ")).collect::<String>());
        }
    }
    for class in &lack.classes {
        let permissions = class.permissions.iter().map(|name| format!("\t{name}\n"));
        let permissions: String = permissions.collect();
        insert(&mut insertions, source, &format!("class {}\n{{\n{permissions}}}", class.name));
    }
    insertions.apply(source)
}

/// `security_classes` with those of the classes that it lacks.
pub(super) fn security_classes(source: &str, wanted: &[WantedClass]) -> String {
    let words: Vec<_> = tokens(source).map(|(_, word)| word).collect();
    let mut insertions = Insertions::default();
    for class in wanted {
        if !words.windows(2).any(|pair| pair == ["class", class.name]) {
            insert(&mut insertions, source, &format!("class {}", class.name));
        }
    }
    insertions.apply(source)
}

/// Inserts a paragraph at the end, before the last comment.
fn insert(insertions: &mut Insertions, source: &str, paragraph: &str) {
    let end = source.trim_end();
    match end.strip_suffix(END) {
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => {
            let apart = if rest.is_empty() || rest.ends_with("\n\n") { "" } else { "\n" };
            insertions.add(rest.len(), format!("{apart}{paragraph}\n\n"));
        }
        _ => {
            let newline = if source.is_empty() || source.ends_with('\n') { "" } else { "\n" };
            insertions.add(source.len(), format!("{newline}\n{paragraph}\n"));
        }
    }
}

/// Words and braces, each with its offset. A comment is from `#` to the end of its line.
fn tokens(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let offset = move |part: &str| part.as_ptr() as usize - source.as_ptr() as usize;
    let code = source.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = code.flat_map(str::split_whitespace);
    let pieces = words.flat_map(|word| word.split_inclusive(['{', '}'])).flat_map(|piece| {
        match piece.strip_suffix(['{', '}']) {
            Some(word) => [word, &piece[word.len()..]],
            None => [piece, ""],
        }
    });
    pieces.filter(|piece| !piece.is_empty()).map(move |piece| (offset(piece), piece))
}
