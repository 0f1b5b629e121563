//! Each operator on a small function: every change it makes, and nothing where it must not.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use perfsec_mutate::{Config, Error, Mutant, Operator, SourceFile};
use rstest::rstest;

/// The changes of one operator to a function with this body.
fn changes(header: &str, body: &str, operator: Operator) -> Vec<String> {
    let source = format!("{header}\n{{\n\t{body}\n}}\n");
    let file = SourceFile::new("f.c", &source, &Config::default());
    let mutants = file.mutants(&["f"]).unwrap();
    let found = mutants.iter().filter(|mutant| mutant.operator == operator);
    found.map(|mutant| mutant.after.clone()).collect()
}

const INT: &str = "static int f(const struct cred *cred, struct task_struct *task, int cmd)";
const BOOL: &str = "static bool f(int a, int b)";

#[rstest]
#[case::returns("if (a) return -EPERM;", &[""])]
#[case::block("if (a) { b = 1; goto out; } out: return 0;", &[""])]
#[case::refuses("if (a) err = -EPERM;", &[""])]
#[case::leaves_the_rest("if (a) return 1; else b = 2;", &["b = 2;"])]
#[case::no_check("if (a) b = 1;", &[])]
#[case::out_of_memory("if (!p) return -ENOMEM;", &[])]
#[case::just_allocated("p = kmalloc(1); if (!p) return -1;", &[])]
#[case::warns("if (WARN_ON(a)) return -EPERM;", &[])]
fn drop_check(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, Operator::DropCheck), expected);
}

#[rstest]
#[case::kept("err = g(a); b = err;", &["err = (g(a), 0);"])]
#[case::tested_next("err = g(a); if (err) return err;", &[])]
#[case::condition("if (g(a)) return 1;", &["if ((g(a), 0))"])]
#[case::inverted("if (!g(a) && b) return 1;", &["if (!(g(a), 1) && b)"])]
#[case::returned("return g(a);", &["return (g(a), 0);"])]
#[case::only_looks("if (is_zero(a)) return 1;", &[])]
#[case::no_result("task = g(a);", &[])]
fn ignore_result(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, Operator::IgnoreResult), expected);
}

#[rstest]
#[case::result("err = security_x(a);", &["err = 0;"])]
#[case::returned("return avc_has_perm(a);", &["return 0;"])]
#[case::nothing_returned("audit_log_end(ab);", &[""])]
#[case::only_branch("if (a) avc_audit(ab);", &[""])]
#[case::through_a_pointer("if (a) ops->audit(ab);", &[""])]
#[case::bookkeeping("mutex_unlock(&audit_lock); kfree(selinux); trace_selinux_x(a);", &[])]
#[case::decides_nothing("err = compute(a);", &[])]
fn skip_call(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, Operator::SkipCall), expected);
}

#[test]
fn success_depends_on_what_the_function_returns() {
    assert_eq!(changes(BOOL, "return capable(a);", Operator::SkipCall), ["return true;"]);
    assert_eq!(changes("void f(void)", "return;", Operator::SkipCall), [""; 0]);
}

#[rstest]
#[case::test("if (a) b = 1;", &["if (!a)"])]
#[case::not("if (!a) b = 1;", &["if (a)"])]
#[case::hint("if (unlikely(!a)) b = 1;", &["if (unlikely(a))"])]
#[case::mask("if (a & 1) b = 1;", &["if (!(a & 1))"])]
#[case::compound(
    "if (a && b) c = 1;",
    &["if (!(a && b))", "if (a)", "if (b)", "if (a || b)"]
)]
#[case::chain(
    "x = a || (b && c);",
    &["x = a;", "x = (b && c);", "x = a && (b && c);", "x = a || (b);", "x = a || (c);",
      "x = a || (b || c);"]
)]
#[case::chain_of_three("x = a && b && c;", &[
    "x = a && b;", "x = (a && b) || c;", "x = a && c;", "x = b && c;", "x = (a || b) && c;"
])]
#[case::choice("x = a ? 1 : 2;", &["x = !a ? 1 : 2;"])]
#[case::question("if (capable(a)) return 1;", &["if (!capable(a))"])]
#[case::check_without_question("if (a) return 1;", &[])]
#[case::result("if (err) b = 1;", &[])]
#[case::each("list_for_each_entry(a, b, c) d = 1;", &[])]
fn negate(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, Operator::Negate), expected);
}

