//! The names of all cells, to correct names that match none of them.

use std::collections::BTreeSet;

use super::CellNames;
use super::names::WILDCARDS;
use crate::case::Library;
use crate::suggest::find_closest;

/// The names of all cells of a library.
pub(crate) struct CellIndex {
    cells: Vec<String>,
}

impl CellIndex {
    /// The names of a library's cells.
    pub(crate) fn new(library: &Library) -> Self {
        Self { cells: library.cell_names() }
    }

    /// True if one of the names matches a cell.
    pub(crate) fn matches(&self, names: &CellNames) -> bool {
        self.cells.iter().any(|cell| names.contains(cell))
    }

    /// `; did you mean …?`, with the closest word for each that no cell has, if that matches; a word
    /// alone may also be the name of a case without its area.
    pub(crate) fn suggest(&self, glob: &str) -> String {
        let words: BTreeSet<_> = self.cells.iter().flat_map(|cell| cell.split('/')).collect();
        let correct = |word: &str| {
            let name = word.trim_end_matches('*');
            let known = words.contains(name) || name.contains(WILDCARDS) || name.is_empty();
            let close = find_closest(name, &words).filter(|_| !known);
            close.map_or(word.to_owned(), |close| word.replacen(name, close, 1))
        };
        let corrected = glob.split('/').map(correct).collect::<Vec<_>>().join("/");
        let with_area = self.cells.iter().find_map(|cell| {
            let (area, rest) = cell.split_once('/')?;
            (rest.split('/').next() == Some(&corrected)).then(|| format!("{area}/{corrected}"))
        });
        let fits = |name: &String| {
            let names = CellNames::parse(std::slice::from_ref(name));
            names.is_ok_and(|names| self.matches(&names))
        };
        let found = [Some(corrected), with_area].into_iter().flatten().find(fits);
        found.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
    }
}
