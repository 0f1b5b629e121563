//! Bad input: each gets one clear error and its exit code, and the good input next to it none.

#[path = "support/hostile.rs"]
mod hostile;
#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use std::fs::OpenOptions;

use hostile::{HOSTILE, has_no_forged_line, is_visible};
use rstest::rstest;
use support::{Ended, Place};

const CASE: &str = include_str!("../../cases/suite/event/read.toml");

/// The questions of the case's step.
const ASKS: &str = "asks = \"perf_event { read } on agent\"";

/// Lists the cells of the case with one piece of its text replaced.
fn list(from: &str, to: &str) -> Ended {
    assert!(from.is_empty() || CASE.contains(from), "the case no longer has `{from}`");
    let place = Place::new();
    place.file("suite/event/read.toml", &CASE.replacen(from, to, 1));
    place.perfsec(&["run", "--list", "--cases", "suite"])
}

#[test]
fn a_case_without_a_mistake_is_listed() {
    let ended = list("", "");
    ended.succeeds();
    assert!(ended.stdout.contains("event/read/none_t/paranoid=2/perfmon/enforcing\n"));
}

#[rstest]
#[case::key("\ndomain =", "\ndomian =", "did you mean `domain`?")]
#[case::field_of_a_step("count = 8", "cout = 8", "did you mean `count`?")]
#[case::syscall("\nread =", "\nreed =", "did you mean `read`?")]
#[case::wrong_type("[2, -1]", "\"two\"", "invalid type: string \"two\"")]
#[case::errno(
    "on agent",
    "on agent  or EACCESS",
    "unknown errno `EACCESS`; did you mean `EACCES`?"
)]
#[case::target("on agent", "on agnt", "no target `agnt`; did you mean `agent`?")]
#[case::function(ASKS, "asks = \"perf_alow_cpu\"", "did you mean `perf_allow_cpu`?")]
#[case::condition("on agent", "on agent  if debain", "did you mean `debian`?")]
#[case::result(ASKS, "returns = \"fd\"", "`read` cannot return `fd`")]
#[case::two_syscalls(ASKS, "poll = {}", "a step is one syscall, not `poll` and `read`")]
#[case::questions_of_the_agent("cpu = 0 }", "cpu = 0 }\nasks = \"\"", "only steps of the subject")]
#[case::capability("\"perfmon\"]", "\"perfmn\"]", "unknown capability `perfmn`; did you mean")]
#[case::event("software/dummy", "software/dumy", "no software event `dumy`")]
#[case::two_expectations(
    ASKS,
    "[[expect]]\ntranscript = \"read(fd, 8) = 8\"\n[[expect]]\ntranscript = \"read(fd, 8) = 8\"",
    "two expectations for the cell `event/read/"
)]
#[case::no_expectation(
    ASKS,
    "[[expect]]\nmode = \"enforcing\"\ntranscript = \"read(fd, 8) = 8\"",
    "no expectation for the cell `event/read/"
)]
#[case::no_title("title ", "titel ", "did you mean `title`?")]
#[case::lasting(
    "[[step]]",
    "[[step]]\nagent = \"audit_enable\"\n\n[[step]]",
    "enabled for all cells that follow"
)]
#[case::ignored_grant(
    "\ndomain =",
    "\nboot = \"no-file-caps\"\ndomain =",
    "no executable has capabilities"
)]
fn a_mistake_in_a_case_is_reported_with_its_place(
    #[case] from: &str,
    #[case] to: &str,
    #[case] words: &str,
) {
    let ended = list(from, to);
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(ended.stderr.contains("event/read.toml:"), "{}", ended.stderr);
    assert!(ended.stderr.matches("did you mean").count() <= 1, "{}", ended.stderr);
}

