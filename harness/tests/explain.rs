//! `perfsec explain`, `perfsec why` and `perfsec allow`, as users run them.

mod support;

use std::fs;

use rstest::rstest;
use serde_json::Value;
use support::{Ended, Place, golden, kernel};

/// The record of a real run on 6.1 and 7.3.
const RECORD: &str = include_str!("report/run.jsonl");
/// A log with records about perf and others, in the forms of auditd, ausearch and the kernel.
const LOG: &str = include_str!("report/audit.log");
/// The log of `thread/both-in-one-process` in `user_t` of Debian's policy, permissive, on 6.12.
const IN_USER: &str = include_str!("report/thread-in-user.log");

/// Runs perfsec with a text on standard input.
fn with_input(arguments: &[&str], input: &str) -> Ended {
    Place::new().fed(arguments, input)
}

/// An AVC record of perf in `user_t`.
fn record(permissions: &str, class: &str, permissive: u8) -> String {
    format!(
        "type=AVC msg=audit(1581580399.165:784): avc:  denied  {{ {permissions} }} for  pid=8859 \
         comm=\"perf\" scontext=user_u:user_r:user_t tcontext=user_u:user_r:user_t tclass={class} \
         permissive={permissive}\n"
    )
}

/// The founding thread's records of `perf stat -a`, with these of the file capabilities.
fn thread(capability: &[(&str, &str)]) -> String {
    let permissions = ["open", "kernel", "cpu", "write", "read"].map(|name| (name, "perf_event"));
    let all = permissions.iter().chain(capability);
    all.map(|(name, class)| record(name, class, 1)).collect()
}

#[rstest]
#[case("explain-refused.txt", record("open", "perf_event", 0))]
#[case("explain-none.txt", thread(&[]))]
#[case("explain-perfmon.txt", thread(&[("perfmon", "capability2")]))]
#[case("explain-sys-admin.txt", thread(&[("sys_admin", "capability")]))]
#[case("explain-both.txt", thread(&[("perfmon", "capability2"), ("sys_admin", "capability")]))]
#[case("explain-log.txt", LOG.to_owned())]
#[case("explain-in-user.txt", IN_USER.to_owned())]
fn the_explanation_of_a_log_is_the_golden_one(#[case] name: &str, #[case] log: String) {
    let ended = with_input(&["explain", "-"], &log);
    ended.succeeds();
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 78), "{}", ended.stdout);
    golden(name, &ended.stdout);
}

#[rstest]
#[case(
    "explain-cell.txt",
    &["open/cpu-kernel/none_t/paranoid=2/sys_admin/permissive", "--kernel", "debian:6.1.192"]
)]
#[case("explain-sentence.txt", &["perf stat as user with cap_perfmon, paranoid 3"])]
fn the_explanation_of_a_cell_or_a_sentence_is_the_golden_one(
    #[case] name: &str,
    #[case] what: &[&str],
) {
    let ended = Place::new().perfsec(&[&["explain"], what].concat());
    ended.succeeds();
    golden(name, &ended.stdout);
}

#[test]
fn the_source_of_a_record_does_not_change_its_explanation() {
    let line = record("open", "perf_event", 0);
    let place = Place::new();
    let path = place.file("audit.log", &line);
    let texts = [
        place.perfsec(&["explain", line.trim()]),
        place.perfsec(&["explain", &path]),
        place.perfsec(&[
            "explain",
            &line.trim().replace("type=AVC msg=audit", "audit: type=1400 audit"),
        ]),
        with_input(&["explain"], &line),
    ];
    texts.iter().for_each(Ended::succeeds);
    let behind_the_form = |ended: &Ended| ended.stdout.split_once("\n\n").map(|it| it.1.to_owned());
    let first = behind_the_form(&texts[0]);
    assert!(texts.iter().all(|ended| behind_the_form(ended) == first));
}