#[rstest]
#[case::above("if (a > 1) return 1;", &["if (a >= 1) return 1;", "if (a > 2) return 1;"])]
#[case::below("if (a < 1) return 1;", &["if (a <= 1) return 1;", "if (a < 0) return 1;"])]
#[case::at_least("if (a >= 1) return 1;", &["if (a > 1) return 1;", "if (a >= 0) return 1;"])]
#[case::equal("if (a == -1) return 1;", &["if (a != -1) return 1;", "if (a == 0) return 1;"])]
#[case::operand("if (b && a > MAX) return 1;", &["if (b && a >= MAX) return 1;"])]
#[case::name("if (a > MAX) return 1;", &["if (a >= MAX) return 1;"])]
#[case::result("if (ret < 0) return 1;", &["if (ret <= 0) return 1;"])]
fn boundary(#[case] body: &str, #[case] expected: &[&str]) {
    let expected: Vec<_> =
        expected.iter().map(|after| after.trim_end_matches(" return 1;").to_owned()).collect();
    assert_eq!(changes(INT, body, Operator::Boundary), expected);
}

#[rstest]
#[case::neighbours(
    "if (a) return -1; if (b) return -2;",
    &["if (b) return -2; if (a) return -1;"]
)]
#[case::with_calls(
    "err = g(a); if (err) return err; if (!h(b)) goto out; out: return 0;",
    &["if (!h(b)) goto out; err = g(a); if (err) return err;"]
)]
#[case::reads_through_a_pointer(
    "err = g(&a); if (err) return err; err = security_h(&a); if (err) return err;",
    &[]
)]
#[case::both_only_read(
    "err = security_g(&a); if (err) return err; err = security_h(&a); if (err) return err;",
    &["err = security_h(&a); if (err) return err; err = security_g(&a); if (err) return err;"]
)]
#[case::depends("a = g(); if (a) return -1; if (a > b) return -2;", &[])]
#[case::protects("if (!p) return -1; if (p->x) return -2;", &[])]
#[case::cannot_be_told_apart("if (a) return -1; if (b) return -1;", &[])]
#[case::between("if (a) return -1; c = 1; g(c); if (b) return -2;", &[])]
fn swap_checks(#[case] body: &str, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, Operator::SwapChecks), expected);
}

#[rstest]
#[case::capability("a = capable(CAP_KILL);", Operator::OtherCapability, &[
    "a = capable(CAP_SYS_PTRACE);", "a = capable(CAP_PERFMON);"
])]
#[case::helper("a = bpf_capable();", Operator::OtherCapability, &[
    "a = capable(CAP_PERFMON);", "a = capable(CAP_SYS_ADMIN);", "a = capable(CAP_BPF);"
])]
#[case::variable_of_that_name("bool capable = bpf_capable();", Operator::OtherCapability, &[
    "bool capable = ns_capable(&init_user_ns, CAP_PERFMON);",
    "bool capable = ns_capable(&init_user_ns, CAP_SYS_ADMIN);",
    "bool capable = ns_capable(&init_user_ns, CAP_BPF);"
])]
#[case::permission("g(PERF_EVENT__WRITE);", Operator::OtherPermission, &["g(PERF_EVENT__OPEN);"])]
#[case::class("g(SECCLASS_CAPABILITY);", Operator::OtherPermission, &["g(SECCLASS_CAPABILITY2);"])]
#[case::hook("a = security_perf_event_read(e);", Operator::OtherPermission, &[
    "a = security_perf_event_write(e);"
])]
#[case::ptrace("g(PTRACE_MODE_READ_REALCREDS);", Operator::OtherPermission, &[
    "g(PTRACE_MODE_READ_FSCREDS);", "g(PTRACE_MODE_ATTACH_REALCREDS);"
])]
#[case::errno("return -EACCES;", Operator::OtherErrno, &["return -EPERM;"])]
#[case::compared("a = b == -EACCES;", Operator::OtherErrno, &[])]
#[case::size("a = sizeof(CAP_KILL);", Operator::OtherCapability, &[])]
#[case::label("switch (a) { case PERF_EVENT__READ: b = 1; }", Operator::OtherPermission, &[])]
#[case::quiet("a = ns_capable(n, c);", Operator::Quiet, &["a = ns_capable_noaudit(n, c);"])]
#[case::loud("a = g(CAP_OPT_NOAUDIT);", Operator::Quiet, &["a = g(CAP_OPT_NONE);"])]
#[case::avc("a = avc_has_perm(s, t, c, r, NULL);", Operator::Quiet, &[
    "a = avc_has_perm_noaudit(s, t, c, r, 0, &(struct av_decision){ 0 });"
])]
fn other_names(#[case] body: &str, #[case] operator: Operator, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, operator), expected);
}

