//! Answers to sentences and messages, by what they must and must not say.

use rstest::rstest;

use super::words::scan;
use super::*;

fn text_of(text: &str) -> String {
    let inquiry = Inquiry::of_words(scan(text).unwrap(), Given::default()).unwrap();
    answer(inquiry).text().plain()
}

fn explained(text: &str) -> String {
    let text = text_of(text);
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each of `says` occurs, and none of `never`.
#[track_caller]
fn check(text: &str, says: &[&str], never: &[&str]) {
    let answer = explained(text);
    for words in says {
        assert!(answer.contains(words), "{words:?} is not in:\n{answer}");
    }
    for words in never {
        assert!(!answer.contains(words), "{words:?} is in:\n{answer}");
    }
}

#[rstest]
#[case::debian_by_its_release(
    "perf stat -a refused on Debian 13 though I ran setcap cap_perfmon=ep on it",
    &["fails with EACCES", "Debian's level 3", "CAP_SYS_ADMIN", "perf_event_paranoid=2`"],
    &["ignored: Debian"]
)]
#[case::ubuntu(
    "perf record -e cs -- make -j 8 as an ordinary user on Ubuntu 24.04",
    &["EACCES", "Ubuntu's level 4", "at level 2 that would succeed", "count 0",
      "perf_event_paranoid=2` gives away", "and `setcap cap_perfmon=ep"],
    &["ignored: Ubuntu"]
)]
#[case::level_four_alone(
    "perf_event_paranoid is 4, perf top as user",
    &["Ubuntu's level 4", "distribution: ubuntu (the one"],
    &[]
)]
#[case::of_a_cpu(
    "perf stat -a -e power/energy-ram/ as user, paranoid 2",
    &["EACCES", "perf_event_paranoid=0`", "`:u` does not help", "setcap cap_perfmon=ep"],
    &["1. exclude the kernel"]
)]
#[case::joined_flags(
    "perf record -F 49 -ga -- sleep 5 as user, paranoid 1",
    &["perf_allow_cpu(), called by find_get_context()", "EACCES"],
    &["ignored"]
)]
#[case::msr(
    "perf stat -C 1 -e msr/tsc/ as user, paranoid 1",
    &["EACCES", "exclude bits give EINVAL", "perf_event { kernel }"],
    &["1. exclude the kernel"]
)]
#[case::bpf(
    "a tracing BPF program with cap_bpf fails: EPERM",
    &["is_perfmon_prog_type()", "EPERM", "setcap cap_bpf,cap_perfmon=ep", "CAP_SYS_ADMIN"],
    &["cannot explain"]
)]
#[case::no_new_privs(
    "cap_perfmon=ep is set on perf, the unit has NoNewPrivileges=true, perf top is denied, level 2",
    &["silently: no_new_privs", "EACCES", "AmbientCapabilities=CAP_PERFMON", "No AVC record"],
    &["effective capabilities: perfmon"]
)]
#[case::nosuid(
    "perf on a nosuid mount with cap_perfmon=ep, perf stat -a, paranoid 2",
    &["mounted nosuid", "without nosuid", "AmbientCapabilities=CAP_PERFMON"],
    &["1. `setcap"]
)]
#[case::rootless(
    "rootless docker on Fedora: perf_event_open fails with EACCES; docker as root works",
    &["initial user namespace", "on the host", "real root", "would give EPERM"],
    &["1. start the container with", "setcap cap_"]
)]
#[case::filter_of_a_container(
    "docker run --cap-add=PERFMON and perf_event_open gets EPERM for my own thread",
    &["seccomp filter", "23.0", "SELinux (it gives EACCES here)", "SYS_ADMIN",
      "seccomp=PROFILE.json"],
    &["1. start the container with `--cap-add PERFMON`"]
)]
#[case::old_docker(
    "perf stat ls in docker 20.10 with cap_perfmon as root, EPERM",
    &["a seccomp filter", "fits this refusal", "--cap-add SYS_ADMIN"],
    &[]
)]
#[case::trace(
    "perf trace as user: EACCES",
    &["generic_permission(MAY_READ)", "perf_allow_tracepoint()", "mode=755",
      "level of 1 or below"],
    &[]
)]
#[case::uprobe(
    "a uprobe with CAP_PERFMON is refused since 6.12.39",
    &["perf_uprobe_event_init()", "EACCES", "CVE-2025-38466", "uprobe_multi"],
    &["ignored"]
)]
#[case::uprobe_before_the_fix(
    "a uprobe with CAP_PERFMON on kernel 6.12.38",
    &["nothing refuses"],
    &[]
)]
#[case::locked_memory(
    "mmap of the event's buffer gives EPERM as user, paranoid 1, on 64 CPUs",
    &["perf_event_mlock_kb", "RLIMIT_MEMLOCK", "CAP_IPC_LOCK", "perf_event_paranoid=-1`"],
    &["fd buffer"]
)]
#[case::not_a_permission(
    "perf stat -e cycles fails with ENOENT in my VM",
    &["ENOENT is not a refusal", "virtual machine", "Software events work"],
    &["setcap"]
)]
#[case::exec(
    "perf stat -a with cap_perfmon=ep, bounding set without it",
    &["execve() fails with EPERM", "leave CAP_PERFMON in the bounding set"],
    &[]
)]
#[case::unknown_distribution(
    "perf stat -a as user on Slackware, paranoid 2",
    &["knows nothing about kernels of slackware"],
    &[]
)]
#[case::unknown_words(
    "my colleague frobnicates perf stat -a as user, paranoid 2, quuxly",
    &["ignored: colleague frobnicates quuxly", "fails with EACCES"],
    &[]
)]
#[case::lockdown(
    "perf record -e kprobe with cap_perfmon under lockdown confidentiality",
    &["fails with EPERM", "No privilege lifts this", "No change that perfsec knows"],
    &[]
)]
#[case::rules(
    "perf stat -a with cap_perfmon in staff_t, paranoid 2",
    &["allow staff_t self:perf_event { cpu kernel open read };",
      "allow staff_t self:capability2 perfmon;"],
    &[]
)]
#[case::permitted_only(
    "perf stat -a with cap_perfmon=p",
    &["without the effective bit", "setcap cap_perfmon=ep"],
    &[]
)]
#[case::another_program(
    "strace says ptrace: EPERM",
    &["This is not about perf", "ptrace(2)"],
    &[]
)]
#[case::several_tools(
    "bpftrace -e 'kprobe:do_exit { }' as user",
    &["runs only as root", "map_create()"],
    &[]
)]
#[case::breakpoint(
    "perf record -a -e mem:0xffffffff81000000:w with cap_perfmon, paranoid -1: EPERM",
    &["hw_breakpoint_parse()", "cap_perfmon,cap_sys_admin=ep", "fits this refusal"],
    &["1. exclude the kernel"]
)]
#[case::kubernetes(
    "a pod in kubernetes 1.30 with PERFMON added, perf record -g -p 1 gets EACCES, paranoid 4",
    &["Ubuntu's level 4", "on the host", "seccompProfile"],
    &["ignored: PERFMON"]
)]
#[case::another_user(
    "perf stat -p 77 of another user's process as user, paranoid 0: EACCES",
    &["perf_check_permission()", "ptrace access", "setcap cap_perfmon=ep"],
    &[]
)]
#[case::domain(
    "perf record -a as root in httpd_t, enforcing, is denied with EACCES on RHEL 9",
    &["EACCES here comes from: SELinux", "allow httpd_t self:perf_event { cpu kernel open"],
    &[]
)]
#[case::kvm("perf kvm stat record as user, paranoid 1", &["tracefs", "EACCES"], &["ignored"])]
#[case::c2c(
    "perf c2c record ls as user, paranoid 2",
    &["physical addresses", "refuses that too"],
    &[]
)]
fn a_sentence_has_its_answer(#[case] text: &str, #[case] says: &[&str], #[case] never: &[&str]) {
    check(text, says, never);
}

