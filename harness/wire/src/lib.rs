//! The types that perfsec and its agent exchange.
//!
//! The host puts a [`Preparation`] beside the agent; the agent answers with a stream of
//! [`Message`]s, each in a [`frame`], over a serial port or through a [`window`]. When the agent
//! asks, the host sends an [`Order`] the same way. Nothing else passes between them. The host does
//! not trust what it receives: frames are bounded, and decoding a hostile one is an error, never a
//! panic.

pub mod answers;
pub mod attr;
pub mod caps;
pub mod console;
pub mod coverage;
pub mod frame;
pub mod here;
pub mod labels;
pub mod lane;
pub mod machine;
pub mod message;
pub mod named;
mod number;
pub mod observation;
pub mod order;
pub mod program;
pub mod record_types;
pub mod relay;
pub mod step;
pub mod suggest;
pub mod takeover;
pub mod terminal;
pub mod window;

pub use answers::{Party, PolicyAnswers, Question};
pub use attr::{Event, PerfEventAttr};
pub use caps::CapSet;
pub use coverage::Coverage;
pub use lane::{BootMode, Cell, Lane, LanePolicy, Lockdown, Mode, Preparation, Process, Subject};
pub use machine::{Hypervisor, MachineFacts};
pub use message::{Facts, Message, Refusal};
pub use observation::{Call, CapCheck, CellOutcome, Effect, Observation};
pub use order::Order;
pub use step::Step;
pub use terminal::{Typed, Typing};

/// The beginning of the messages of a kernel with many mutants: a number follows, of a mutant whose
/// code a process runs. The crate `mutate` writes them.
pub const REACHED: &str = "perfsec: mutant ";

/// Version of the protocol, which both ends compare first; raised with every change of a type here.
pub const PROTOCOL: u32 = 20;

/// Paths of the agent's files in a guest's initramfs.
pub mod paths {
    /// The encoded [`Preparation`](crate::Preparation).
    pub const PREPARATION: &str = "/perfsec/preparation";
    /// The binary SELinux policies that cells name, one file each.
    pub const POLICIES: &str = "/perfsec/policies";
    /// The program that every subject executes.
    pub const SUBJECT: &str = "/perfsec/subject";
    /// The shell of [`Order::Shell`](crate::Order::Shell): a static busybox.
    pub const SHELL: &str = "/bin/busybox";
    /// The agent: process 1, and in a guest system also the program of a service.
    pub const AGENT: &str = "/init";
    /// The labels of a guest system's files; see [`labels`](crate::labels).
    pub const LABELS: &str = "/perfsec/labels";
}
