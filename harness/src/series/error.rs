//! Why a check stops.

use super::expect::ExpectError;
use super::read::SeriesError;
use crate::causes::with_causes;
use crate::compare::NothingInCommon;
use crate::engine::EngineError;
use crate::plan::NotAGlob;
use crate::source::SourceError;

/// Why a check stops. What a patch does is a result, not an error.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The series is not whole.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The stated changes cannot be read.
    #[error(transparent)]
    Expect(#[from] ExpectError),
    /// The tree does not have the base that the series names.
    #[error(
        "{}; the series names it as its base: fetch it, or give another with --base",
        with_causes(.0)
    )]
    Base(SourceError),
    /// The tree.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Two runs have no cell in common.
    #[error(transparent)]
    NothingInCommon(#[from] NothingInCommon),
    /// A name of cells is not a glob.
    #[error(transparent)]
    Name(#[from] NotAGlob),
    /// The engine stopped.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
