//! Mutants: kernels with one small change that a program derived from their source.
//!
//! Most mutants are in one kernel, the switched kernel, whose command line chooses one of them. The
//! others, such as changed initialisers, are each built alone. A mutant is run until a cell fails:
//! first the cells of its area, then the whole suite.

mod campaign;
mod derive;
mod journal;
mod outcome;
mod scope;
mod score;
mod survivors;
mod switched;
mod text;
mod trial;

#[cfg(test)]
mod fixture;

pub use campaign::{Campaign, CampaignError};
pub use derive::{Candidate, Derived, Selection};
pub use journal::{Entry, Journal, JournalError};
pub use outcome::MutantOutcome;
pub use scope::{Scope, ScopeError};
pub use score::{Judged, Score, Tally};
pub use survivors::{Change, Excuse, Survivor, Survivors, SurvivorsError};
pub use text::{is_without_holes, listed, progress, report};
