//! The kernel and the policies, as far as evaluation needs them.

use std::sync::Arc;

use super::{Functions, FunctionsError, OwnPolicies};
use crate::policy::TableError;

/// The lists of kernel functions and the answers of our policies, shared by all cases.
#[derive(Clone, Debug)]
pub struct Model {
    /// The lists of `functions.toml`.
    pub functions: Arc<Functions>,
    /// The answers of our own policies.
    pub policies: Arc<OwnPolicies>,
}

/// Mistakes in the data that is compiled into the program.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `functions.toml` has mistakes.
    #[error(transparent)]
    Functions(#[from] FunctionsError),
    /// `domains.toml` has mistakes.
    #[error(transparent)]
    Policies(#[from] TableError),
}

impl Model {
    /// Reads the data that is compiled into the program.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which the project's tests rule out.
    pub fn built_in() -> Result<Self, ModelError> {
        let functions = Arc::new(Functions::built_in()?);
        Ok(Self { functions, policies: Arc::new(OwnPolicies::new()?) })
    }
}