#[test]
fn check_reports_every_mistake_in_every_file() {
    let place = Place::new();
    place.perfsec(&["new", "event/first", "--cases", "suite"]).succeeds();
    let ended = place.perfsec(&["check", "suite"]);
    ended.succeeds();
    assert!(ended.stderr.contains("1 case: 8 cells"), "{}", ended.stderr);
    place.perfsec(&["new", "event/first", "--cases", "suite"]).fails(2, "first.toml exists");
    place.perfsec(&["new", "../first", "--cases", "suite"]).fails(2, "expected AREA/NAME");

    let wrong = CASE.replacen("count = 8", "cout = 8", 1);
    place.file("suite/event/second.toml", &wrong.replacen("\ndomain =", "\ndomian =", 1));
    place.file("suite/event/third.toml", &CASE.replacen("cpu = 0", "cpu = \"0\"", 1));
    let ended = place.perfsec(&["check", "suite"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for named in ["second.toml:", "did you mean `domain`?", "third.toml:"] {
        assert!(ended.stdout.contains(named), "{named}: {}", ended.stdout);
    }
    let ended = place.perfsec(&["check", "suite", "--format", "json"]);
    let mistakes: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let of_third = mistakes.as_array().expect("a list").iter().find(|mistake| {
        mistake["path"].as_str().is_some_and(|path| path.ends_with("event/third.toml"))
    });
    let mistake = of_third.expect("a mistake");
    assert!(mistake["line"].as_u64() > Some(1) && mistake["column"].as_u64() >= Some(1));
    place.perfsec(&["check", "absent"]).fails(2, "absent");
}

/// On a kernel that lacks what only the control needs, a denial would prove nothing.
#[test]
fn a_control_that_requires_more_is_a_mistake() {
    let steps = CASE.split_once("[[given]]").unwrap().1;
    let case = |more: &str| {
        let head = "title = \"a test\"\nsource = [\"made up\"]\ndomain = \"none_t\"\n";
        format!("{head}perf_event_paranoid = 2\ngrant = \"perfmon\"\n{more}\n[[given]]{steps}")
    };
    let place = Place::new();
    place.file("suite/event/denied.toml", &case("mode = \"enforcing\"\ncontrol = \"event/open\""));
    place.file("suite/event/open.toml", &case("mode = \"permissive\""));
    place.perfsec(&["run", "--list", "--cases", "suite"]).succeeds();

    place.file("suite/event/open.toml", &case("mode = \"permissive\"\nrequires = [\"yama\"]"));
    let ended = place.perfsec(&["run", "--list", "--cases", "suite"]);
    ended.fails(2, "`event/open` requires `yama`, which this case does not");
}

#[test]
fn a_directory_without_cases_and_a_missing_one_are_refused() {
    let place = Place::new();
    place.file("empty/README", "");
    place.perfsec(&["run", "--list", "--cases", "empty"]).fails(2, "cannot find a case in empty");
    place.perfsec(&["run", "--list", "--cases", "absent"]).fails(2, "absent");
}

#[test]
fn filters_that_select_nothing_are_not_a_success() {
    let place = Place::new();
    place.perfsec(&["run", "no/such/*"]).fails(4, "select no cell");
    place.perfsec(&["run", "[*"]).fails(2, "is not a glob");
    place.perfsec(&["run", "--grant", "perfmn"]).fails(2, "did you mean `perfmon`?");
    place.perfsec(&["run", "--list", "event/read"]).succeeds();
}

#[test]
fn a_known_difference_that_matches_no_cell_is_refused_with_its_place() {
    let place = Place::new();
    let known = |cells: &str| {
        let text =
            format!("[[known]]\nname = \"a\"\ncells = [\"{cells}\"]\nreason = \"a patch\"\n");
        place.file("known.toml", &text);
        ["known", "--known", "known.toml"]
    };
    place.perfsec(&known("event/read/*/none/*")).succeeds();
    let ended = place.perfsec(&known("event/raed/*/none/*"));
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("did you mean `event/read/*/none/*`?"), "{}", ended.stderr);
    assert!(ended.stderr.contains("known.toml:3:10"), "{}", ended.stderr);
    let run = ["run", "--list", "--known", "known.toml"];
    assert_eq!(place.perfsec(&run).code, Some(2));
}

#[test]
fn a_name_that_selects_no_cell_gets_the_closest() {
    let place = Place::new();
    let close = "did you mean `open/cpu-kernel`?";
    for arguments in [
        ["run", "open/cpu-kernle"].as_slice(),
        &["run", "open/cpu-kernle", "--list"],
        // Quiet commands still print errors.
        &["run", "open/cpu-kernle", "--quiet"],
        &["show", "open/cpu-kernle"],
        &["coverage", "open/cpu-kernle"],
    ] {
        let ended = place.perfsec(arguments);
        ended.fails(4, close);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
    place.perfsec(&["steps", "perf_event_opne"]).fails(2, "did you mean `perf_event_open`?");
    place.perfsec(&["steps", "perf_event_open"]).succeeds();
    place.perfsec(&["show", "open/cpu-kernel"]).succeeds();
}

#[test]
fn help_prints_commands_and_topics_and_suggests_the_closest() {
    let place = Place::new();
    let help = |names: &[&str]| {
        let ended = place.perfsec(&[&["help"], names].concat());
        ended.succeeds();
        ended.stdout
    };
    let list = help(&[]);
    assert!(list.contains("\n  bisect "), "{list}");
    assert!(list.contains("\n  exit-codes "), "{list}");
    let run = place.perfsec(&["run", "--help"]);
    run.succeeds();
    assert_eq!(help(&["run"]), run.stdout);
    assert!(help(&["bisect", "step"]).contains("Usage: perfsec bisect step"));
    assert!(help(&["kernels"]).starts_with(include_str!("../../docs/kernels.md")));
    let both = help(&["series"]);
    assert!(both.contains("Usage: perfsec series"), "{both}");
    assert!(both.ends_with(include_str!("../../docs/series.md")), "{both}");
    place.perfsec(&["help", "kernles"]).fails(2, "did you mean `kernels`?");
    place.perfsec(&["help", "bisect", "stpe"]).fails(2, "did you mean `step`?");
    place.perfsec(&["help", "nonsense"]).fails(2, "`perfsec help` lists them");
}

#[test]
fn completions_of_a_closed_pipe_are_no_error() {
    let place = Place::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = place.command(&["completions", "bash"]).stdout(writer).output();
    Ended::of(output.expect("perfsec starts")).succeeds();
    let ended = place.perfsec(&["completions", "bash"]);
    ended.succeeds();
    assert!(ended.stdout.contains("perfsec"), "{}", ended.stdout);
}

/// A record of a real run, with every verdict but `MISS`.
const RECORD: &str = include_str!("report/run.jsonl");

#[test]
fn a_record_without_coverage_and_a_tree_that_is_not_a_kernels_are_refused() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let from = |file: &str| place.perfsec(&["coverage", "--from", file]);
    from("run.jsonl").fails(4, "has no coverage");
    from("absent.jsonl").fails(2, "absent.jsonl");
    place.file("tree/Makefile", "");
    place.perfsec(&["coverage", "--list", "--tree", "tree"]).fails(2, "no kernel/events");
    place.perfsec(&["coverage", "--list"]).succeeds();
}

#[test]
fn a_bad_record_is_refused_and_a_truncated_one_is_reported() {
    let place = Place::new();
    let report = |file: &str| place.perfsec(&["report", file]);
    place.file("run.jsonl", RECORD);
    report("run.jsonl").succeeds();
    place.file("old.jsonl", &RECORD.replacen("\"format\":", "\"format\":1", 1));
    report("old.jsonl").fails(2, "this perfsec reads format");
    place.file("suite.toml", "title = \"a case\"");
    report("suite.toml").fails(2, "not a run record");
    report("absent.jsonl").fails(2, "absent.jsonl");
    place.file("damaged.jsonl", &RECORD.replacen("\n{", "\n[", 3));
    report("damaged.jsonl").fails(2, "line 2 is not an event");
    place.file("cut.jsonl", &RECORD[..RECORD.len() / 2]);
    let cut = report("cut.jsonl");
    cut.succeeds();
    assert!(cut.stderr.contains("the record ends after line"), "{}", cut.stderr);
    assert!(cut.stdout.contains("the run did not end"), "{}", cut.stdout);
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_boots() {
    let place = Place::new();
    let run = |out: &[&str]| place.perfsec(&[&["run", "--kernel", "absent"], out].concat());
    run(&["--out", "."]).fails(5, "cannot write");
    run(&["--format", "json", "--out", "absent/run.json"]).fails(5, "absent/run.json");
    run(&["--format", "json", "--format", "ktap"]).fails(2, "give one --out for each --format");
}

#[test]
fn a_report_does_not_overwrite_its_record_or_another_report() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    std::os::unix::fs::symlink("run.jsonl", place.path().join("link")).expect("a link");
    for out in ["run.jsonl", "./run.jsonl", "link"] {
        place.perfsec(&["report", "run.jsonl", "--out", out]).fails(2, "would destroy it");
        place.perfsec(&["merge", "run.jsonl", "--out", out]).fails(2, "would destroy it");
    }
    assert_eq!(std::fs::read_to_string(place.path().join("run.jsonl")).expect("it"), RECORD);
    let two = ["--format", "ktap", "--out", "a", "--format", "json", "--out", "./a"];
    let run = [&["run", "--kernel", "absent"], two.as_slice()].concat();
    place.perfsec(&run).fails(2, "two reports would go to");
    place.perfsec(&["report", "run.jsonl", "--out", "other"]).succeeds();
    place.perfsec(&["report", "run.jsonl", "--out", "/dev/null"]).succeeds();
}

#[test]
fn text_from_a_record_cannot_add_lines_to_a_summary() {
    let place = Place::new();
    let hostile =
        RECORD.replace("expects what no kernel does", "expects\\rfaked\\nLinux 9.9: 1 PASS");
    assert_ne!(hostile, RECORD);
    place.file("run.jsonl", &hostile);
    let ended = place.perfsec(&["report", "run.jsonl"]);
    assert!(!ended.stdout.contains('\r'), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| !line.starts_with("Linux 9.9")), "{}", ended.stdout);
}