#[rstest]
#[case::half(
    "type=AVC msg=audit(1.2:3): avc:  denied  { open } for  pid=1",
    2,
    "is the record cut short?"
)]
#[case::braces("avc:  denied  open for pid=1 tclass=perf_event", 2, "not of the form")]
#[case::no_such_cell(
    "open/cpu-kernal/none_t/paranoid=2/perfmon/enforcing",
    4,
    "did you mean `open/cpu-kernel/"
)]
#[case::several_cells("open/cpu-kernel", 2, "give one, such as `open/cpu-kernel/")]
#[case::words("hello world", 4, "nothing here concerns perf")]
#[case::escape("\u{1b}]0;title\u{7}", 4, "nothing here concerns perf")]
fn an_input_that_cannot_be_explained_has_an_error(
    #[case] what: &str,
    #[case] code: i32,
    #[case] words: &str,
) {
    Place::new().perfsec(&["explain", what]).fails(code, words);
}

#[test]
fn words_need_no_quotes_and_a_bare_name_can_be_a_file() {
    let place = Place::new();
    let words = ["perf", "stat", "-a", "as", "user"];
    let bare = place.perfsec(&[["explain", "--kernel", "debian:6.1"].as_slice(), &words].concat());
    bare.succeeds();
    let quoted = place.perfsec(&["explain", "--kernel", "debian:6.1", &words.join(" ")]);
    assert_eq!(bare.stdout, quoted.stdout);
    let behind =
        place.perfsec(&[&["explain"], words.as_slice(), &["--kernel=debian:6.1"]].concat());
    assert_eq!(behind.stdout, quoted.stdout);
    place.file("audit.log", &record("open", "perf_event", 0));
    place.perfsec(&["explain", "audit.log"]).succeeds();
    place.perfsec(&["explain", "./nofile"]).fails(2, "no such file");
}

#[test]
fn the_suffix_of_the_file_chooses_the_language_of_a_module() {
    let place = Place::new();
    place.file("audit.log", &record("open", "perf_event", 0));
    place.perfsec(&["allow", "audit.log", "--out", "mine.te"]).succeeds();
    let module = fs::read_to_string(place.path().join("mine.te")).expect("the module");
    assert!(module.contains("allow user_t self:perf_event open;"), "{module}");
}

#[test]
fn a_log_without_records_about_perf_says_so() {
    let other = "type=AVC msg=audit(1.2:3): avc:  denied  { write } for  pid=7 \
                 comm=\"httpd\" name=\"x\" scontext=u:r:httpd_t:s0 tcontext=u:object_r:etc_t:s0 tclass=file permissive=0\n";
    let ended = with_input(&["explain", "-"], other);
    ended.fails(4, "nothing here concerns perf");
    assert!(
        ended.stdout.contains("httpd in httpd_t: file { write } is not about perf"),
        "{}",
        ended.stdout
    );
    with_input(&["explain", "-"], &format!("{other}{}", record("open", "perf_event", 0)))
        .succeeds();
}

/// A record of a capability, from a program that is not perf.
fn other(permission: &str, class: &str, pid: u32) -> String {
    let record = record(permission, class, 0).replace("\"perf\"", "\"app\"");
    record.replace("pid=8859", &format!("pid={pid}"))
}

#[rstest]
#[case::alone(&[("sys_admin", "capability", 1)], false)]
#[case::with_perfmon(&[("perfmon", "capability2", 1), ("sys_admin", "capability", 1)], true)]
#[case::with_an_event(&[("open", "perf_event", 1), ("ipc_lock", "capability", 1)], true)]
#[case::of_another_process(&[("open", "perf_event", 1), ("ipc_lock", "capability", 2)], false)]
#[case::perfmon(&[("perfmon", "capability2", 1)], true)]
fn a_capability_without_a_call_counts_only_with_a_record_about_perf(
    #[case] records: &[(&str, &str, u32)],
    #[case] about: bool,
) {
    let log: String = records.iter().map(|(name, class, pid)| other(name, class, *pid)).collect();
    let ended = with_input(&["explain", "-"], &log);
    let skipped = "skipped 1 record of capabilities that may not be about perf";
    assert_eq!(!ended.stdout.contains(skipped), about, "{}", ended.stdout);
}

