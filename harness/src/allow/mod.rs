//! Writes the smallest policy module that allows what was denied.
//!
//! [`Rules`] are the rules that the records ask for; a [`Module`] is their text; [`ModuleEffect`]
//! is the difference that the module makes when the same cells run under it.

mod compare;
mod extended;
mod gather;
mod module;
mod rules;
mod verify;

pub use compare::{CellKey, ModuleEffect, observed_cells, pairs};
pub(crate) use extended::Extended;
pub use gather::{CheckHistory, denials};
pub use module::{Language, Module};
pub(crate) use rules::why;
pub use rules::{Rule, RuleScope, Rules, UnusedRecord};
pub use verify::{Rerun, Verification, is_under_own_policy, planned};
