//! Steps that make one task the tracer of another.

use nix::libc;
use perfsec_wire::step::Ptrace;

use super::Lower;
use crate::subject::program::{Assembler, number};

impl Lower for Ptrace {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let (request, task) = match self {
            Self::Traceme => (libc::PTRACE_TRACEME, number(0)),
            Self::Seize(task) => (libc::PTRACE_SEIZE, assembler.task(task)),
        };
        assembler.call(libc::SYS_ptrace, &[number(request.into()), task]);
        Ok(())
    }
}