#[rstest]
#[case::command(&["{}"])]
#[case::option(&["report", "run.jsonl", "--{}"])]
#[case::value(&["report", "run.jsonl", "--format", "{}"])]
#[case::valid_value(&["report", "run.jsonl", "--from", "{} <a@b>"])]
#[case::color(&["report", "run.jsonl", "--color", "{}"])]
#[case::record(&["report", "{}"])]
#[case::directory(&["report", "run.jsonl", "--out", "{}/report"])]
#[case::topic(&["help", "{}"])]
#[case::step(&["steps", "{}"])]
#[case::cell(&["show", "{}"])]
#[case::policy(&["show", "--policy", "{}"])]
#[case::version(&["show", "--kernel", "debian:{}"])]
#[case::sentence(&["explain", "{}"])]
#[case::command_to_explain(&["why", "--", "{}"])]
#[case::fact(&["why", "--distribution", "{}", "--errno", "{}", "--", "perf", "stat"])]
#[case::cell_to_explain(&["explain", "open/{}"])]
#[case::log(&["explain", "/{}"])]
#[case::option_behind_words(&["explain", "perf", "--kernel", "{}"])]
#[case::side(&["compare", "run.jsonl", "{}.jsonl"])]
#[case::module(&["allow", "run.jsonl", "--out", "{}.te"])]
#[case::known(&["known", "--known", "{}"])]
#[case::listed(&["run", "--list", "{}"])]
#[case::cases(&["run", "--list", "--cases", "{}"])]
#[case::fragment(&["kernel", "build", "linux", "--config", "{}"])]
#[case::tree(&["kernel", "build", "{}"])]
#[case::tree_to_scan(&["coverage", "--list", "--tree", "{}"])]
#[case::kernel(&["kernel", "./{}"])]
#[case::mutation(&["selfcheck", "{}"])]
#[case::series(&["series", "{}"])]
#[case::subject(&["series", "hostile.mbox"])]
#[case::case_file(&["show", "--cases", "suite"])]
#[case::damaged_record(&["report", "damaged.jsonl"])]
fn an_error_shows_what_it_quotes(#[case] arguments: &[&str]) {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let escaped = serde_json::to_string(HOSTILE).expect("a string");
    place.file("damaged.jsonl", &RECORD.replace("\"permissive\"", &escaped));
    place.file(&format!("suite/open/{}.toml", HOSTILE.replace('/', "")), HOSTILE);
    let subject = HOSTILE.replace(['\r', '\n'], "");
    let mail = format!("From a Mon Sep 17 00:00:00 2001\nSubject: [PATCH] {subject}\n\ntext\n");
    place.file("hostile.mbox", &mail);
    let arguments: Vec<_> = arguments.iter().map(|word| word.replace("{}", HOSTILE)).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ended = place.perfsec(&[&arguments[..], &["--color", "always"]].concat());
    assert!(ended.stderr.contains("error:"), "{}", ended.stderr);
    is_visible(&ended.stderr, "the error");
    has_no_forged_line(&ended.stderr, "the error");
    assert_eq!(ended.stdout, "");
}

