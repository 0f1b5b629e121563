//! Lowers steps to raw syscalls. The files are named after those of `perfsec_wire::step`, which
//! has the arguments of each kind of step.

mod access;
mod action;
mod bpf;
mod exec;
mod file;
mod instructions;
mod limit;
mod perf;
mod process;
mod ptrace;
mod run;

use perfsec_wire::{Step, Subject, with_arguments};

use super::names::Names;
use super::program::{Assembler, Program};

/// The arguments of one kind of step, as a raw syscall.
pub(super) trait Lower {
    /// Adds the syscall and what prepares it to the program.
    ///
    /// # Errors
    ///
    /// The name that has no number here.
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String>;
}

/// Lays out `steps`, which `subject` will perform.
///
/// # Errors
///
/// The name that has no number here, or that there are too many steps.
pub(crate) fn assemble(
    steps: &[Step],
    names: &Names,
    subject: &Subject,
) -> Result<Program, String> {
    let mut assembler = Assembler::new(names, subject);
    for (index, step) in steps.iter().enumerate() {
        assembler.begin(index);
        with_arguments!(step, arguments => arguments.lower(&mut assembler)?);
    }
    assembler.finish()
}
