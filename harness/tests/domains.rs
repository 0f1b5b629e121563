//! The suite in domains of a policy that is not ours, and surveys, on a real kernel.
//!
//! Needs QEMU and secilc in `PATH`, and a stock kernel in `PERFSEC_TEST_KERNEL`. The policy is
//! `minimal`, taken as somebody else's: its contexts are given in full.

#[expect(dead_code, reason = "shared with tests that do not boot")]
mod support;

use perfsec::record::{self, CellResult, Run};
use perfsec::survey::{Outcome, Survey};
use rstest::rstest;
use support::{Ended, Place, kernel};

/// Runs a command on the kernel.
fn on_kernel(place: &Place, command: &str, arguments: &[&str]) -> Ended {
    let kernel = kernel();
    let mut all = vec![command, "--kernel", &kernel, "--accel", "tcg"];
    all.extend(arguments);
    place.perfsec(&all)
}

/// The cells of a case in enforcing mode.
fn enforcing<'a>(run: &'a Run, case: &str) -> Vec<&'a CellResult> {
    let of_case = run.cells().filter(|cell| cell.case == case);
    of_case.filter(|cell| cell.name.ends_with("/enforcing")).collect()
}

/// What the cell had to show, and showed.
fn transcript(cell: &CellResult) -> String {
    cell.judgement.expected.lines().map(|(line, _)| line + "\n").collect()
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn expectations_in_a_context_follow_from_the_answers_of_the_policy() {
    let domains = ["--domain", "u:r:no_read_t:s0", "--domain", "u:r:all_t:s0"];
    let cases = ["event/read/", "event/kept-across-exec"];
    let ended = on_kernel(&Place::new(), "run", &[domains.as_slice(), &cases].concat());
    ended.succeeds();
    // Two levels, two grants, two modes, in each context; and the answers.
    assert!(ended.stdout.contains("17 PASS"), "{}", ended.stdout);
    let reason = "its questions name the type all_t of perfsec's policies";
    assert!(ended.stdout.contains(reason), "{}", ended.stdout);
}

/// The denial is not logged.
const SILENT: &str = "(dontaudit no_read_t kernel_t (perf_event (read)))";

#[rstest]
#[case::as_it_is("", "on", (true, true))]
#[case::permissive_type("(typepermissive no_read_t)", "on", (false, true))]
#[case::dontaudit(SILENT, "on", (true, false))]
#[case::dontaudit_rules_off(SILENT, "off", (true, true))]
#[case::allowed("(allow no_read_t kernel_t (perf_event (read)))", "on", (false, false))]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_module_decides_about_refusals_and_records(
    #[case] module: &str,
    #[case] dontaudit: &str,
    #[case] (refused, logged): (bool, bool),
) {
    let place = Place::new();
    let file = place.file("change.cil", module);
    let out = place.path().join("run.jsonl");
    let mut arguments = vec!["--domain", "u:r:no_read_t:s0", "--dontaudit", dontaudit];
    if !module.is_empty() {
        arguments.extend(["--module", &file]);
    }
    let path = out.display().to_string();
    arguments.extend(["--mode", "enforcing", "--grant", "perfmon", "--out", &path, "event/read/"]);
    on_kernel(&place, "run", &arguments).succeeds();
    let run = record::read(&out).expect("a record").run;
    // Their controls ran, too.
    let cells = enforcing(&run, "event/read");
    assert_eq!(cells.len(), 2, "two levels");
    for cell in cells {
        let transcript = transcript(cell);
        assert_eq!(transcript.contains("= EACCES"), refused, "{transcript}");
        assert_eq!(transcript.contains("avc"), logged, "{transcript}");
    }
}

/// A policy without the class: the kernel allows or denies what it does not know.
#[rstest]
#[case("legacy-class-allow", false)]
#[case("legacy-class-deny", true)]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_class_that_the_policy_lacks_is_answered_by_handle_unknown(
    #[case] policy: &str,
    #[case] refused: bool,
) {
    let place = Place::new();
    let out = place.path().join("run.jsonl");
    let path = out.display().to_string();
    let arguments = ["--policy", policy, "--domain", "u:r:all_t:s0", "--out", &path];
    let cells = ["--mode", "enforcing", "open/self-user"];
    on_kernel(&place, "run", &[arguments.as_slice(), &cells].concat()).succeeds();
    let run = record::read(&out).expect("a record").run;
    let cells = enforcing(&run, "open/self-user");
    assert!(!cells.is_empty());
    for cell in cells {
        let transcript = transcript(cell);
        assert_eq!(transcript.contains("= EACCES"), refused, "{transcript}");
    }
}

#[rstest]
#[case::kind("u:r:gone_t:s0", "it has no type gone_t")]
#[case::user("user_u:r:all_t:s0", "it has no user user_u")]
#[case::level("u:r:all_t:s0:c1023", "it has no user u, or no level like `s0:c1023`")]
#[case::role("u:user_r:all_t:s0", "it has no role user_r")]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_context_that_the_policy_does_not_have_is_an_error(
    #[case] context: &str,
    #[case] reason: &str,
) {
    let ended = on_kernel(&Place::new(), "run", &["--domain", context, "event/read/"]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
}

#[test]
fn a_type_alone_is_no_context() {
    let ended = Place::new().perfsec(&["run", "--domain", "user_t", "event/read/"]);
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("give a whole context"), "{}", ended.stderr);
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_survey_finds_the_domains_and_agrees_with_the_cells() {
    let place = Place::new();
    let file = place.path().join("survey.json");
    let out = file.display().to_string();
    let ended = on_kernel(&place, "survey", &["--format", "json", "--out", &out]);
    ended.succeeds();
    let survey = Survey::read(&file).expect("a survey");
    let outcome = |context: &str, operation: &str, grant: &str| {
        let column = survey.columns.iter().position(|column| {
            (column.operation.as_str(), column.grant.as_str()) == (operation, grant)
        });
        let row = survey.rows.iter().find(|row| row.context == context).expect("a row");
        row.outcomes[column.expect("a column")].clone()
    };
    let count = "count in user space of an own process";
    assert!(matches!(outcome("u:r:all_t:s0", count, "none"), Outcome::Allowed { .. }));
    let Outcome::Refused { by, errno, .. } = outcome("u:r:no_open_t:s0", count, "perfmon") else {
        panic!("{survey:?}");
    };
    assert_eq!((by.as_str(), errno.as_str()), ("perf_event { open }", "EACCES"));
    assert!(survey.rows.iter().all(|row| row.context != "u:r:none_t:s0"), "it can do nothing");
    assert!(survey.confirmed.len() > 3, "{:?}", survey.confirmed);

    place.perfsec(&["compare", &out, &out, "--format", "json"]).fails(2, "leave out --cell");
    let ended = place.perfsec(&["compare", &out, &out]);
    ended.succeeds();
    assert!(ended.stdout.contains("nothing differs"), "{}", ended.stdout);
}