/// perf's message, with the level.
fn limited(level: i32) -> String {
    format!(
        "Error:\nAccess to performance monitoring and observability operations is limited.\n\
         Consider adjusting /proc/sys/kernel/perf_event_paranoid setting to open\n\
         access to performance monitoring and observability operations for processes\n\
         without CAP_PERFMON, CAP_SYS_PTRACE or CAP_SYS_ADMIN Linux capability.\n\
         perf_event_paranoid setting is {level}:\n\
         \x20 -1: Allow use of (almost) all events by all users\n\
         \x20     Ignore mlock limit after perf_event_mlock_kb without CAP_IPC_LOCK\n\
         >= 0: Disallow raw and ftrace function tracepoint access\n\
         >= 1: Disallow CPU event access\n>= 2: Disallow kernel profiling\n\
         To make the adjusted perf_event_paranoid setting permanent preserve it\n\
         in /etc/sysctl.conf (e.g. kernel.perf_event_paranoid = <setting>)\n"
    )
}

#[rstest]
#[case(2, &["EACCES", "perf_allow_kernel()", "perf_event_paranoid=1`"])]
#[case(3, &["Debian's level 3", "perf_event_paranoid=2` gives away", "and `setcap cap_perfmon=ep FILE`",
    "means the same as 2"])]
#[case(4, &["Ubuntu's level 4", "perf_event_paranoid=2` gives away", "and `setcap cap_perfmon=ep FILE`",
    "ends at 2"])]
fn the_message_of_perf_is_explained_with_its_level(#[case] level: i32, #[case] says: &[&str]) {
    check(
        &limited(level),
        &[says, &["perf's message for EACCES and EPERM"]].concat(),
        &["ignored"],
    );
}

