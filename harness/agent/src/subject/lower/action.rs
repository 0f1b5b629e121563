//! Actions of the agent.

use perfsec_wire::step::Action;

use super::Lower;
use crate::subject::program::Assembler;

impl Lower for Action {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        assembler.stop();
        Ok(())
    }
}
