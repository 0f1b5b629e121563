//! Patterns that recognise the kernel's reports, as data.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;

/// The kind of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// A panic: the kernel stopped.
    Panic,
    /// The kernel restarted without a report.
    Reboot,
    /// A fault in kernel mode: bad memory access, bad instruction, division by zero.
    Oops,
    /// `BUG()`, or another check that prints BUG.
    Bug,
    /// `WARN()`.
    Warning,
    /// A report of lockdep, of RCU's checks, or of a sleep in atomic context.
    Lockdep,
    /// A bad memory access found by KASAN.
    Kasan,
    /// A bad memory access found by KFENCE.
    Kfence,
    /// A use of uninitialised memory found by KMSAN.
    Kmsan,
    /// A data race found by KCSAN.
    Kcsan,
    /// Undefined behaviour found by UBSAN.
    Ubsan,
    /// RCU waited too long for a CPU or a task.
    RcuStall,
    /// A CPU did not schedule.
    SoftLockup,
    /// A CPU did not take interrupts.
    HardLockup,
    /// A task slept uninterruptibly for too long.
    HungTask,
    /// The OOM killer killed a process.
    OutOfMemory,
}

impl ReportKind {
    const NAMES: [(Self, &str); 16] = [
        (Self::Panic, "panic"),
        (Self::Reboot, "reboot"),
        (Self::Oops, "oops"),
        (Self::Bug, "bug"),
        (Self::Warning, "warning"),
        (Self::Lockdep, "lockdep"),
        (Self::Kasan, "kasan"),
        (Self::Kfence, "kfence"),
        (Self::Kmsan, "kmsan"),
        (Self::Kcsan, "kcsan"),
        (Self::Ubsan, "ubsan"),
        (Self::RcuStall, "rcu-stall"),
        (Self::SoftLockup, "soft-lockup"),
        (Self::HardLockup, "hard-lockup"),
        (Self::HungTask, "hung-task"),
        (Self::OutOfMemory, "out-of-memory"),
    ];
}

impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(kind, _)| kind == self);
        f.write_str(name.expect("every kind has a name").1)
    }
}

/// A name that no kind has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of kernel report `{0}`")]
pub struct UnknownKind(String);

impl FromStr for ReportKind {
    type Err = UnknownKind;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == s);
        found.map(|(kind, _)| *kind).ok_or_else(|| UnknownKind(s.to_owned()))
    }
}

/// The first line of one kind of report.
pub(super) struct Pattern {
    pub(super) kind: ReportKind,
    /// Matched at the start of a message.
    pub(super) start: Regex,
    /// The title. `$1` is what the pattern captured, `$function` the function at the instruction
    /// pointer, from the lines that follow.
    pub(super) title: &'static str,
}

