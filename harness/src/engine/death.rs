//! Finds the cause of a machine's death.

use crate::console::{self, Report, ReportKind};
use crate::judge::Verdict;
use crate::machines::{Blame, End, Incidents, clauses};

/// The cause of a death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// One line for people.
    pub(super) title: String,
    /// The last words of a machine that failed; often empty.
    pub(super) said: String,
    /// The verdict of the cell that ran.
    pub(super) verdict: Verdict,
    pub(super) blame: Blame,
}

/// The reason why perfsec killed a guest, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It made no progress.
    Overdue(String),
    /// Its agent sent something that cannot be, or said that it cannot go on.
    Nonsense(String),
    /// Its agent could not be reached, as a rule because the machine was ending by itself.
    Unreachable(String),
}

/// The phase in which a guest died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It was not ready for cells.
    Booting,
    /// It ran a cell.
    Cell,
    /// It waited for cells, was between two, or was about to end.
    Between,
}

/// The last words of an agent that found something else than orders in its channel.
const AGENT_GAVE_UP: &str = "perfsec: the channel failed: ";

/// The title of a reboot that nothing explains.
const REBOOTED: &str = "the kernel rebooted without a message";

/// Reads the console first: the kernel's own report says more than how the machine ended.
/// `recent` is the console since the last order.
///
/// A kernel's warning, and what it printed before the guest had the cell, do not explain why a
/// machine failed or an agent spoke nonsense.
pub(super) fn cause(
    moment: Moment,
    console: &str,
    recent: &str,
    end: &End,
    reason: Option<&Reason>,
) -> Cause {
    let by_kernel = |title: String, verdict| Cause {
        title,
        said: String::new(),
        verdict,
        blame: Blame::Kernel,
    };
    let by_machine = |title: String, said: &str| Cause {
        title,
        said: said.to_owned(),
        verdict: Verdict::Error,
        blame: Blame::Machine,
    };
    let strange = matches!(end, End::Crashed { .. }) || matches!(reason, Some(Reason::Nonsense(_)));
    let reports = match (strange, moment) {
        (false, _) => console::reports(console),
        (true, Moment::Cell) => console::reports(recent),
        (true, Moment::Booting | Moment::Between) => {
            let panic = |report: &Report| report.kind == ReportKind::Panic;
            console::reports(recent).into_iter().filter(panic).collect()
        }
    };
    // A panic names the consequence; a report before it names the fault.
    let report = reports.iter().find(|report| report.kind != ReportKind::Panic).or(reports.first());
    if let Some(report) = report {
        return by_kernel(report.title.clone(), Verdict::Fail);
    }
    match (reason, end) {
        // The machine may have ended before it was killed.
        (_, End::Crashed { detail, said }) => by_machine(detail.clone(), said),
        (Some(Reason::Overdue(waited)), _) => {
            by_kernel(format!("no progress: {waited}"), Verdict::Error)
        }
        (Some(Reason::Nonsense(words)), _) => by_machine(words.clone(), ""),
        (_, End::Rebooted) => by_kernel(REBOOTED.to_owned(), Verdict::Fail),
        (_, End::PoweredOff) => {
            match recent.lines().find_map(|line| line.split_once(AGENT_GAVE_UP)) {
                Some((_, why)) => by_machine("the agent could not read its orders".to_owned(), why),
                None => by_kernel(
                    "the guest powered off before it had run its cells".to_owned(),
                    Verdict::Error,
                ),
            }
        }
        (Some(Reason::Unreachable(words)), End::Killed) => by_machine(words.clone(), ""),
        (None, End::Killed) => by_machine("the machine was killed".to_owned(), ""),
    }
}

impl Cause {
    /// The cause of the death of a machine that is not perfsec's, and that was rebooted.
    pub(super) fn of_reboot(self) -> Self {
        let title = match self.verdict {
            Verdict::Fail if self.title != REBOOTED => {
                format!("the machine rebooted, and left `{}`", self.title)
            }
            _ => "the machine rebooted".to_owned(),
        };
        Self { title, verdict: Verdict::Miss, blame: Blame::Machine, ..self }
    }

    /// The cause of the death of a kernel on a real machine: nobody knows that the cell would have
    /// killed it on another. The kernel is blamed for what it reports and for a hang that it shows;
    /// not for a reset, which may be the firmware's or the power's.
    pub(super) fn on_metal(self, end: &End, reason: Option<&Reason>) -> Self {
        if self.verdict == Verdict::Fail && self.title == REBOOTED {
            return self.of_reboot();
        }
        match (end, reason) {
            (End::Rebooted, _) if self.verdict != Verdict::Fail => self.of_reboot(),
            (_, Some(Reason::Overdue(_))) => Self { verdict: Verdict::Miss, ..self },
            _ if self.verdict == Verdict::Fail => Self { verdict: Verdict::Miss, ..self },
            _ => self,
        }
    }