#[rstest]
#[case("cap_userns")]
#[case("cap2_userns")]
fn a_capability_in_another_user_namespace_is_never_about_perf(#[case] class: &str) {
    let ended = with_input(&["explain", "-"], &record("sys_admin perfmon", class, 0));
    ended.fails(4, "nothing here concerns perf");
}

#[rstest]
#[case("anon_inode:[perf_event]", Some(0))]
#[case("/dev/pts/0", Some(4))]
fn the_use_of_a_descriptor_is_about_perf_if_it_is_an_event(
    #[case] path: &str,
    #[case] code: Option<i32>,
) {
    let record = record("use", "fd", 0).replace("comm=", &format!("path=\"{path}\" comm="));
    assert_eq!(with_input(&["explain", "-"], &record).code, code);
}

#[test]
fn hostile_input_is_skipped_and_prints_no_control_characters() {
    let hostile = [
        "x".repeat(10 << 20),
        record("open", "perf_event", 0).replace("\"perf\"", "1B5D303B7007"),
        record("open\u{1b}[2J", "perf_event", 0),
        record("open", "perf_event", 0).replace("user_t", "<b>]]>\u{202e}"),
        record("open", "perf_event", 0)[..90].to_owned(),
        record("open", "perf_event", 0),
    ];
    let ended = with_input(&["explain", "-"], &hostile.join("\n"));
    ended.succeeds();
    let controls = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
    assert!(!ended.stdout.contains(controls), "{:?}", ended.stdout);
    assert!(ended.stdout.contains("allow user_t self:perf_event open;"), "{}", ended.stdout);
    assert!(ended.stdout.contains("1 line is longer than any record"), "{}", ended.stdout);
    assert!(ended.stdout.contains("1 line is not a complete AVC record"), "{}", ended.stdout);
}

/// An AVC record and the SYSCALL record of its event.
fn event(avc: &[(&str, &str)], permissive: u8, call: &str) -> String {
    let records = avc.iter().map(|(names, class)| record(names, class, permissive));
    let head = "type=SYSCALL msg=audit(1581580399.165:784): arch=c000003e";
    records.collect::<String>() + &format!("{head} {call} ppid=1 pid=8859 comm=\"perf\"\n")
}

const PERFMON: (&str, &str) = ("perfmon", "capability2");