#[rstest]
#[case::member("a = cred->euid;", Operator::OtherCredentials, &["a = cred->uid;"])]
#[case::set("a = cred->cap_permitted;", Operator::OtherCredentials, &["a = cred->cap_effective;"])]
#[case::call("old = current_cred();", Operator::OtherCredentials, &["old = current_real_cred();"])]
#[case::variable("const struct cred *old = g(); a = old->x;", Operator::OtherCredentials, &[
    "a = cred->x;"
])]
#[case::own_sid("a = current_sid(); b = task_sid_obj(p);", Operator::OtherCredentials, &[
    "a = task_sid_obj(current);", "b = current_sid();"
])]
#[case::own_sid_elsewhere("a = current_sid();", Operator::OtherCredentials, &[])]
#[case::written("cred->euid = a;", Operator::OtherCredentials, &[])]
#[case::no_credentials("a = ipc->uid;", Operator::OtherCredentials, &[])]
#[case::sid("u32 ssid = a, tsid = b; g(ssid);", Operator::OtherCredentials, &["g(tsid);"])]
#[case::comm("g(current->comm);", Operator::OtherTask, &["g(current->group_leader->comm);"])]
#[case::shared_by_threads("g(current->mm);", Operator::OtherTask, &[])]
#[case::number("a = task_pid_nr(task);", Operator::OtherTask, &[
    "a = task_tgid_nr(task);", "a = task_pid_nr(current);"
])]
#[case::find("p = find_task_by_vpid(a);", Operator::OtherTask, &[
    "p = find_task_by_pid_ns(a, &init_pid_ns);"
])]
#[case::pid_namespace("a = task_tgid_nr(p);", Operator::OtherNamespace, &["a = task_tgid_vnr(p);"])]
#[case::user_namespace("a = cred->user_ns;", Operator::OtherNamespace, &["a = &init_user_ns;"])]
#[case::own("a = capable(c);", Operator::OtherNamespace, &[
    "a = ns_capable(current_user_ns(), c);"
])]
#[case::initial("a = ns_capable(n, c);", Operator::OtherNamespace, &["a = capable(c);"])]
fn other_identity(#[case] body: &str, #[case] operator: Operator, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, operator), expected);
}

#[rstest]
#[case::call("audit_log_untrustedstring(ab, s);", Operator::DropField, &[""])]
#[case::fields(r#"audit_log_format(ab, " a=%d b=%s", x, y);"#, Operator::DropField, &[
    "", r#"audit_log_format(ab, " b=%s", y);"#, r#"audit_log_format(ab, " a=%d", x);"#
])]
#[case::start("ab = audit_log_start(c, AUDIT_X);", Operator::DropField, &[])]
#[case::neighbour(r#"audit_log_format(ab, " a=%d b=%s c=%d", x, y, z);"#, Operator::OtherField, &[
    r#"audit_log_format(ab, " a=%d b=%s c=%d", z, y, z);"#,
    r#"audit_log_format(ab, " a=%d b=%s c=%d", x, y, x);"#
])]
#[case::next_call(
    r#"audit_log_cap(ab, "p", &p); audit_log_cap(ab, "i", &i);"#,
    Operator::OtherField,
    &[r#"audit_log_cap(ab, "p", &i);"#, r#"audit_log_cap(ab, "i", &p);"#]
)]
#[case::members("d.x = x; d.y = y;", Operator::OtherField, &["d.x = y;", "d.y = x;"])]
#[case::pointer("d.x = cmd; d.y = task;", Operator::OtherField, &[])]
#[case::credentials("cred->x = x; cred->y = y;", Operator::OtherField, &[])]
#[case::record("ab = audit_log_start(c, AUDIT_AVC);", Operator::OtherField, &[
    "ab = audit_log_start(c, AUDIT_SELINUX_ERR);"
])]
fn records(#[case] body: &str, #[case] operator: Operator, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, operator), expected);
}

