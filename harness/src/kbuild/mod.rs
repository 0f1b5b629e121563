//! Kernels from source: a tree, a configuration and a compiler make one, once.

mod builder;
mod diagnostic;
mod error;
pub mod kconfig;
mod make;
mod objects;
mod open;
mod recipe;
mod spec;
mod stamp;
mod toolchain;

#[cfg(test)]
mod tests;

pub use builder::{Builder, Built};
pub use diagnostic::Diagnostic;
pub use error::{BuildError, Failure};
pub use open::open;
pub use recipe::{Recipe, Variable, VariableError};
pub use spec::{Place, TreeSpec, TreeSpecError};
pub use toolchain::{NoTool, Toolchain};
