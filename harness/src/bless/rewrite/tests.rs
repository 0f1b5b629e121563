use rstest::rstest;

use super::*;
use crate::bless::fixture::{case, setting};

const HEAD: &str = "\
title  = \"a test\"     # not a real one
source = [\"a test\"]
domain = [\"all_t\", \"no_read_t\"]
perf_event_paranoid = 2
grant  = \"none\"
mode   = \"enforcing\"

# The agent opens it.
[[given]]
perf_event_open = { attr = { event = \"software/dummy\" } }
";

const REFUSED: &str = "read(fd, 8) = EACCES\n  avc denied { read } tclass=perf_event\n";

/// The text of a case after `all_t` and `no_read_t` saw these transcripts.
fn blessed(text: &str, seen: [&str; 2]) -> Blessed {
    let case = case(text);
    let seen = case.axes.coordinates().zip(seen.map(|text| text.parse().expect("a transcript")));
    rewrite(&case, &setting(), &seen.collect(), &Precedents::default()).expect("valid TOML")
}

#[test]
fn questions_take_the_place_of_expectations() {
    let step = "\n[[step]]\nread = { count = 8 }   # the count\n";
    let old = "\n[[expect]]\ntranscript = '''\nread(fd, 8) = 0\n'''\n";
    let new = blessed(&format!("{HEAD}{step}{old}"), ["read(fd, 8) = 8\n", REFUSED]);
    assert_eq!(new.text, format!("{HEAD}{step}asks = \"perf_event {{ read }}\"\n"));
    assert_eq!(new.to_string(), "questions explain 2 cells");
}

#[test]
fn a_line_that_stays_keeps_its_comment() {
    let text =
        |asks: &str| format!("{HEAD}\n[[step]]\nread = {{ count = 8 }}\nasks = '''\n{asks}'''\n");
    let old = "capable bpf  or EACCES    # not any more\nperf_event { read }       # perf_read()\n";
    let new = blessed(&text(old), ["read(fd, 8) = 8\n", REFUSED]);
    assert_eq!(new.text, text("perf_event { read }       # perf_read()\n"));
}

#[test]
fn a_step_that_asks_nothing_marks_the_case() {
    let step = "\n[[step]]\nread = { count = 8 }\n";
    let new = blessed(&format!("{HEAD}{step}"), ["read(fd, 8) = 8\n"; 2]);
    assert_eq!(new.text, format!("{HEAD}{step}asks = \"\"\n"));
}

#[test]
fn transcripts_are_written_where_no_questions_explain_what_was_seen() {
    let step = "\n[[step]]\nread = { count = 8 }\n";
    let new = blessed(&format!("{HEAD}{step}"), ["read(fd, 8) = 8\n", "read(fd, 8) = 7\n"]);
    let blocks = "\n[[expect]]\ndomain = \"all_t\"\ntranscript = '''\nread(fd, 8) = 8\n'''\n\
                  \n[[expect]]\ndomain = \"no_read_t\"\ntranscript = '''\nread(fd, 8) = 7\n'''\n";
    assert_eq!(new.text, format!("{HEAD}{step}{blocks}"));
    assert_eq!(new.to_string(), "transcripts for 2 cells (no questions explain them)");
}

#[test]
fn a_block_joins_the_questions_of_other_cells() {
    let text =
        format!("{HEAD}\n[[step]]\nread = {{ count = 8 }}\nasks = \"perf_event {{ read }}\"\n");
    let case = case(&text);
    let at = case.axes.coordinates().next().expect("a cell");
    let odd = "read(fd, 8) = 8\n  domain none_t\n";
    let seen = [(at, odd.parse().expect("a transcript"))].into();
    let new = rewrite(&case, &setting(), &seen, &Precedents::default()).expect("valid TOML");
    let block = format!("\n[[expect]]\ndomain = \"all_t\"\ntranscript = '''\n{odd}'''\n");
    assert_eq!(new.text, format!("{text}{block}"));
}

#[rstest]
#[case(3, 0, "questions explain 3 cells")]
#[case(0, 1, "transcripts for 1 cell (no questions explain them)")]
#[case(3, 1, "questions explain 3 cells, transcripts for 1 cell (no questions explain them)")]
fn the_report_says_what_was_written(
    #[case] by_questions: usize,
    #[case] by_transcripts: usize,
    #[case] report: &str,
) {
    let text = String::new();
    let blessed = Blessed { text, by_questions, by_transcripts, loses_conditions: false };
    assert_eq!(blessed.to_string(), report);
}
