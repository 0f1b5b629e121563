//! Writes the smallest policy module that allows what was denied.
//!
//! [`Rules`] is what records ask for; a [`Module`] is the text that gives it; [`Comparison`] says what it
//! changed when the same cells ran under it.

mod compare;
mod gather;
mod module;
mod rules;
mod verify;

pub use compare::{Comparison, Key, observed, pairs};
pub use gather::{Asked, denials};
pub use module::{Form, Module};
pub(crate) use rules::why;
pub use rules::{Left, Rule, Rules, Scope};
pub use verify::{Rerun, Verified, is_under_own_policy, planned};
