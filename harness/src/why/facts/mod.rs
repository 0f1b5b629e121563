//! Facts about a process and its machine, each with its source.

mod container;
mod distribution;
mod given;
mod known;
mod resolved;

pub(crate) use container::SeccompFilter;
pub use container::{Container, ContainerError, Containers};
pub use distribution::{Distribution, Distributions};
pub use given::Given;
pub use known::{FactSource, Known};
pub(crate) use resolved::FactLine;
pub use resolved::Facts;

/// An error in the data that is compiled into the program.
#[derive(Debug, thiserror::Error)]
#[error("read {file}")]
pub struct DataError {
    /// The file.
    pub file: &'static str,
    /// The reason.
    #[source]
    pub error: toml::de::Error,
}