#[rstest]
#[case::flag("a = b & PERF_FLAG_X; c |= PERF_FLAG_Y;", Operator::OtherFlag, &[
    "a = b & PERF_FLAG_Y;", "c |= PERF_FLAG_X;"
])]
#[case::relative("a = b & PERF_SAMPLE_REGS_USER; a = PERF_SAMPLE_IP | PERF_SAMPLE_REGS_INTR;",
    Operator::OtherFlag, &["a = b & PERF_SAMPLE_REGS_INTR;"]
)]
#[case::alone("a = b & PERF_FLAG_X;", Operator::OtherFlag, &[])]
#[case::value("a = PERF_FLAG_X; b = PERF_FLAG_Y;", Operator::OtherFlag, &[])]
#[case::bit("if (!attr.exclude_kernel) return 1;", Operator::OtherFlag, &[
    "if (!attr.exclude_user)"
])]
#[case::ioctl(
    "switch (a) { case A_IOC_B: case A_IOC_C: b = 1; } ret = security_x(e);",
    Operator::ExemptOne,
    &["ret = cmd == A_IOC_B ? 0 : security_x(e);", "ret = cmd == A_IOC_C ? 0 : security_x(e);"]
)]
#[case::test("if (cmd & PERF_FLAG_X) b = 1; ret = security_x(e);", Operator::ExemptOne, &[
    "ret = (cmd & PERF_FLAG_X) ? 0 : security_x(e);"
])]
#[case::unset_pointer("struct x *p; if (p->y & PERF_FLAG_X) b = 1; ret = security_x(e);",
    Operator::ExemptOne, &[]
)]
#[case::mask("a = b & PERF_FLAG_ALL; c = d & PERF_FLAG_X;", Operator::ExemptOne, &[
    "a = b & (PERF_FLAG_ALL & ~PERF_FLAG_X);"
])]
#[case::other_bits("a = b & ~PERF_FLAG_ALL; c = d & PERF_FLAG_X;", Operator::ExemptOne, &[
    "a = b & (~PERF_FLAG_ALL | PERF_FLAG_X);"
])]
#[case::truth("return true;", Operator::OtherConstant, &["return false;"])]
#[case::zero("return 0;", Operator::OtherConstant, &["return 1;"])]
#[case::number("a = 2;", Operator::OtherConstant, &["a = 3;", "a = 1;"])]
#[case::dead("int a = 0; a = g();", Operator::OtherConstant, &[])]
#[case::live("int a = 0; if (b) a = g(); return a;", Operator::OtherConstant, &["int a = 1;"])]
#[case::mode(r#"create("x", 0644);"#, Operator::Default, &[
    r#"create("x", 0666);"#, r#"create("x", 0600);"#
])]
fn flags_and_constants(#[case] body: &str, #[case] operator: Operator, #[case] expected: &[&str]) {
    assert_eq!(changes(INT, body, operator), expected);
}

const TABLES: &str = r#"
int sysctl_level __read_mostly = 2;
static int hidden __read_mostly;
extern int elsewhere;
int rate = MAX_RATE;
#define LIMIT (64 - 1)
#define FUNCTION(x) 1
#define NAMES "syslog", \
	"perfmon"
static struct ctl_table table[] = {
	{
		.procname = "level",
		.mode = 0644,
		.extra1 = SYSCTL_ZERO,
	},
	{ "perf_event",
	  { "open", "cpu", NULL } },
};
"#;