#[rstest]
#[case::made_good(
    event(&[PERFMON], 0, "syscall=298 success=yes exit=3 a0=7f a1=ffffffff"),
    &[
        "then asked for CAP_SYS_ADMIN, which was granted", "Nothing is broken",
        "dontaudit user_t self:capability2 perfmon;",
    ],
    &["does not hold it", "least privilege"]
)]
#[case::own_process(
    event(&[PERFMON], 0, "syscall=298 success=yes exit=3 a0=7f a1=0"),
    &["an event on the process itself needs no capability"],
    &["does not hold it", "least privilege"]
)]
#[case::bpf_made_good(
    event(&[("bpf", "capability2")], 0, "syscall=321 success=yes exit=5 a0=0"),
    &["bpf(BPF_MAP_CREATE) succeeded although SELinux refused CAP_BPF", "or allow bpf"],
    &["the call fails", "does not hold it"]
)]
#[case::load_made_good(
    event(&[("bpf", "capability2"), PERFMON], 0, "syscall=321 success=yes exit=5 a0=5"),
    &["CAP_PERFMON is not needed for such a program to load", "perfmon need not be given"],
    &["least privilege", "does not hold it"]
)]
#[case::neither(
    event(&[PERFMON, ("sys_admin", "capability")], 0, "syscall=298 success=yes exit=3 a0=7f a1=0"),
    &["nothing that the call needed depended on either"],
    &["least privilege"]
)]
#[case::failed(
    event(&[PERFMON], 0, "syscall=298 success=no exit=-13 a0=7f a1=0"),
    &[
        "does not hold it, or a dontaudit rule hides the record",
        "allow user_t self:capability2 perfmon;",
    ],
    &["which was granted", "Nothing is broken"]
)]
#[case::lone_bpf(
    record("bpf", "capability2", 0),
    &["There are two readings", "then what needs CAP_BPF was refused", "nothing is broken"],
    &["the call fails with EPERM"]
)]
#[case::environment_of_another(
    format!(
        "{}type=PATH msg=audit(1581580399.165:784): item=0 name=\"/proc/1/maps\" inode=1\n",
        event(&[PERFMON], 0, "syscall=257 success=yes exit=4 a0=ffffff9c")
    ),
    &["openat succeeded", "/proc/1/maps", "mm_access()", "narrower than sys_admin"],
    &["does not hold it"]
)]
#[case::other_architecture(
    event(&[PERFMON], 0, "syscall=241 success=yes exit=4 a0=7f a1=ffffffff")
        .replace("c000003e", "c00000b7"),
    &["perf_event_open succeeded"],
    &["another architecture"]
)]
fn the_syscall_record_decides_what_a_denial_did(
    #[case] log: String,
    #[case] says: &[&str],
    #[case] never: &[&str],
) {
    explains(&log, says, never);
}

#[rstest]
#[case::enoent(
    event(&[("open", "perf_event")], 1, "syscall=298 success=no exit=-2 a0=7f a1=0"),
    &[
        "failed with ENOENT: the machine has no such event", "SELinux is not the reason",
        "for enforcing mode", "does not make the call succeed", "{ read }",
    ]
)]
#[case::eperm(
    event(&[("open", "perf_event"), ("kernel", "perf_event")], 1,
        "syscall=298 success=no exit=-1 a0=7f a1=0"),
    &["SELinux's hooks answer EACCES, so EPERM is not theirs"]
)]
#[case::eacces_of_another_check(
    event(&[("open", "perf_event")], 1, "syscall=298 success=no exit=-13 a0=7f a1=ffffffff"),
    &["let it through (permissive=1): another check refused it"]
)]
fn the_error_of_a_call_excludes_causes(#[case] log: String, #[case] says: &[&str]) {
    explains(&log, says, &[]);
}

#[test]
fn in_permissive_mode_the_plainest_reason_comes_first() {
    let log: String = ["open", "kernel", "read"].map(|name| record(name, "perf_event", 1)).concat();
    explains(
        &log,
        &[
            "four possible reasons, the plainest first: 1. the policy already allows",
            "4. the capability was never",
            "{ open }, would end the call",
        ],
        &["three possible reasons"],
    );
}

#[rstest]
#[case::let_through(1, "yes exit=9")]
#[case::refused(0, "yes exit=9")]
fn a_lockdown_record_that_the_kernel_ignored_is_not_the_cause(
    #[case] permissive: u8,
    #[case] end: &str,
) {
    let lockdown = event(
        &[("confidentiality", "lockdown")],
        permissive,
        &format!("syscall=298 success={end} a0=7f a1=ffffffff"),
    );
    let reason = " lockdown_reason=\"unsafe use of perf\" scontext=";
    explains(
        &lockdown.replace(" scontext=", reason),
        &["5.10.35, 5.12.2 and 5.13", "dontaudit user_t self:lockdown confidentiality;"],
        &["least privilege", "allow user_t self:lockdown"],
    );
    let kprobe = record("confidentiality", "lockdown", 0);
    let reason = " lockdown_reason=\"use of kprobes\" scontext=";
    explains(
        &kprobe.replace(" scontext=", reason),
        &["least privilege", "allow user_t self:lockdown confidentiality;"],
        &["dontaudit"],
    );
}

