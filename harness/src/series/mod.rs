//! A patch series, checked patch by patch: which cells each patch changes against the patch before.

mod against;
mod error;
mod expect;
mod fetch;
mod outcome;
mod patch;
mod quoted;
mod range;
mod read;
mod run;
mod verdict;

pub use against::{Wanted, of_patch, of_series, stated};
pub use error::CheckError;
pub use expect::{ExpectError, Expectations, IN_TREE, StatedChange};
pub use fetch::FetchError;
pub use outcome::{
    ApplyResult, BaseOutcome, BootResult, BuildResult, BuildSettings, CellChanges, FORMAT,
    KernelRun, PatchOutcome, RejectedHunk, SeriesInfo, SeriesOutcome, StatedOutcome, TestResult,
};
pub use patch::Patch;
pub use range::{base, of_range};
pub use read::{Cover, Series, SeriesError, SeriesSpec};
pub use run::SeriesCheck;
pub use verdict::Problem;
