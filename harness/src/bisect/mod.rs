//! Finds the commit, or the configuration option, that changed what cells see.

mod commit;
mod config;
mod ends;
mod error;
mod find;
mod images;
mod outcome;
mod search;
mod step;
#[cfg(test)]
mod tests;
mod text;

pub use commit::{CommitInfo, Revision};
pub use config::{
    ChangedOption, ConfigBisection, ConfigLab, ConfigStep, ConfiguredTree, NamedConfig,
    bisect_config, config_text,
};
pub use ends::{BisectMark, unjudged};
pub use error::{BisectEnd, BisectError};
pub use find::bisect;
pub use outcome::{BisectStep, Bisection, Culprit};
pub use step::{JudgedCommit, step};
pub(crate) use text::counts;
pub use text::text;