#[rstest]
#[case::undefined(
    "[    5.1] SELinux:  Class perf_event not defined in policy.\n\
     [    5.1] SELinux:  Permission perfmon in class capability2 not defined in policy.\n\
     [    5.1] SELinux: the above unknown classes and permissions will be allowed\n",
    &[
        "does not define capability2 { perfmon }, the class perf_event", "not from SELinux",
        "newer policy",
    ]
)]
#[case::undefined_and_denied(
    "kernel: SELinux:  Class perf_event not defined in policy.\n\
     kernel: SELinux: the above unknown classes and permissions will be denied\n",
    &["no rule of this policy can allow"]
)]
#[case::lockdown(
    "Lockdown: bpftrace: use of kprobes is restricted; see man kernel_lockdown.7\n",
    &["EPERM to everybody, root included", "lockdown=confidentiality", "tracepoints or fentry"]
)]
#[case::lockdown_of_bpf(
    "[  7.1] Lockdown: bpftool: use of bpf to read kernel RAM is restricted; see man \
     kernel_lockdown.7\n",
    &["do not load, for root either"]
)]
#[case::apparmor(
    "[  19.5] audit: type=1400 audit(1610450169.3:30): apparmor=\"DENIED\" operation=\"capable\" \
     profile=\"libvirtd\" pid=19 comm=\"worker\" capability=38  capname=\"perfmon\"\n",
    &["profile libvirtd refused CAP_PERFMON to worker", "`capability perfmon,`", "CAP_SYS_ADMIN"]
)]
#[case::apparmor_complains(
    "audit: type=1400 audit(1.2:3): apparmor=\"ALLOWED\" operation=\"capable\" profile=\"p\" \
     pid=1 comm=\"x\" capability=38\n",
    &["let it through (ALLOWED)"]
)]
#[case::seccomp(
    "type=SECCOMP msg=audit(1.2:3): auid=1 uid=1 pid=7 comm=\"perf\" exe=\"/usr/bin/perf\" sig=0 \
     arch=c000003e syscall=298 compat=0 ip=0x7f code=0x50000\n",
    &["a seccomp filter saw perf_event_open of perf", "runs before the system call"]
)]
#[case::lost("audit: backlog limit exceeded\n", &["messages were lost", "proves nothing"])]
#[case::throttled(
    "perf: interrupt took too long (2516 > 2500), lowering kernel.perf_event_max_sample_rate\n",
    &["about perf, but no refusal"]
)]
#[case::no_counters(
    "[  0.2] Performance Events: unsupported CPU model 85 no PMU driver, software events only.\n",
    &["ENOENT", "software events work"]
)]
#[case::call_without_a_record(
    "type=SYSCALL msg=audit(1.2:3): arch=c000003e syscall=298 success=no exit=-13 a0=7f a1=0 pid=7 \
     comm=\"perf\"\n",
    &["perf_event_open failed with EACCES without an AVC record", "a capability"]
)]
#[case::alert(
    "Nov 28 03:20:02 box setroubleshoot[7]: SELinux is preventing perf from open access on the \
     perf_event labeled user_t. For complete SELinux messages run: sealert -l 0\n",
    &[
        "perf in user_t", "allow user_t self:perf_event open;", "leaves out",
        "ausearch -m AVC -ts recent", "If this was enforced",
    ]
)]
#[case::report(
    "At 03:20:00 11/28/2025 ann, acting as root, unsuccessfully \
     accessed-mac-policy-controlled-object using /usr/bin/perf\n",
    &["access of /usr/bin/perf", "The call failed", "has no class"]
)]
fn other_lines_about_perf_are_explained(#[case] log: &str, #[case] says: &[&str]) {
    explains(log, says, &["nothing here"]);
}

