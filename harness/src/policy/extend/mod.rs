//! Adds perf's class and permissions to a policy that lacks them, in CIL or in policy source.

mod cil;
mod declared;
mod error;
mod flask;
mod rewrite;
mod tree;
mod wanted;

#[cfg(test)]
mod tests;

pub use error::ExtendError;
pub use rewrite::Rewrite;
pub use tree::PolicyFiles;
pub use wanted::{DomainName, Wanted};
