//! Steps that ask for access to a file.

use nix::libc;
use perfsec_wire::step::{AccessKind, FileAccess};

use super::Lower;
use super::file::path;
use crate::subject::program::{Assembler, number};

impl Lower for FileAccess {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let mode = self.mode.iter().fold(libc::F_OK, |mode, kind| {
            mode | match kind {
                AccessKind::R => libc::R_OK,
                AccessKind::W => libc::W_OK,
                AccessKind::X => libc::X_OK,
            }
        });
        let path = path(assembler, &self.path);
        assembler.call(libc::SYS_access, &[path, number(mode.into())]);
        Ok(())
    }
}
