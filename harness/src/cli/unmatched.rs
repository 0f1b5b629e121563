//! The error for filters that select no cell, with the closest name.

use std::collections::BTreeSet;

use super::{Exit, Failure};
use crate::case::{Case, Library};
use crate::plan::{CellNames, Filter};
use crate::suggest::closest;

/// Characters that make a name a glob.
const GLOB: [char; 4] = ['*', '?', '[', '{'];

/// Filters that select no cell of the library.
pub(super) fn no_cell(filter: &Filter, library: &Library) -> Failure {
    let close = filter.names.iter().map(|name| suggestion(name, library));
    let error = match close.into_iter().find(|close| !close.is_empty()) {
        Some(close) => format!("the filters select no cell{close}"),
        None => "the filters select no cell; `perfsec run --list` lists all cells".to_owned(),
    };
    Failure { exit: Exit::NothingRan, error: error.into() }
}

/// `; did you mean …?` with a name that selects cells, or nothing if none is close.
fn suggestion(name: &str, library: &Library) -> String {
    let names: Vec<String> = library.cases.iter().flat_map(cell_names).collect();
    let selects = |name: &str| {
        let wanted = CellNames::parse(&[name.to_owned()]);
        wanted.is_ok_and(|wanted| names.iter().any(|name| wanted.contains(name)))
    };
    // Then it is not the name but the grant, the mode or the shard.
    if selects(name) {
        return String::new();
    }
    // Only the part before a glob can have a typo that is worth guessing at.
    let glob = name.find(GLOB).map(|at| name[..at].rfind('/').unwrap_or(0));
    let (fixed, rest) = name.split_at(glob.unwrap_or(name.len()));
    if fixed.is_empty() {
        return String::new();
    }
    let depth = fixed.split('/').count();
    let beginning = |name: &String| name.split('/').take(depth).collect::<Vec<_>>().join("/");
    let beginnings: BTreeSet<String> = names.iter().map(beginning).collect();
    let whole = beginnings.iter().map(|beginning| format!("{beginning}{rest}"));
    let close = closest(name, whole.filter(|name| rest.is_empty() || selects(name)));
    if !close.is_empty() || depth > 1 || !rest.is_empty() {
        return close;
    }
    // The name of a case without its area.
    let last = |case: &&Case| case.name.rsplit('/').next() == Some(name);
    let case = library.cases.iter().find(last);
    case.map_or(String::new(), |case| format!("; did you mean `{}`?", case.name))
}

fn cell_names(case: &Case) -> Vec<String> {
    case.axes.coordinates().map(|at| case.cell_name(&at)).collect()
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
