//! Builds kernels from source, each combination of tree, configuration and compiler once.

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

pub use builder::{Builder, BuiltKernel};
pub use diagnostic::Diagnostic;
pub use error::{BuildError, BuildFailure};
pub use open::open;
pub use recipe::{ImageForm, Recipe, Variable, VariableError};
pub use spec::{TreeLocation, TreeSpec, TreeSpecError};
pub use toolchain::{Toolchain, ToolchainError};