/// The first match counts. Titles leave out what varies (addresses, process ids, seconds), so that
/// the same bug has the same title in every run.
const TABLE: &[(ReportKind, &str, &str)] = &[
    // kernel/panic.c
    (ReportKind::Panic, r"Kernel panic - not syncing: (.+)", "kernel panic: $1"),
    (
        ReportKind::Panic,
        r"(?:traps: )?PANIC: double fault",
        "kernel panic: double fault in $function",
    ),
    // mm/kasan/report.c, mm/kfence/report.c, mm/kmsan/report.c, kernel/kcsan/report.c
    (ReportKind::Kasan, r"BUG: KASAN: (\S+) in ([^\s+]+)", "KASAN: $1 in $2"),
    (ReportKind::Kfence, r"BUG: KFENCE: (.+) in ([^\s+]+)", "KFENCE: $1 in $2"),
    (ReportKind::Kmsan, r"BUG: KMSAN: (\S+) in ([^\s+]+)", "KMSAN: $1 in $2"),
    (ReportKind::Kcsan, r"BUG: KCSAN: (\S+) in ([^\s+]+)", "KCSAN: $1 in $2"),
    // lib/ubsan.c
    (ReportKind::Ubsan, r"UBSAN: (\S+) in (\S+?:\d+)", "UBSAN: $1 in $2"),
    // kernel/watchdog.c; kernel/watchdog_perf.c
    (
        ReportKind::SoftLockup,
        r"(?:watchdog: )?BUG: soft lockup - CPU#\d+ stuck for \d+s! \[([^:\]]+)",
        "soft lockup of $1 in $function",
    ),
    (
        ReportKind::HardLockup,
        r"(?:NMI watchdog: |watchdog: )?(?:CPU\d+: )?Watchdog detected hard LOCKUP on cpu",
        "hard lockup in $function",
    ),
    // kernel/rcu/tree_stall.h and tree_exp.h
    (
        ReportKind::RcuStall,
        r"(?:rcu: )?INFO: (rcu\w*) (?:detected |self-detected )(expedited )?stalls? on CPU",
        "$1: ${2}stall in $function",
    ),
    // kernel/hung_task.c
    (
        ReportKind::HungTask,
        concat!(
            r"INFO: task (\S+):\d+ (?:is )?blocked ",
            r"(?:on [^.]+? |in I/O wait )?for more than \d+ seconds",
        ),
        "task $1 hangs",
    ),
    // kernel/locking/lockdep.c, kernel/rcu/update.c, kernel/sched/core.c
    (
        ReportKind::Lockdep,
        r"WARNING: (possible .+|inconsistent lock state|bad unlock balance)\b.*",
        "$1",
    ),
    (
        ReportKind::Lockdep,
        concat!(
            r"WARNING: ((?:suspicious RCU usage|lock held when returning|bad contention|",
            r"held lock freed|Nested lock|.*(?:deadlock|lock dependency|lock order)).*)",
        ),
        "$1",
    ),
    (ReportKind::Lockdep, r"\[ BUG: (.+?)!? \]", "$1"),
    (ReportKind::Lockdep, r"INFO: (trying to register non-static key)", "$1"),
    (ReportKind::Lockdep, r"BUG: (sleeping function called from invalid context at \S+)", "$1"),
    (ReportKind::Lockdep, r"BUG: (scheduling while atomic): ([^/]+)", "$1: $2"),
    // lib/bug.c; the second form since 6.19
    (ReportKind::Warning, r"WARNING: CPU: \d+ PID: \d+ at \S+ ([^\s+]+)\+0x", "WARNING in $1"),
    (ReportKind::Warning, r"WARNING: \S+:\d+ at ([^\s+]+)\+0x", "WARNING in $1"),
    (ReportKind::Warning, r"WARNING: CPU: \d+ PID: \d+ at (\S+)", "WARNING at $1"),
    (ReportKind::Bug, r"kernel BUG at (\S+?:\d+)!", "kernel BUG at $1"),
    // arch/x86/mm/fault.c, arch/x86/kernel/traps.c and dumpstack.c
    (
        ReportKind::Oops,
        concat!(
            r"BUG: (?:kernel )?",
            r"(NULL pointer dereference|stack guard page was hit|TASK stack guard page was hit)",
        ),
        "$1 in $function",
    ),
    (
        ReportKind::Oops,
        r"BUG: (IRQ stack guard page was hit|\S+ stack guard page was hit)",
        "$1 in $function",
    ),
    (
        ReportKind::Oops,
        r"BUG: unable to handle (?:kernel )?(page fault|paging request|NULL pointer dereference)",
        "$1 in $function",
    ),
    (
        ReportKind::Oops,
        concat!(
            r"(?:traps: )?(?:Oops: )?",
            r"(general protection fault|invalid opcode|divide error|double fault|int3|",
            r"stack segment|alignment check|control protection fault|coprocessor fault)",
            r"\b.*\[#\d+\]",
        ),
        "$1 in $function",
    ),
    (ReportKind::Oops, r"Oops: (?:Oops: )?[0-9a-f]{4} \[#\d+\]", "oops in $function"),
    // All other lines with BUG: mm/page_alloc.c, lib/spinlock_debug.c, ...
    (ReportKind::Bug, r"BUG: (?:workqueue lockup)", "workqueue lockup"),
    (ReportKind::Bug, r"BUG: Bad (page state|page map|rss-counter state|page cache)", "bad $1"),
    (ReportKind::Bug, r"BUG: (.+?)(?:,|:| in process| on CPU|$)", "BUG: $1"),
    // mm/oom_kill.c
    (
        ReportKind::OutOfMemory,
        r"(?:Memory cgroup out|Out) of memory: Killed process \d+ \(([^)]+)\)",
        "out of memory: $1 killed",
    ),
];

pub(super) static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let compile = |&(kind, start, title): &(ReportKind, &str, &'static str)| Pattern {
        kind,
        start: Regex::new(&format!("^(?:{start})")).expect("a test compiles every pattern"),
        title,
    };
    TABLE.iter().map(compile).collect()
});

/// The first line of a kernel log: linux_banner (init/version.c).
pub(super) const BANNER: &str = "Linux version ";

/// True for the last line of a report.
pub(super) fn is_last_line(text: &str) -> bool {
    const LAST: [&str; 4] =
        ["---[ end trace", "---[ end Kernel panic", "Kernel Offset:", "Rebooting in "];
    LAST.iter().any(|last| text.starts_with(last))
}