    /// The cause and the moment, in one line.
    pub(super) fn sentence(&self, moment: Moment) -> String {
        let when = match moment {
            Moment::Booting => "while the kernel booted",
            Moment::Cell => "while this cell ran",
            Moment::Between => "while no cell ran",
        };
        clauses([&format!("{} {when}", self.title), &self.said])
    }

    /// The cause for the record, which names the cell that ran.
    pub(super) fn line(&self, moment: Moment) -> String {
        match (self.blame, moment) {
            // A kernel's report has the same title whenever it comes.
            (Blame::Kernel, _) | (_, Moment::Cell) => self.title.clone(),
            (Blame::Machine | Blame::Host, _) => {
                Self { said: String::new(), ..self.clone() }.sentence(moment)
            }
        }
    }
}

impl Moment {
    /// The console since the last order.
    pub(super) fn recent(self, incidents: &Incidents, order: u64) -> String {
        match self {
            Self::Booting => incidents.console(),
            Self::Cell | Self::Between => incidents.console_since(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const WARNING: &str = "[    1.000000] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 early+0x1/0x2\r\n";
    const PANIC: &str = "[    5.000000] Kernel panic - not syncing: Fatal exception\r\n";
    const LOCKUP: &str =
        "[   28.000000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [subject:97]\r\n";
    const GAVE_UP: &str = "perfsec: the channel failed: a frame does not decode\r\n";

    fn crashed(said: &str) -> End {
        let detail = "QEMU was killed by a signal (9, SIGKILL)".to_owned();
        End::Crashed { detail, said: said.to_owned() }
    }

    fn overdue() -> Option<Reason> {
        Some(Reason::Overdue("no message came for 60 s, the silence limit".to_owned()))
    }

    fn nonsense() -> Option<Reason> {
        Some(Reason::Nonsense("the agent sent nonsense".to_owned()))
    }

    #[rstest]
    #[case::panic(Moment::Cell, "", PANIC, End::Rebooted, None, "kernel panic: Fatal exception")]
    #[case::fault_before_a_panic(
        Moment::Cell, "", &[WARNING, PANIC].concat(), End::Rebooted, None, "WARNING in early")]
    #[case::reboot(
        Moment::Cell,
        "",
        "",
        End::Rebooted,
        None,
        "the kernel rebooted without a message"
    )]
    #[case::a_hang_that_says_so(
        Moment::Cell,
        "",
        LOCKUP,
        End::Killed,
        overdue(),
        "soft lockup of subject"
    )]
    #[case::a_hang_after_a_report_of_the_boot(
        Moment::Cell,
        WARNING,
        "",
        End::Killed,
        overdue(),
        "WARNING in early"
    )]
    #[case::a_report_explains_nonsense(
        Moment::Cell,
        "",
        WARNING,
        End::Killed,
        nonsense(),
        "WARNING in early"
    )]
    #[case::a_panic_and_a_crash(
        Moment::Between,
        "",
        PANIC,
        crashed(""),
        None,
        "kernel panic: Fatal exception"
    )]
    #[case::did_not_come_up(
        Moment::Booting,
        "",
        PANIC,
        End::Killed,
        overdue(),
        "kernel panic: Fatal exception"
    )]
    fn the_kernel_is_blamed_for_what_it_reports(
        #[case] moment: Moment,
        #[case] boot: &str,
        #[case] recent: &str,
        #[case] end: End,
        #[case] reason: Option<Reason>,
        #[case] title: &str,
    ) {
        let console = format!("{boot}{recent}");
        let cause = cause(moment, &console, recent, &end, reason.as_ref());
        assert_eq!(cause.title, title);
        assert_eq!((cause.verdict, cause.blame), (Verdict::Fail, Blame::Kernel));
    }

    #[rstest]
    #[case::silent_hang(
        Moment::Cell,
        "",
        "",
        End::Killed,
        overdue(),
        Blame::Kernel,
        "no progress: no message came for 60 s, the silence limit while this cell ran"
    )]
    #[case::power_off(
        Moment::Cell,
        "",
        "",
        End::PoweredOff,
        None,
        Blame::Kernel,
        "the guest powered off before it had run its cells while this cell ran"
    )]
    #[case::killed_by_the_host(
        Moment::Booting,
        "",
        "",
        crashed(""),
        None,
        Blame::Machine,
        "QEMU was killed by a signal (9, SIGKILL) while the kernel booted"
    )]
    #[case::with_words(
        Moment::Cell,
        "",
        "",
        crashed("qemu: no memory"),
        None,
        Blame::Machine,
        "QEMU was killed by a signal (9, SIGKILL) while this cell ran: qemu: no memory"
    )]
    #[case::a_warning_does_not_kill_qemu(
        Moment::Booting,
        "",
        WARNING,
        crashed(""),
        None,
        Blame::Machine,
        "QEMU was killed by a signal (9, SIGKILL) while the kernel booted"
    )]
    #[case::nor_does_one_of_the_boot(
        Moment::Cell,
        WARNING,
        "",
        crashed(""),
        overdue(),
        Blame::Machine,
        "QEMU was killed by a signal (9, SIGKILL) while this cell ran"
    )]
    #[case::nonsense(
        Moment::Between,
        WARNING,
        "",
        End::Killed,
        nonsense(),
        Blame::Machine,
        "the agent sent nonsense while no cell ran"
    )]
    #[case::an_order_that_did_not_arrive(
        Moment::Between,
        "",
        GAVE_UP,
        End::PoweredOff,
        None,
        Blame::Machine,
        "the agent could not read its orders while no cell ran: a frame does not decode"
    )]
    #[case::unreachable(Moment::Between, "", "", End::Killed,
        Some(Reason::Unreachable("the agent does not read".to_owned())), Blame::Machine,
        "the agent does not read while no cell ran")]
    fn what_the_kernel_does_not_report_is_an_error(
        #[case] moment: Moment,
        #[case] boot: &str,
        #[case] recent: &str,
        #[case] end: End,
        #[case] reason: Option<Reason>,
        #[case] blame: Blame,
        #[case] sentence: &str,
    ) {
        let console = format!("{boot}{recent}");
        let cause = cause(moment, &console, recent, &end, reason.as_ref());
        assert_eq!(cause.sentence(moment), sentence);
        assert_eq!((cause.verdict, cause.blame), (Verdict::Error, blame));
    }

    #[rstest]
    #[case("", "the machine rebooted while this cell ran")]
    #[case(
        PANIC,
        "the machine rebooted, and left `kernel panic: Fatal exception` while this cell ran"
    )]
    fn nobody_is_blamed_for_the_reboot_of_a_machine(#[case] recent: &str, #[case] sentence: &str) {
        let cause = cause(Moment::Cell, recent, recent, &End::Rebooted, None).of_reboot();
        assert_eq!(cause.sentence(Moment::Cell), sentence);
        assert_eq!((cause.verdict, cause.blame), (Verdict::Miss, Blame::Machine));
    }

    #[rstest]
    #[case::panic(PANIC, End::Rebooted, None, Blame::Kernel, "kernel panic: Fatal exception")]
    #[case::panic_and_silence(
        PANIC,
        End::Rebooted,
        overdue(),
        Blame::Kernel,
        "kernel panic: Fatal exception"
    )]
    #[case::lockup(LOCKUP, End::Killed, overdue(), Blame::Kernel, "soft lockup of subject")]
    #[case::hang(
        "",
        End::Killed,
        overdue(),
        Blame::Kernel,
        "no progress: no message came for 60 s, the silence limit"
    )]
    #[case::silence(
        "",
        crashed("SysRq was not answered"),
        overdue(),
        Blame::Machine,
        "QEMU was killed by a signal (9, SIGKILL)"
    )]
    #[case::firmware("", End::Rebooted, None, Blame::Machine, "the machine rebooted")]
    #[case::firmware_late("", End::Rebooted, overdue(), Blame::Machine, "the machine rebooted")]
    fn a_cell_that_ran_when_a_real_machine_died_is_a_miss(
        #[case] console: &str,
        #[case] end: End,
        #[case] reason: Option<Reason>,
        #[case] blame: Blame,
        #[case] title: &str,
    ) {
        let cause = cause(Moment::Cell, console, console, &end, reason.as_ref());
        let cause = cause.on_metal(&end, reason.as_ref());
        assert_eq!(
            (cause.verdict, cause.blame, cause.title.as_str()),
            (Verdict::Miss, blame, title)
        );
    }

    #[test]
    fn a_lost_console_of_a_real_machine_is_an_error() {
        let end = crashed("");
        let cause = cause(Moment::Cell, "", "", &end, None).on_metal(&end, None);
        assert_eq!((cause.verdict, cause.blame), (Verdict::Error, Blame::Machine));
    }

    #[test]
    fn the_record_has_the_moment_only_where_nothing_else_says_it() {
        let line = |moment, end| cause(moment, "", "", &end, None).line(moment);
        let killed = "QEMU was killed by a signal (9, SIGKILL)";
        assert_eq!(line(Moment::Cell, crashed("words")), killed);
        let booting = line(Moment::Booting, crashed("words"));
        assert_eq!(booting, format!("{killed} while the kernel booted"));
        assert_eq!(line(Moment::Booting, End::Rebooted), "the kernel rebooted without a message");
    }
}
