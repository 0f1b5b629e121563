//! Why a kernel cannot be had.

use crate::kbuild::BuildError;
use crate::kernel::KernelError;
use crate::source::SourceError;

/// Why a kernel cannot be had.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub enum ObtainError {
    /// It is not there, or none that boots.
    Image(#[from] KernelError),
    /// Its source is not there.
    Source(#[from] SourceError),
    /// It does not build.
    Build(#[from] BuildError),
}
