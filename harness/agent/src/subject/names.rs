//! Numbers of the names in steps that only the guest knows.

use perfsec_wire::step::Execve;

/// Numbers for the names in steps, for a subject, which cannot look them up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Tracepoints, as `CATEGORY:NAME`, and their numbers in tracefs.
    pub(crate) tracepoints: Vec<(String, u64)>,
    /// Dynamic PMUs, and their `type`.
    pub(crate) pmus: Vec<(String, u32)>,
    /// Processes, and their pids.
    pub(crate) processes: Vec<(String, i32)>,
    /// File descriptors that are already open.
    pub(crate) fds: Vec<(String, i32)>,
    /// Executables, and their paths.
    pub(crate) files: Vec<(Execve, String)>,
    /// The region's file descriptor, which every subject gets in its environment.
    pub(crate) region: i32,
}
