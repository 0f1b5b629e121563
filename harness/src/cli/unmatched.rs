//! Selects cells; the error for filters that select none has the closest name.

use super::{Exit, Failure};
use crate::case::Library;
use crate::plan::{CellIndex, CellNames, Filter, PlannedCell};

/// The cells that a filter selects.
///
/// # Errors
///
/// If a name is not a glob, or if no cell is selected.
pub(super) fn select(filter: &Filter, library: &Library) -> Result<Vec<PlannedCell>, Failure> {
    let cells = filter.select(library)?;
    if cells.is_empty() { Err(no_cell(filter, library)) } else { Ok(cells) }
}

/// Filters that select no cell of the library.
pub(super) fn no_cell(filter: &Filter, library: &Library) -> Failure {
    let index = CellIndex::new(library);
    // If a name selects cells, the grant, the mode or the shard excludes them.
    let selects = |name: &String| {
        let names = CellNames::parse(std::slice::from_ref(name));
        names.is_ok_and(|names| index.matches(&names))
    };
    let wrong = filter.names.iter().find(|name| !selects(name));
    let error = match wrong.map(|name| index.suggest(name)).filter(|close| !close.is_empty()) {
        Some(close) => format!("the filters select no cell{close}"),
        None => "the filters select no cell; `perfsec run --list` lists all cells".to_owned(),
    };
    Failure { exit: Exit::NothingRan, error: error.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use rstest::rstest;

    use super::*;

    static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::built_in().unwrap());

    #[rstest]
    #[case::area("opne", "did you mean `open`?")]
    #[case::case_name("open/cpu-kernle", "did you mean `open/cpu-kernel`?")]
    #[case::domain_with_a_typo("open/cpu-kernel/noen_t", "did you mean `open/cpu-kernel/none_t`?")]
    #[case::glob("opne/*/none_t/*", "did you mean `open/*/none_t/*`?")]
    #[case::glob_in_the_first_part("*-kernle", "lists all cells")]
    #[case::glob_before_the_typo("*/cpu-kernle/*", "did you mean `*/cpu-kernel/*`?")]
    #[case::without_its_area_and_with_a_typo("cpu-kernle", "did you mean `open/cpu-kernel`?")]
    #[case::without_its_area("cpu-kernel", "did you mean `open/cpu-kernel`?")]
    #[case::nothing_like_it("no/such/cell", "lists all cells")]
    fn a_name_that_selects_nothing_gets_the_closest(#[case] name: &str, #[case] words: &str) {
        let filter = Filter { names: vec![name.to_owned()], ..Filter::default() };
        let failure = no_cell(&filter, &LIBRARY);
        assert_eq!(failure.exit, Exit::NothingRan);
        let text = failure.error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(text.starts_with("the filters select no cell"), "{text}");
    }

    #[test]
    fn a_name_that_selects_cells_is_not_suggested() {
        let names = vec!["open/cpu-kernel".to_owned()];
        let grants = vec!["bpf".parse().unwrap()];
        let filter = Filter { names, grants, ..Filter::default() };
        let text = no_cell(&filter, &LIBRARY).error.to_string();
        assert!(text.contains("lists all cells"), "{text}");
    }
}
