//! Programs of the host that are put into a guest, for steps that run them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::foreign;
use crate::kernel::{ElfError, needs_libraries};

/// A static program with its content.
#[derive(Clone, PartialEq, Eq)]
pub struct GuestProgram {
    /// The name of its file.
    name: String,
    content: Arc<[u8]>,
}

/// A file that cannot be a program of a guest.
#[derive(Debug, thiserror::Error)]
pub enum GuestProgramError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] std::io::Error),
    /// It is no program for x86-64.
    #[error("it is not a program for x86-64")]
    Kind,
    /// It needs libraries.
    #[error(
        "it needs libraries, and the guest has none: link it with `-static`, or boot a \
         distribution that has it"
    )]
    Dynamic,
}

impl GuestProgram {
    /// The directory of programs in a guest.
    const FOLDER: &str = "/usr/bin";

    /// Its path in a guest.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", Self::FOLDER, self.name)
    }

    /// Its content.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Reads a program.
    ///
    /// # Errors
    ///
    /// If it cannot be read or cannot run in a guest without libraries.
    fn read(path: &Path) -> Result<Self, GuestProgramError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = foreign::read(path, &foreign::PROGRAM)?;
        match needs_libraries(&content) {
            Ok(false) => Ok(Self { name, content: content.into() }),
            Ok(true) => Err(GuestProgramError::Dynamic),
            Err(ElfError::Machine(_) | ElfError::Kind(_) | ElfError::Damaged(_)) => {
                Err(GuestProgramError::Kind)
            }
        }
    }
}

impl FromStr for GuestProgram {
    type Err = GuestProgramError;

    fn from_str(path: &str) -> Result<Self, GuestProgramError> {
        Self::read(&PathBuf::from(path))
    }
}

impl fmt::Debug for GuestProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_static_program_can_run_in_a_guest() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string().parse::<GuestProgram>()
        };
        assert_eq!(put("agent", crate::AGENT).unwrap().path(), "/usr/bin/agent");
        assert!(matches!(put("script", b"#!/bin/sh\n"), Err(GuestProgramError::Kind)));
        let dynamic = "/bin/sh".parse::<GuestProgram>();
        assert!(matches!(dynamic, Err(GuestProgramError::Dynamic)), "{dynamic:?}");
    }
}