#[rstest]
#[case::sentence(&["explain", "perf stat {}"])]
#[case::distribution(&["why", "--elsewhere", "--distribution", "{}", "--", "perf", "stat"])]
#[case::argument(&["why", "--elsewhere", "--", "perf", "stat", "--", "{}"])]
fn an_answer_shows_what_it_quotes(#[case] arguments: &[&str]) {
    let place = Place::new();
    let arguments: Vec<_> = arguments.iter().map(|word| word.replace("{}", HOSTILE)).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let ended = place.perfsec(&arguments);
    assert!(ended.stdout.contains("perf_event_open"), "{}{}", ended.stdout, ended.stderr);
    is_visible(&ended.stdout, "the answer");
    has_no_forged_line(&ended.stdout, "the answer");
}

#[test]
fn a_qemu_that_cannot_run_is_the_hosts_fault() {
    let place = Place::new();
    let plain = place.file("plain", "");
    let run = |qemu: &str| place.perfsec(&["run", "--kernel", "vmlinuz", "--qemu", qemu]);
    run("./absent").fails(5, "perfsec doctor");
    run(&plain).fails(5, "Permission denied");
    run("/bin/false").fails(5, "/bin/false");
}

/// A program that passes for QEMU until something boots.
fn fake_qemu(place: &Place) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = place.file("qemu", "#!/bin/sh\necho QEMU emulator version 0\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our file");
    path
}

