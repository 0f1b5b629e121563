//! Finds the configuration option that changed cells, between two configurations of one commit.

mod find;
mod lab;
mod outcome;
mod span;
#[cfg(test)]
mod tests;
mod text;

pub use find::{NamedConfig, bisect_config};
pub use lab::{ConfigLab, ConfiguredTree};
pub use outcome::{ChangedOption, ConfigBisection, ConfigStep};
pub use text::config_text;
