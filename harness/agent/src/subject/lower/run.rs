//! Steps that run a program. The agent starts it while the subject is stopped.

use perfsec_wire::step::Run;

use super::Lower;
use crate::subject::program::Assembler;

impl Lower for Run {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        assembler.stop();
        Ok(())
    }
}