#[rstest]
#[case::empty("", "the input is empty")]
#[case::other("hello world\n", "nothing here concerns perf")]
#[case::lockdown(
    "Lockdown: x: hibernation is restricted; see man kernel_lockdown.7\n",
    "nothing here"
)]
#[case::apparmor(
    "audit: type=1400 audit(1.2:3): apparmor=\"DENIED\" operation=\"open\" profile=\"p\" \
     name=\"/etc/x\" pid=1 comm=\"cat\"\n",
    "nothing here"
)]
#[case::no_matches("<no matches>\n", "nothing here")]
fn input_that_does_not_concern_perf_says_so(#[case] log: &str, #[case] error: &str) {
    with_input(&["explain", "-"], log).fails(4, error);
}

#[test]
fn files_and_standard_input_are_read_together_and_their_forms_are_named() {
    let place = Place::new();
    place.file("audit.log", &record("open", "perf_event", 0));
    let journal = format!(
        "{{\"__CURSOR\":\"s\",\"_AUDIT_ID\":\"7\",\"MESSAGE\":\"AVC {}\"}}\n",
        record("open", "perf_event", 0)
            .trim()
            .split_once(": ")
            .expect("a head")
            .1
            .replace('"', "\\\"")
    );
    let ended = place.fed(&["explain", "audit.log", "-"], &journal);
    ended.succeeds();
    let first = ended.stdout.lines().next().expect("a line");
    assert_eq!(first, "read as: audit.log, 1 event; journal JSON, 1 event");
    assert!(ended.stdout.contains("perf_event { open }, 2 records"), "{}", ended.stdout);
}

#[test]
fn a_module_leaves_out_what_broke_nothing_and_reads_json() {
    let place = Place::new();
    let harmless = event(&[PERFMON], 0, "syscall=298 success=yes exit=3 a0=7f a1=ffffffff");
    let open = record("open", "perf_event", 0).replace("165:784", "166:785");
    let avc = open.trim().split_once(": ").expect("a head").1.replace('"', "\\\"");
    let json = format!("{{\"MESSAGE\":\"AVC {avc}\",\"_AUDIT_ID\":\"8\"}}\n");
    place.file("audit.json", &format!("{json}{harmless}"));
    let ended = place.perfsec(&["allow", "audit.json", "--te"]);
    ended.succeeds();
    assert!(ended.stdout.contains("allow user_t self:perf_event open;"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("self:capability2"), "{}", ended.stdout);
}

/// Explains a log, and looks for phrases in the answer.
fn explains(log: &str, says: &[&str], never: &[&str]) {
    let ended = with_input(&["explain", "-"], log);
    ended.succeeds();
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for phrase in says {
        assert!(text.contains(phrase), "{phrase}\n{}", ended.stdout);
    }
    for phrase in never {
        assert!(!text.contains(phrase), "{phrase}\n{}", ended.stdout);
    }
}

#[rstest]
#[case("allow.cil", &[])]
#[case("allow.te", &["--te"])]
fn a_module_is_the_golden_one(#[case] name: &str, #[case] options: &[&str]) {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    let ended = place.perfsec(&[&["allow", "run.jsonl"], options].concat());
    ended.succeeds();
    golden(name, &ended.stdout);
}

#[test]
fn the_module_of_a_log_is_only_about_perf_and_injects_nothing() {
    let place = Place::new();
    place.file(
        "audit.log",
        &[LOG, &record("open))(allow_all", "perf_event", 0), &record("open 0x40", "perf_event", 0)]
            .concat(),
    );
    let ended = place.perfsec(&["allow", "audit.log", "--out", "mine.cil"]);
    ended.succeeds();
    let module = fs::read_to_string(place.path().join("mine.cil")).expect("the module");
    let rules: Vec<_> =
        module.lines().filter(|line| !line.starts_with(';') && !line.is_empty()).collect();
    assert_eq!(
        rules,
        [
            "(allow user_t self (capability2 (perfmon)))",
            "(allow user_t self (perf_event (cpu kernel open)))",
        ]
    );
    assert!(module.contains("; Not allowed: the policy has no name"), "{module}");
}

#[rstest]
#[case::no_file(&["allow", "gone.jsonl"], 2, "cannot read gone.jsonl")]
#[case::cells_of_a_log(&["allow", "audit.log", "open/*"], 2, "are for run records")]
#[case::verify_of_a_log(&["allow", "audit.log", "--verify"], 2, "are for run records")]
#[case::nothing_denied(&["allow", "run.jsonl", "open/cpu/all_t"], 4, "nothing was denied")]
#[case::no_such_domain(&["allow", "run.jsonl", "--domain", "nobody_t"], 4, "nothing was denied")]
#[case::no_cell(&["allow", "run.jsonl", "nosuch*"], 4, "the filter selects no cell")]
#[case::no_glob(&["allow", "run.jsonl", "[a"], 2, "is not a glob")]
#[case::name(&["allow", "run.jsonl", "--out", "9 lives.cil"], 2, "is not a module name")]
#[case::unwritable(
    &["allow", "run.jsonl", "--out", "no/such/m.cil"],
    5,
    "cannot write no/such/m.cil"
)]
#[case::damaged(&["allow", "damaged.jsonl"], 2, "line 2 is not an event")]
#[case::half(&["allow", "half.log"], 2, "no complete AVC record")]
#[case::policy(
    &["allow", "run.jsonl", "--verify", "--policy", "other"],
    2,
    "the run has the policies minimal"
)]
fn bad_input_has_one_error(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &str) {
    let place = Place::new();
    place.file("run.jsonl", RECORD);
    place.file("audit.log", LOG);
    let first = RECORD.lines().next().expect("a first line");
    place.file("damaged.jsonl", &format!("{first}\n\0\n{first}\n"));
    place.file("half.log", &record("open", "perf_event", 0)[..90]);
    place.perfsec(arguments).fails(code, words);
}

