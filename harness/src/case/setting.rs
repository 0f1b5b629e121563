//! The kernel and the policy for which an expectation is computed.

use super::Circumstances;
use crate::asks::SecurityServer;

/// A kernel under a policy.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The kernel.
    pub kernel: Circumstances<'a>,
    /// Name of the policy for cases that name none; `None` for the default policy.
    pub policy: Option<&'a str>,
    /// The answers of that policy; `None` if it is one of ours, whose answers are known.
    pub answers: Option<&'a dyn SecurityServer>,
}

impl<'a> From<Circumstances<'a>> for Setting<'a> {
    fn from(kernel: Circumstances<'a>) -> Self {
        Self { kernel, policy: None, answers: None }
    }
}
