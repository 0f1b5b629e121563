//! Writes the smallest policy module that allows what was denied.
//!
//! [`Rules`] is what records ask for; a [`Module`] is the text that gives it; [`ModuleEffect`] says what it
//! changed when the same cells ran under it.

mod compare;
mod gather;
mod module;
mod rules;

pub use compare::{CellKey, ModuleEffect, observed_cells, pairs};
pub use gather::{CheckHistory, denials};
pub use module::{Language, Module};
pub(crate) use rules::why;
pub use rules::{Rule, RuleScope, Rules, UnusedRecord};