#[test]
#[ignore = "needs secilc"]
fn a_file_that_is_not_a_kernel_is_refused() {
    let place = Place::new();
    let qemu = fake_qemu(&place);
    let (text, empty) = (place.file("text", "not a kernel"), place.file("empty", ""));
    for (kernel, words) in [
        ("absent", "absent: No such file"),
        (text.as_str(), "it looks like text"),
        (empty.as_str(), "an empty file"),
        (".", "it is a directory"),
        ("fedora:42", "download Fedora's kernel package (kernel-core, kernel-default)"),
    ] {
        place.perfsec(&["run", "--qemu", &qemu, "--kernel", kernel]).fails(2, words);
    }
}

#[test]
#[ignore = "needs secilc"]
fn a_bad_policy_is_refused_before_anything_boots() {
    let place = Place::new();
    let qemu = fake_qemu(&place);
    let (open, text) = (place.file("open.cil", "(nonsense"), place.file("text", "no policy"));
    for (policy, words) in [
        ("minimel", "did you mean `minimal`?"),
        ("fedora:42", "perfsec fetches only Debian's; download Fedora's policy"),
        ("debian:Trixie", "expected debian:SUITE"),
        (open.as_str(), "open.cil"),
        (text.as_str(), "neither CIL source (.cil), a binary policy, a package"),
    ] {
        let run = ["run", "--qemu", &qemu, "--kernel", "absent", "--policy", policy];
        let ended = place.perfsec(&run);
        ended.fails(2, words);
        assert!(!ended.stderr.contains("cache/tmp"), "{}", ended.stderr);
    }
}

#[test]
#[ignore = "needs secilc"]
fn one_policy_runs_once() {
    let place = Place::new();
    let qemu = fake_qemu(&place);
    let twice = ["--policy", "minimal", "--policy", "minimal"];
    let run = ["run", "--qemu", &qemu, "--kernel", "absent"];
    place.perfsec(&[run.as_slice(), &twice].concat()).fails(2, "both are called minimal");
}

