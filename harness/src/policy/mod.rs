//! SELinux policies: found by name or file, compiled by `secilc` or `semodule`, cached by content;
//! and what they answer.

mod answers;
mod binary;
mod changes;
mod cil;
mod compile;
mod debian;
mod domain_rules;
pub mod extend;
mod extended;
mod files;
mod generate;
mod guest;
mod header;
mod ours;
mod own_domain;
mod recipe;
mod request;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod tools;
mod vector;

pub use answers::{Answer, Answers, TableAnswers};
pub use binary::{DEFAULT, LOADED, Policies, Policy};
pub use changes::{AddedModule, PolicyChanges};
pub use compile::{PolicyError, compiler};
pub use domain_rules::{domain_rules, entered_by, is_domain};
pub use extended::{ExtendError, Machine};
pub use guest::{GuestAnswers, vectors};
pub use header::HandleUnknown;
pub use ours::source_text;
pub use request::{
    BooleanSetting, DEFAULT_PRIORITY, Flavour, ModuleFile, Obtaining, PolicyNameError,
    PolicyRequest, PolicySelector, PolicySource, require_distinct,
};
pub use table::{KERNEL, OBJECT, TableError, classes};
pub use vector::{Access, AccessVector, context_parts, is_context};
