//! The conversation with a relay: an agent on a machine that perfsec reaches over a connection. The
//! relay does there what perfsec itself does on its own machine: it starts the guardian, passes its
//! channel on, and follows the kernel's log.

use serde::{Deserialize, Serialize};

/// The relay ends after this many seconds without a demand. The machine is then put back: without
/// perfsec, or the network, nobody else would do it.
pub const SILENCE_LIMIT: u64 = 60;

/// perfsec sends a demand at least this often, in seconds.
pub const BEAT: u64 = 5;

/// Longest piece of a file in a report, in bytes.
pub const PIECE: usize = 256 << 10;

/// A demand of perfsec's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Demand {
    /// perfsec is still there.
    Beat,
    /// Send a file: [`Report::Piece`] for each piece, and [`Report::Read`].
    Read(String),
    /// Send the paths of the regular files in a directory and below it: [`Report::Listed`].
    List(String),
    /// Send what the kernel's log has behind this record: [`Report::Log`], and [`Report::Caught`].
    CatchUp(u64),
    /// Wait until the guardian of an earlier connection, with its files in this directory, has put
    /// the machine back, or do that for one that is gone: [`Report::Settled`].
    Settle(String),
    /// Remove what a machine that was rebooted has left of this directory: [`Report::Settled`].
    Remove(String),
    /// Start a guardian: [`Report::Started`], and at last [`Report::Ended`].
    Start {
        /// The encoded [`Preparation`](crate::Preparation).
        preparation: Vec<u8>,
        /// The program of subjects.
        subject: Vec<u8>,
    },
    /// Bytes for the worker.
    Carry(Vec<u8>),
    /// End the worker.
    Close,
}

/// A report of the relay's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// The first one.
    Hello(Hello),
    /// A piece of a file.
    Piece(Vec<u8>),
    /// The end of a file, or the error number that the kernel gave.
    Read(Result<(), i32>),
    /// The files in a directory, sorted.
    Listed(Vec<String>),
    /// A record of the kernel's log, as `/dev/kmsg` has it.
    Log(Vec<u8>),
    /// The log has no more records now.
    Caught,
    /// The exit code of the guardian that was waited for; `None` if nothing had to be done.
    Settled(Option<u8>),
    /// The guardian runs, with its files in this directory; or the reason why it does not.
    Started(Result<String, String>),
    /// Bytes of the worker's.
    Carried(Vec<u8>),
    /// A line that the guardian printed.
    Said(String),
    /// The worker has ended, and the guardian has done its work.
    Ended(Ending),
}

/// The first report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `/proc/sys/kernel/random/boot_id`
    pub boot_id: String,
    /// True if the relay is root.
    pub is_root: bool,
    /// The error number of a socket for audit, if there is none.
    pub audit: Option<i32>,
    /// The number of the last record of the kernel's log.
    pub record: u64,
}

/// The end of a guardian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The signal that killed the guardian. The relay has then done its work.
    pub killed_by: Option<i32>,
    /// The exit code of the process that put the machine back; `None` if it has none.
    pub code: Option<u8>,
}