/// Runs cells of `none_t` under a policy, then verifies a module from those in permissive mode.
fn verify(policy: &str) -> Ended {
    let place = Place::new();
    let constrained =
        format!("{}\n(mlsconstrain (perf_event (cpu)) (neq t1 none_t))\n", support::minimal());
    place.file("constrained.cil", &constrained);
    let kernel = kernel();
    let run = ["run", "open/cpu-kernel", "open/self-user", "--kernel", &kernel, "--policy", policy];
    let ran = place.perfsec(&[run.as_slice(), &["--out", "run.jsonl"]].concat());
    assert!(matches!(ran.code, Some(0 | 1)), "{}{}", ran.stdout, ran.stderr);
    let allow = ["allow", "run.jsonl", "*/none_t/*", "--mode", "permissive", "--domain", "none_t"];
    place.perfsec(&[allow.as_slice(), &["--out", "mine.cil", "--verify"]].concat())
}

#[test]
#[ignore = "needs qemu-system-x86_64, secilc and PERFSEC_TEST_KERNEL"]
fn a_module_from_permissive_mode_suffices_in_enforcing_mode() {
    let ended = verify("minimal");
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains(" 0 still there"), "{}", ended.stdout);
    assert!(ended.stdout.contains("; 0 cells outside the module's scope"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("FAIL"), "{}", ended.stderr);
}

#[test]
#[ignore = "needs qemu-system-x86_64, secilc and PERFSEC_TEST_KERNEL"]
fn a_denial_that_no_rule_can_allow_fails_the_verification() {
    let ended = verify("constrained.cil");
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("still denied: none_t self:perf_event { cpu }"),
        "{}",
        ended.stdout
    );
}