#[rstest]
#[case::variable("sysctl_level", &[
    "int sysctl_level __read_mostly = 3;", "int sysctl_level __read_mostly = 1;"
])]
#[case::zero("hidden", &["static int hidden __read_mostly = 1;"])]
#[case::named("rate", &["int rate = (MAX_RATE + 1);"])]
#[case::macro_("LIMIT", &[
    "#define LIMIT (65 - 1)", "#define LIMIT (63 - 1)", "#define LIMIT (64 - 2)",
    "#define LIMIT (64 - 0)"
])]
#[case::names_of_a_macro("NAMES", &[r#"#define NAMES "perfmon", \ "syslog""#])]
#[case::entry("level", &[
    r#"{ .procname = "level", .mode = 0666, .extra1 = SYSCTL_ZERO, }"#,
    r#"{ .procname = "level", .mode = 0600, .extra1 = SYSCTL_ZERO, }"#,
    r#"{ .procname = "level", .mode = 0644, .extra1 = NULL, }"#
])]
#[case::names("perf_event", &[r#"{ "perf_event", { "cpu", "open", NULL } }"#])]
fn defaults(#[case] name: &str, #[case] expected: &[&str]) {
    let file = SourceFile::new("t.c", TABLES, &Config::default());
    let mutants = file.defaults(&[name]).unwrap();
    assert_eq!(mutants.iter().map(|m| m.after.as_str()).collect::<Vec<_>>(), expected);
    assert!(mutants.iter().all(|mutant| !mutant.is_switched()));
    assert!(mutants.iter().all(|mutant| mutant.function == name));
    let line = TABLES.lines().nth(mutants[0].line - 1).unwrap();
    assert_ne!(mutants[0].apply(TABLES).lines().nth(mutants[0].line - 1).unwrap(), line);
}

#[rstest]
#[case::declared("elsewhere")]
#[case::function_macro("FUNCTION")]
#[case::unknown("nothing")]
fn a_name_without_a_default_is_reported(#[case] name: &str) {
    let file = SourceFile::new("t.c", TABLES, &Config::default());
    assert!(!file.has_default(name));
    let names = vec![name.to_owned()];
    let error = Error::Undefined { file: "t.c".to_owned(), names };
    assert_eq!(file.defaults(&["hidden", name]), Err(error));
}

#[test]
fn a_removed_statement_takes_its_lines_along() {
    let source = "int f(int a)\n{\n\tif (a)\n\t\treturn -EPERM;\n\n\tif (a)\n\t\taudit_x();\n\
                  \treturn a;\n}\n";
    let file = SourceFile::new("f.c", source, &Config::default());
    let mutants = file.mutants(&["f"]).unwrap();
    let named = |name: &str| mutants.iter().find(|mutant| mutant.name() == name).unwrap();
    assert_eq!(
        named("f/drop-check/1").apply(source),
        "int f(int a)\n{\n\n\tif (a)\n\t\taudit_x();\n\treturn a;\n}\n"
    );
    assert_eq!(named("f/skip-call/1").apply(source), source.replace("audit_x();", ";"));
    assert_eq!(named("f/skip-call/1").line, 7);
}

#[test]
fn a_static_initialiser_is_built_alone() {
    let source = "int f(void)\n{\n\tstatic int a = 1;\n\tint b = 1;\n\treturn a + b;\n}\n";
    let file = SourceFile::new("f.c", source, &Config::default());
    let switched: Vec<_> = file.mutants(&["f"]).unwrap().iter().map(Mutant::is_switched).collect();
    assert_eq!(switched, [false, false, true, true]);
}

#[test]
fn both_definitions_of_a_function_count_until_the_configuration_decides() {
    let source = "#ifdef CONFIG_X\nint f(int a)\n{\n\treturn -EPERM;\n}\n\
                  #else\nint f(int a) { return 0; }\n#endif\n";
    let count = |config: &str, known: bool| {
        let config = if known { Config::parse(config) } else { Config::default() };
        SourceFile::new("f.c", source, &config).mutants(&["f"]).unwrap().len()
    };
    assert_eq!(count("", false), 2);
    assert_eq!(count("CONFIG_X=y", true), 1);
    assert_eq!(count("", true), 1);
}

#[test]
fn code_that_is_no_c_is_reported_or_left_alone() {
    let source = "int f(int a)\n{\n\treturn ) 1 +* -EPERM;\n}\n";
    let file = SourceFile::new("f.c", source, &Config::default());
    // The parser recovers around the error; the broken statement has no mutants.
    assert_eq!(file.mutants(&["f"]).map(|mutants| mutants.len()), Ok(0));
    let missing = Error::Undefined { file: "f.c".to_owned(), names: vec!["g".to_owned()] };
    assert_eq!(file.mutants(&["f", "g"]), Err(missing));
}