#[test]
fn a_cache_that_cannot_be_created_is_the_hosts_fault() {
    let place = Place::new();
    let file = place.file("file", "");
    let mut command = place.command(&["run", "--kernel", "vmlinuz"]);
    let output = command.env("PERFSEC_CACHE_DIR", &file).output().expect("perfsec starts");
    Ended::of(output).fails(5, "cannot create");
}

#[test]
fn a_full_standard_output_is_an_error_but_a_closed_pipe_is_not() {
    let place = Place::new();
    for arguments in [["run", "--list"].as_slice(), &["show", "event/read"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("it is always there");
        let output = place.command(arguments).stdout(full).output().expect("perfsec starts");
        Ended::of(output).fails(5, "cannot write to standard output");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = place.command(arguments).stdout(writer).output().expect("perfsec starts");
        Ended::of(output).succeeds();
    }
}

/// A record of a real run of cells that differ between 6.1 and 7.3.
const DIFFERENT: &str = include_str!("report/different.jsonl");

#[test]
fn the_exit_code_of_a_comparison_agrees_with_its_table() {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    place.file("different.jsonl", DIFFERENT);
    let compare = |options: &[&str]| place.perfsec(&[&["compare"], options].concat());
    let ends = |options: &[&str], code: i32| {
        let ended = compare(options);
        assert_eq!(ended.code, Some(code), "{options:?}: {}{}", ended.stdout, ended.stderr);
        ended
    };
    ends(&["different.jsonl", "different.jsonl", "--consecutive"], 1);
    ends(&["run.jsonl", "--cell", "open"], 0);
    ends(&["run.jsonl"], 3);
    ends(&["run.jsonl", "--cell", "host/requires"], 4);
    ends(&["run.jsonl", "--cell", "no/such/cell"], 4);
    compare(&["run.jsonl", "different.jsonl"]).fails(2, "no cell in common");
    compare(&["run.jsonl", "--cell", "[*"]).fails(2, "is not a glob");
    compare(&["run.jsonl", "--out", "absent/file"]).fails(5, "absent/file");
    place.file("old.jsonl", &RECORD.replacen("\"format\":", "\"format\":1", 1));
    compare(&["run.jsonl", "old.jsonl"]).fails(2, "this perfsec reads format");
    place.file("damaged.jsonl", &RECORD.replacen("\n{", "\n[", 3));
    compare(&["run.jsonl", "damaged.jsonl"]).fails(2, "line 2 is not an event");
    compare(&["debian:6.x", "run.jsonl"]).fails(2, "debian:6.x");
    let one: String = RECORD.lines().take(2).map(|line| format!("{line}\n")).collect();
    place.file("one.jsonl", &one);
    compare(&["one.jsonl"]).fails(2, "one side is nothing to compare");
    place.file("cut.jsonl", &RECORD[..RECORD.len() * 9 / 10]);
    let cut = ends(&["cut.jsonl", "--cell", "open"], 3);
    assert!(cut.stderr.contains("the record ends after line"), "{}", cut.stderr);
    assert!(cut.stdout.contains("did not end"), "{}", cut.stdout);
}

#[test]
fn a_changed_case_is_not_a_difference_between_kernels() {
    let place = Place::new();
    place.file("different.jsonl", DIFFERENT);
    let lanes = DIFFERENT.find("{\"event\":\"lane\",\"lane\":1").expect("the second lane");
    let (first, second) = DIFFERENT.split_at(lanes);
    let changed = second.replace("\"case_sha256\":\"", "\"case_sha256\":\"0");
    place.file("changed.jsonl", &format!("{first}{changed}"));
    let ended = place.perfsec(&["compare", "changed.jsonl"]);
    assert_eq!(ended.code, Some(4), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("the case was changed, and something else was seen"));
}

#[test]
fn hostile_text_in_a_record_does_not_reach_the_terminal() {
    let place = Place::new();
    let hostile = DIFFERENT
        .replace("cap bpf = not held", "\\u001b[2Jcap bpf\\r\\u0007\\u202e = not held]]><b>")
        .replace("bpf/map-create", "bpf/\\u001b]0;map-create")
        .replace("perf: Rewrite core", &"long\\n".repeat(9999));
    place.file("hostile.jsonl", &hostile);
    let ended = place.perfsec(&["compare", "hostile.jsonl"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!ended.stdout.contains(steers), "{}", ended.stdout);
    assert!(ended.stdout.contains("bpf/\\u{1b}]0;map-create"), "{}", ended.stdout);
    assert!(ended.stdout.contains("long long"), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.len() < 4000));
}

#[test]
fn a_bad_baseline_is_refused_before_anything_boots() {
    let place = Place::new();
    let run = |baseline: &str| {
        place.perfsec(&["run", "--kernel", "absent", "--qemu", "./absent", "--baseline", baseline])
    };
    run("absent.jsonl").fails(2, "absent.jsonl");
    place.file("suite.toml", "title = \"a case\"");
    run("suite.toml").fails(2, "not a run record");
    place.file("old.jsonl", &RECORD.replacen("\"format\":", "\"format\":1", 1));
    run("old.jsonl").fails(2, "this perfsec reads format");
    let begin = RECORD.lines().next().expect("a first line");
    place.file("empty.jsonl", &format!("{begin}\n"));
    let ended = run("empty.jsonl");
    ended.fails(2, "it has no result");
    assert!(ended.stderr.contains("the record ends after line 1"), "{}", ended.stderr);
}

/// A module that declares the class of capabilities, and lacks perf's.
const BASE_CIL: &str = "(class capability2 (mac_admin ))\n(classorder (capability2 ))\n";

fn extend(arguments: &[&str]) -> Ended {
    let place = Place::new();
    place.file("base.cil", BASE_CIL);
    place.file("a.cil", "(type a_t)\n");
    let ended = place.perfsec(&[&["policy", "extend"], arguments].concat());
    let content = std::fs::read_to_string(place.path().join("base.cil")).expect("the module");
    assert_eq!(content, BASE_CIL);
    ended
}

#[rstest]
#[case::no_file(&["missing.cil"], 2, "cannot read missing.cil")]
#[case::no_tree(&["."], 2, "which has policy/flask/security_classes")]
#[case::another_module(&["a.cil"], 2, "does not declare the class capability2")]
#[case::no_type(&["base.cil", "--allow", "a b"], 2, "expected the name of a type")]
#[case::out_of_a_tree(&[".", "--out", "b.cil"], 2, "--out is for one module")]
#[case::itself(&["base.cil", "--out", "base.cil"], 2, "base.cil is an input")]
#[case::patch_and_file(&["base.cil", "--diff", "--out", "b.cil"], 2, "cannot be used with")]
#[case::no_place(&["base.cil", "--out", "missing/base.cil"], 5, "cannot write missing/base.cil")]
fn a_policy_that_cannot_be_extended_is_left_alone(
    #[case] arguments: &[&str],
    #[case] code: i32,
    #[case] words: &str,
) {
    extend(arguments).fails(code, words);
}

#[test]
fn a_policy_is_extended_once() {
    let patch = extend(&["base.cil", "--diff"]);
    patch.succeeds();
    assert!(
        patch.stdout.contains("\n+(class capability2 (mac_admin perfmon))\n"),
        "{}",
        patch.stdout
    );
    let place = Place::new();
    place.file("base.cil", BASE_CIL);
    let extend = || place.perfsec(&["policy", "extend", "base.cil"]);
    let first = extend();
    first.succeeds();
    assert_eq!(first.stdout, patch.stdout);
    let content = || std::fs::read_to_string(place.path().join("base.cil")).expect("the module");
    let extended = content();
    assert!(extended.contains("(class perf_event (open cpu"), "{extended}");
    let second = extend();
    second.succeeds();
    assert!(second.stderr.contains("nothing to add"), "{}", second.stderr);
    assert_eq!((second.stdout.as_str(), content()), ("", extended));
}