/// The function in `RIP: 0010:perf_event_open+0x12/0x340`.
pub(super) fn function(text: &str) -> Option<&str> {
    let (_, location) = text.strip_prefix("RIP: ")?.split_once(':')?;
    let (function, _) = location.split_once("+0x")?;
    Some(function)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::reports;
    use super::*;

    #[test]
    fn every_pattern_compiles_and_the_name_of_every_kind_parses() {
        assert_eq!(PATTERNS.len(), TABLE.len());
        for (kind, name) in ReportKind::NAMES {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(kind.to_string(), name);
        }
        assert!("panik".parse::<ReportKind>().is_err());
    }

    /// First lines as in the kernel's source. Reports that a stock kernel can be made to print are
    /// in tests/console/, from real consoles.
    #[rstest]
    // print_error_description() of mm/kasan/report.c
    #[case(
        "BUG: KASAN: slab-out-of-bounds in perf_read+0x1a2/0x340",
        ReportKind::Kasan,
        "KASAN: slab-out-of-bounds in perf_read"
    )]
    // kfence_report_error() of mm/kfence/report.c
    #[case(
        "BUG: KFENCE: use-after-free read in perf_release+0x12/0x20",
        ReportKind::Kfence,
        "KFENCE: use-after-free read in perf_release"
    )]
    // kmsan_report() of mm/kmsan/report.c
    #[case(
        "BUG: KMSAN: uninit-value in perf_copy_attr+0x12/0x20",
        ReportKind::Kmsan,
        "KMSAN: uninit-value in perf_copy_attr"
    )]
    // print_report() of kernel/kcsan/report.c
    #[case(
        "BUG: KCSAN: data-race in perf_poll / perf_mmap",
        ReportKind::Kcsan,
        "KCSAN: data-race in perf_poll"
    )]
    // ubsan_prologue() of lib/ubsan.c
    #[case(
        "UBSAN: array-index-out-of-bounds in kernel/events/core.c:123:4",
        ReportKind::Ubsan,
        "UBSAN: array-index-out-of-bounds in kernel/events/core.c:123"
    )]
    // kernel/locking/lockdep.c
    #[case(
        "WARNING: possible circular locking dependency detected",
        ReportKind::Lockdep,
        "possible circular locking dependency detected"
    )]
    #[case(
        "WARNING: possible recursive locking detected",
        ReportKind::Lockdep,
        "possible recursive locking detected"
    )]
    #[case("WARNING: inconsistent lock state", ReportKind::Lockdep, "inconsistent lock state")]
    #[case("WARNING: held lock freed!", ReportKind::Lockdep, "held lock freed!")]
    #[case("[ BUG: Invalid wait context ]", ReportKind::Lockdep, "Invalid wait context")]
    #[case(
        "INFO: trying to register non-static key.",
        ReportKind::Lockdep,
        "trying to register non-static key"
    )]
    // lockdep_rcu_suspicious()
    #[case("WARNING: suspicious RCU usage", ReportKind::Lockdep, "suspicious RCU usage")]
    // __might_resched() of kernel/sched/core.c
    #[case(
        "BUG: sleeping function called from invalid context at mm/slab.h:1",
        ReportKind::Lockdep,
        "sleeping function called from invalid context at mm/slab.h:1"
    )]
    // watchdog_hardlockup_check() of kernel/watchdog.c
    #[case("Watchdog detected hard LOCKUP on cpu 0", ReportKind::HardLockup, "hard lockup")]
    // synchronize_rcu_expedited_stall() of kernel/rcu/tree_exp.h
    #[case(
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... } 21 jiffies",
        ReportKind::RcuStall,
        "rcu_preempt: expedited stall"
    )]
    // wq_watchdog_timer_fn() of kernel/workqueue.c
    #[case(
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 37s!",
        ReportKind::Bug,
        "workqueue lockup"
    )]
    // bad_page() of mm/page_alloc.c
    #[case("BUG: Bad page state in process init  pfn:01234", ReportKind::Bug, "bad page state")]
    // spin_dump() of lib/spinlock_debug.c
    #[case("BUG: spinlock bad magic on CPU#0, init/1", ReportKind::Bug, "BUG: spinlock bad magic")]
    // __oom_kill_process() of mm/oom_kill.c
    #[case(
        "Out of memory: Killed process 77 (probe) total-vm:1kB, anon-rss:0kB",
        ReportKind::OutOfMemory,
        "out of memory: probe killed"
    )]
    fn a_first_line_determines_kind_and_title(
        #[case] line: &str,
        #[case] kind: ReportKind,
        #[case] title: &str,
    ) {
        for console in [format!("[    1.000000] {line}\r\n"), line.to_owned()] {
            let reports = reports(&console);
            assert_eq!(reports.len(), 1, "{reports:?}");
            assert_eq!((reports[0].kind, reports[0].title.as_str()), (kind, title));
        }
    }

    #[rstest]
    #[case("audit: type=1400 audit(1.0:2): avc: denied { open } comm=\"BUG: x\"")]
    #[case("printk: legacy bootconsole [earlyser0] disabled")]
    #[case("NMI watchdog: Perf NMI watchdog permanently disabled")]
    #[case("rcu: RCU debug extended QS entry/exit.")]
    #[case("Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on")]
    #[case("The program said Kernel panic - not syncing: x")]
    #[case("---[ end Kernel panic - not syncing: x ]---")]
    fn an_ordinary_line_is_not_a_report(#[case] line: &str) {
        assert_eq!(reports(&format!("[    1.000000] {line}\n")), []);
    }
}
