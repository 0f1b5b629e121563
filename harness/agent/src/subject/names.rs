//! What a cell's steps name and only the kernel, or the cell before them, can number.

use perfsec_wire::step::Execve;

/// What steps refer to by name, as numbers: a subject can read neither tracefs nor its parent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// `CATEGORY:NAME` and its number in tracefs.
    pub(crate) tracepoints: Vec<(String, u64)>,
    /// PMUs that the kernel numbers itself, and the `type` of each.
    pub(crate) pmus: Vec<(String, u32)>,
    /// Processes by name.
    pub(crate) processes: Vec<(String, i32)>,
    /// Descriptors that are open already.
    pub(crate) fds: Vec<(String, i32)>,
    /// Paths of executables.
    pub(crate) files: Vec<(Execve, String)>,
    /// The number of the region's descriptor, which a program that is executed is told.
    pub(crate) region: i32,
}
