//! The reasons why a cell has no reproducer.

/// A reason why a C file for an ordinary machine cannot express a cell.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Obstacle {
    /// Another boot than with SELinux and audit.
    #[error("the kernel must boot as {0}")]
    Boot(String),
    /// A policy that no machine has.
    #[error("it needs the whole policy {0}, not some domains")]
    Policy(String),
    /// The kernel lacks what the case is about.
    #[error("the kernel lacks: {0}")]
    Requirement(String),
    /// Audit can be enabled, but not disabled.
    #[error("audit must be off")]
    AuditOff,
    /// The level can only rise until the next boot.
    #[error("lockdown stays until the next boot")]
    Lockdown,
    /// Other audit records than AVC.
    #[error("it expects audit records other than AVC")]
    Records,
    /// Messages of the kernel.
    #[error("it expects messages of the kernel")]
    Messages,
    /// The subject is killed.
    #[error("it expects the end of the subject")]
    Killed,
    /// An action of the agent.
    #[error("the agent must {0}")]
    Action(&'static str),
    /// A step, or an argument of it.
    #[error("{0}")]
    Step(&'static str),
    /// A file that belongs to perfsec's guests.
    #[error("it opens {0}, which only a guest of perfsec has")]
    Path(String),
    /// A field that is newer than the headers of many distributions.
    #[error("`{0}` of perf_event_attr is newer than many headers")]
    Field(String),
}