#[rstest]
#[case::not_supported(
    " Performance counter stats for 'true':\n\n   0.90 msec task-clock\n   <not supported>  cycles\n",
    &["ENOENT", "virtual machine", "No capability, level or SELinux rule changes that"]
)]
#[case::not_counted("<not counted> instructions", &["never scheduled"])]
#[case::kptr(
    "WARNING: Kernel address maps (/proc/{kallsyms,modules}) are restricted,\n\
     check /proc/sys/kernel/kptr_restrict before running 'perf record'. kptr_restrict is 1",
    &["only to CAP_SYSLOG", "Events open all the same"]
)]
#[case::software_event(
    "PerfEvents: Failed to open perf event (event_type=1, event_config=2): 'errno: 1, strerror: \
     Operation not permitted'",
    &["software/page-faults", "EPERM", "seccomp filter", "--cap-add PERFMON"]
)]
#[case::strace(
    "perf_event_open({type=PERF_TYPE_SOFTWARE, size=0x88, config=PERF_COUNT_SW_CPU_CLOCK, \
     exclude_kernel=1}, -1, 0, -1, PERF_FLAG_FD_CLOEXEC) = -1 EACCES (Permission denied)",
    &["exclude_kernel", "pid=-1", "perf_allow_cpu()", "fits this refusal"]
)]
#[case::libbpf(
    "libbpf: prog 'handle_exec': BPF program load failed: Operation not permitted",
    &["EPERM", "map_create()", "cap_bpf,cap_perfmon=ep"]
)]
#[case::rr(
    "[FATAL src/PerfCounters.cc:317] rr needs /proc/sys/kernel/perf_event_paranoid <= 1, but it is 2.",
    &["context switches", "perf_event_paranoid=1`"]
)]
#[case::bpftrace("ERROR: bpftrace currently only supports running as the root user.", &["root"])]
#[case::libbpf_attaches(
    "libbpf: prog 'x': failed to create kprobe 'y+0x0' perf event: Permission denied\n\
     libbpf: prog 'x': failed to auto-attach: -13",
    &["perf_kprobe_event_init()", "EACCES, fits this refusal"]
)]
#[case::bpftrace_attaches(
    "ERROR: Error attaching probe: 'kprobe:vfs_read', as root in docker 24",
    &["attaching", "docker 24"]
)]
#[case::rr_opens(
    "[FATAL ./src/PerfCounters.cc:784:start_counter() errno: EACCES] Failed to initialize counter",
    &["context switches", "EACCES"]
)]
#[case::exec_of_strace(
    "execve(\"/usr/bin/perf\", [\"perf\"], 0x7ffd) = -1 EPERM (Operation not permitted)",
    &["bounding set"]
)]
#[case::async_profiler(
    "[ERROR] No access to perf events. Try --all-user or 'sysctl kernel.perf_event_paranoid=1'",
    &["perf_event_open() fails with EACCES", "perf_event_paranoid=1`"]
)]
#[case::older_perf(
    "No permission to enable cycles event.\n\nYou may not have permission to collect stats.\n\n\
     The current value is 3:\n",
    &["Debian's level 3", "perf_event_paranoid=2`"]
)]
#[case::setcap(
    "fatal error: Invalid argument",
    &["libcap before 2.44", "refused nothing"]
)]
#[case::ambient(
    "perf.service: Failed to apply ambient capabilities (before UID change): Operation not permitted",
    &["CapabilityBoundingSet=", "perf was never started"]
)]
#[case::exec("bash: /opt/bin/perf: Operation not permitted", &["bounding set", "EPERM"])]
#[case::mapping(
    "Permission error mapping pages.\nConsider increasing \
     /proc/sys/kernel/perf_event_mlock_kb,\nor try again with a smaller value of -m/--mmap_pages.",
    &["perf_event_mlock_kb", "smaller buffer"]
)]
#[case::colour(
    "\u{1b}[31mError:\u{1b}[0m\nNo permission to enable cycles event.",
    &["perf's message for EACCES and EPERM"]
)]
fn a_message_of_a_tool_is_explained(#[case] text: &str, #[case] says: &[&str]) {
    check(text, says, &[]);
}

#[rstest]
#[case("")]
#[case("hello world")]
#[case("nginx: bind() failed (98: Address already in use)")]
fn a_text_about_something_else_does_not_concern_perf(#[case] text: &str) {
    let found = scan(text).unwrap();
    assert!(!found.concerns_perf && found.command.is_none(), "{found:?}");
}

proptest::proptest! {
    #[test]
    fn hostile_words_never_panic(text in "(perf |cap_|paranoid |-p |docker:|=)?.{0,80}") {
        let _ = text_of(&text);
    }
}
