//! The input of the evaluator besides the questions.

use perfsec_wire::{BootMode, CapSet, Lockdown, Mode, Step};

use super::functions::Functions;
use super::selinux::SecurityServer;
use crate::case::CaseProcess;

/// Everything that the answers depend on.
pub struct Situation<'a> {
    /// Type of the subject's context.
    pub domain: &'a str,
    /// The subject's user ID.
    pub uid: u32,
    /// The file capabilities on its executable.
    pub grant: CapSet,
    /// The name of its executable.
    pub comm: &'a str,
    /// SELinux mode at the start.
    pub mode: Mode,
    /// `kernel.perf_event_paranoid`
    pub level: i32,
    /// `fs.suid_dumpable`
    pub suid_dumpable: u32,
    /// The mode in which the kernel was booted.
    pub boot: BootMode,
    /// Name of the policy that is loaded at the start.
    pub policy: &'a str,
    /// The answers of policies.
    pub server: &'a dyn SecurityServer,
    /// Processes beside the subject.
    pub processes: &'a [CaseProcess],
    /// Steps of the agent before the subject starts.
    pub given: &'a [Step],
    /// Steps of the subject that succeeded before the first that is evaluated. They leave no line.
    pub before: &'a [Step],
    /// The lockdown level.
    pub lockdown: Lockdown,
    /// Pages that the buffer of an event may have without CAP_IPC_LOCK; `None` if the questions
    /// of the steps say themselves where the kernel asks.
    pub free_pages: Option<u64>,
    /// True to find all that would be refused: a call goes on after a refusal, and the steps that
    /// depend on it are performed. The kernel ends a call at the first.
    pub whole: bool,
    /// The lists of kernel functions.
    pub functions: &'a Functions,
    /// True if the condition with this name holds on the kernel.
    pub holds: &'a dyn Fn(&str) -> bool,
}
