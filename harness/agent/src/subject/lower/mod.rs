//! Lowers steps to raw syscalls. The files are named after those of `perfsec_wire::step`, which
//! has the arguments of each kind of step.

mod action;
mod bpf;
mod file;
mod instructions;
mod perf;
mod process;

use super::program::Assembler;

/// The arguments of one kind of step, as a raw syscall.
pub(super) trait Lower {
    /// Adds the syscall and what prepares it to the program.
    ///
    /// # Errors
    ///
    /// The name that has no number here.
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String>;
}
