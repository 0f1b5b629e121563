//! Tests the suite: breaks kernels on purpose and requires cells to notice.
//!
//! `patches` has hand-written mutations, `mutants` derives them from the source.

mod cells;
pub mod mutants;
mod patches;

pub use patches::{
    Mutation, MutationCounts, MutationError, MutationOutcome, Notice, Selfcheck, SelfcheckError,
    built_in, directory, line, require_cells, select, summary,
};
