//! Inference from the transcripts of cells, for written, generated and built-in questions.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::bless::fixture::{self, SUITE, setting};
use crate::transcript::CallResult;

/// A case whose steps read from a descriptor and ask these questions.
fn case(steps: &[&str]) -> Case {
    let mut text = "\
title = \"a test\"
source = [\"a test\"]
domain = [
    \"all_t\", \"none_t\", \"nocap_t\", \"open_t\", \"no_cpu_t\", \"no_read_t\", \"no_perfmon_t\",
    \"no_sys_admin_t\", \"permissive_t\",
]
perf_event_paranoid = [2, 1]
grant = [\"none\", \"perfmon\", \"bpf\", \"sys_admin\", \"perfmon+bpf+sys_admin\"]
process.other = { uid = 1001, domain = \"target_t\" }
given = [{ perf_event_open = { attr = { event = \"software/dummy\" } } }]
"
    .to_owned();
    for asks in steps {
        text += &format!("[[step]]\nread = {{ count = 8 }}\nasks = '''\n{asks}\n'''\n");
    }
    fixture::case(&text)
}

/// The expectations of a case's cells.
fn transcripts(case: &Case) -> BTreeMap<Coordinates, Transcript> {
    let setting = setting();
    let expected = |at| {
        let transcript = case.expected(&at, &setting).least().transcript().clone();
        (at, transcript)
    };
    case.axes.coordinates().map(expected).collect()
}

/// The questions of each step, inferred from nothing but the transcripts and other cases.
fn inferred(mut case: Case, precedents: &Precedents) -> (Explanation, usize) {
    let seen = transcripts(&case);
    case.questions = None;
    case.expects.clear();
    let found = infer(&case, &setting(), &seen, precedents);
    (found.expect("an explanation"), seen.len())
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let lines = explanation.questions.iter().flat_map(|step| {
        let asks = step.asks.iter().map(ToString::to_string);
        asks.chain(step.returns.iter().map(|result| format!("returns {result}")))
    });
    lines.collect()
}

#[rstest]
#[case::a_permission("perf_event { read }", "perf_event { read }")]
#[case::in_order(
    "perf_event { read }\nperf_event { cpu }",
    "perf_event { read }\nperf_event { cpu }"
)]
#[case::another_process("perf_event { read } on other", "perf_event { read } on other")]
#[case::a_fallback("capable perfmon | sys_admin", "perfmon_capable")]
#[case::no_fallback("capable sys_admin", "capable sys_admin")]
#[case::an_errno("capable bpf  or EACCES", "capable bpf  or EACCES")]
#[case::it_goes_on(
    "capable bpf  or go on\nperf_event { cpu }",
    "capable bpf  or go on\nperf_event { cpu }"
)]
#[case::a_level("capable bpf  if level > 1", "capable bpf  if level > 1")]
#[case::a_function("perf_allow_kernel", "perf_allow_kernel")]
#[case::ptrace_access("perf_check_permission on other", "perf_check_permission on other")]
#[case::no_record("quiet capable bpf", "quiet capable bpf")]
#[case::no_question("", "")]
fn questions_are_inferred(#[case] asked: &str, #[case] expected: &str) {
    let (found, cells) = inferred(case(&[asked]), &Precedents::default());
    assert_eq!(lines(&found).join("\n"), expected);
    assert_eq!(found.explained.len(), cells);
}

#[test]
fn a_result_that_all_cells_saw_is_not_a_refusal() {
    let mut case = case(&["perf_event { read }"]);
    case.questions
        .iter_mut()
        .flatten()
        .for_each(|step| step.returns = vec![CallResult::from("EINVAL").into()]);
    assert_eq!(
        lines(&inferred(case, &Precedents::default()).0),
        ["perf_event { read }", "returns EINVAL"]
    );
}

#[test]
fn each_step_has_its_own_questions() {
    let (found, _) =
        inferred(case(&["capable bpf  or go on", "perf_event { read }"]), &Precedents::default());
    assert_eq!(lines(&found), ["capable bpf  or go on", "perf_event { read }"]);
    assert_eq!(found.questions[1].asks.len(), 1);
}

#[test]
fn a_cell_that_contradicts_the_others_is_given_up() {
    let mut case = case(&["perf_event { read }"]);
    let mut seen = transcripts(&case);
    case.questions = None;
    let odd = case.axes.coordinates().nth(3).expect("a cell");
    seen.insert(odd.clone(), "read(fd, 8) = 7\n".parse().expect("a transcript"));
    let found = infer(&case, &setting(), &seen, &Precedents::default()).expect("an explanation");
    assert_eq!(lines(&found), ["perf_event { read }"]);
    assert_eq!(found.explained.len(), seen.len() - 1);
    assert!(!found.explained.contains(&odd));
}

#[test]
fn cells_without_a_rule_have_no_explanation() {
    let mut case = case(&[""]);
    case.questions = None;
    let results = (1..).map(|result| format!("read(fd, 8) = {result}\n"));
    let seen = case.axes.coordinates().zip(results.map(|text| text.parse().expect("a transcript")));
    assert!(infer(&case, &setting(), &seen.collect(), &Precedents::default()).is_none());
}

#[test]
fn present_questions_stay_where_they_explain_what_was_seen() {
    let case = case(&["capable perfmon | sys_admin  if level > 0"]);
    let seen = transcripts(&case);
    let found = infer(&case, &setting(), &seen, &Precedents::default()).expect("an explanation");
    assert_eq!(lines(&found), ["capable perfmon | sys_admin  if level > 0"]);
}

#[rstest]
#[case("bpf/load-kprobe")]
#[case("event/mmap")]
#[case("exec/gain")]
#[case("open/cpu-kernel")]
#[case("open/tracepoint-user")]
#[case("order/hooks")]
#[case("target/other-user")]
#[case("thread/perf-stat-a")]
fn questions_explain_a_case_of_the_suite(#[case] name: &str) {
    let (found, cells) = inferred_of_suite(name);
    assert_eq!(found.explained.len(), cells);
}

/// The questions of a built-in case, which sets no precedent for itself.
fn inferred_of_suite(name: &str) -> (Explanation, usize) {
    let (own, others): (Vec<_>, Vec<_>) = SUITE.cases.iter().partition(|case| case.name == name);
    inferred(own[0].clone(), &Precedents::of(others))
}

#[test]
fn the_questions_of_cpu_kernel_are_those_of_the_function_it_tests() {
    let (found, _) = inferred_of_suite("open/cpu-kernel");
    assert_eq!(lines(&found), ["perf_event { open }", "perf_allow_kernel", "perf_allow_cpu"]);
}

#[test]
fn a_precedent_decides_where_several_questions_explain_the_same() {
    // A process that may do everything shows only that CAP_PERFMON is checked.
    let (found, _) = inferred_of_suite("open/callchain-user");
    assert_eq!(lines(&found), ["perf_event { open }", "perf_check_permission"]);
}

/// Questions of a step of the generated cases. No syscall of the kernel makes a check twice with
/// different consequences, and inference finds no such pair.
fn questions() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(question(), 0..4).prop_map(|mut questions| {
        let mut seen = BTreeSet::new();
        questions.retain(|(check, _)| seen.insert(check.clone()));
        questions.into_iter().map(|(check, suffix)| check + suffix).collect()
    })
}

/// A check, and what follows it.
fn question() -> impl Strategy<Value = (String, &'static str)> {
    let hook = prop::sample::select(&["read", "cpu", "kernel"][..]);
    let hook = hook.prop_map(|name| format!("perf_event {{ {name} }}"));
    let chain = prop::sample::select(&["perfmon | sys_admin", "bpf | sys_admin", "sys_admin"][..]);
    let capable = chain.prop_map(|caps| format!("capable {caps}"));
    let suffix = prop::sample::select(&["", "  or EACCES", "  or go on", "  if level > 1"][..]);
    (prop_oneof![hook, capable], suffix)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn inferred_questions_compute_what_the_real_ones_do(
        asks in questions(),
    ) {
        let mut case = case(&[&asks.join("\n")]);
        case.processes.clear();
        case.axes.domain.retain(|domain| domain != "no_cpu_t" && domain != "permissive_t");
        case.axes.grant.truncate(4);
        let (found, cells) = inferred(case, &Precedents::of(&SUITE.cases));
        prop_assert_eq!(found.explained.len(), cells, "{:?}", lines(&found));
    }
}