#[rstest]
#[case::refused(&["--elsewhere", "--user", "--", "perf", "stat", "-a"], "perf_allow_kernel()")]
#[case::allowed(&["--elsewhere", "--root", "--", "perf", "stat", "-a"], "nothing refuses")]
#[case::not_a_refusal(
    &["--elsewhere", "--errno", "ENOENT", "--", "perf", "stat", "ls"],
    "ENOENT is not a refusal"
)]
#[case::without_events(&["--elsewhere", "--", "perf", "report"], "only reads a file")]
#[case::capabilities(
    &["--elsewhere", "--cap", "bpf", "--cap", "perfmon", "--", "bpftool", "prog", "load"],
    "nothing refuses"
)]
#[case::container(
    &["--elsewhere", "--container", "docker:20.10", "--cap", "perfmon", "--", "perf", "stat", "ls"],
    "a seccomp filter"
)]
#[case::user_namespace(
    &["--elsewhere", "--root", "--userns", "--", "perf", "stat", "-a"],
    "initial user namespace"
)]
#[case::bounding(
    &["--elsewhere", "--user", "--cap", "perfmon", "--bounding", "none", "--", "perf", "top"],
    "execve() fails with EPERM"
)]
#[case::lockdown(
    &["--elsewhere", "--root", "--lockdown", "confidentiality", "--", "perf", "probe", "x"],
    "No privilege lifts"
)]
#[case::nosuid(
    &["--elsewhere", "--user", "--cap", "perfmon", "--nosuid", "--", "perf", "stat", "-a"],
    "mounted nosuid"
)]
#[case::level(
    &["--elsewhere", "--user", "--paranoid", "-1", "--", "perf", "stat", "-a"],
    "nothing refuses"
)]
#[case::here(&["--", "perf", "stat", "-a"], "Facts:")]
fn an_answer_says_what_refuses(#[case] arguments: &[&str], #[case] words: &str) {
    let ended = Place::new().perfsec(&[&["why"], arguments].concat());
    ended.succeeds();
    assert!(ended.stdout.contains(words), "{}", ended.stdout);
    let wide = |line: &&str| line.chars().count() > 78 && !line.contains("/proc/");
    assert_eq!(ended.stdout.lines().find(wide), None);
}

#[rstest]
#[case::no_such_subcommand(&["--elsewhere", "--", "perf", "recrod"], 2, "did you mean `record`?")]
#[case::no_such_runtime(&["--container", "dockr", "--", "perf", "stat"], 2, "`docker`")]
#[case::no_such_capability(&["--cap", "perfmom", "--", "perf", "stat"], 2, "`perfmon`")]
#[case::no_such_errno(&["--errno", "EACCESS", "--", "perf", "stat"], 2, "`EACCES`")]
#[case::another_program(&["--elsewhere", "--", "emacs"], 4, "it is not perf")]
fn a_mistake_has_its_exit_code(#[case] arguments: &[&str], #[case] code: i32, #[case] words: &str) {
    Place::new().perfsec(&[&["why"], arguments].concat()).fails(code, words);
}

#[test]
fn a_program_that_uses_ptrace_is_not_about_perf() {
    let ended = Place::new().perfsec(&["why", "--elsewhere", "--", "strace", "ls"]);
    assert_eq!(ended.code, Some(4), "{}", ended.stdout);
    assert!(ended.stdout.contains("ptrace(2)"), "{}", ended.stdout);
}

#[test]
fn json_has_the_answer_and_fits_its_schema() {
    let place = Place::new();
    let schema = place.perfsec(&["schema", "why"]);
    schema.succeeds();
    let schema: Value = serde_json::from_str(&schema.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for command in [&["perf", "stat", "-a"][..], &["perf", "trace"], &["strace", "ls"]] {
        let options =
            ["why", "--elsewhere", "--user", "--errno", "EACCES", "--format", "json", "--"];
        let ended = place.perfsec(&[&options, command].concat());
        let answer: Value = serde_json::from_str(&ended.stdout).unwrap();
        let errors: Vec<_> = validator.iter_errors(&answer).map(|it| it.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(answer["format"], 1);
        if command[0] == "perf" {
            assert_eq!(answer["verdict"], "refused");
            assert!(answer["remedies"].as_array().is_some_and(|all| !all.is_empty()));
        }
    }
}
