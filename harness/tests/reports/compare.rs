//! Comparisons of fixed run records.

use perfsec::compare::{self, Comparison};
use perfsec::plan::Filter;
use perfsec::record;
use rstest::rstest;

use crate::{golden, place};

/// The comparison of the two kernels of a record.
fn comparison(name: &str, cell: &str) -> Comparison {
    let run = record::read(&place(name)).expect("a record").run;
    let sides = compare::sides(&run, name);
    let [a, b] = sides.as_slice() else { panic!("{} sides", sides.len()) };
    let filter = Filter { names: vec![cell.to_owned()], ..Filter::default() };
    let wanted = filter.matcher().expect("a glob");
    Comparison::of(a, b, &wanted).expect("cells in common")
}

// `run.jsonl` has every verdict but `MISS`; `different.jsonl` has cells of the suite in which 6.1
// and 7.3 differ.
#[rstest]
#[case("run.jsonl", "*", false, "compare-run.txt")]
#[case("different.jsonl", "*", false, "compare-different.txt")]
#[case("different.jsonl", "proc", true, "compare-verbose.txt")]
fn a_comparison_is_as_a_person_has_read_it(
    #[case] record: &str,
    #[case] cell: &str,
    #[case] verbose: bool,
    #[case] name: &str,
) {
    golden(name, &compare::text(&comparison(record, cell), verbose).plain());
}

#[test]
fn a_comparison_is_available_as_json() {
    let comparison = comparison("different.jsonl", "bpf");
    let text =
        serde_json::to_string_pretty(&comparison).expect("a comparison has string keys only");
    golden("compare.json", &(text + "\n"));
}
