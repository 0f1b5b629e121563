//! Answers why a command was refused perf, and what would allow it.
//!
//! Data flows one way. [`Given`] facts are completed from this machine (`host`) or by assumptions
//! to [`Facts`]. A [`command`] becomes the calls that it makes. `ask` has the evaluator
//! ([`crate::asks`]) compute which of the kernel's questions refuse them; `remedy` searches the
//! smallest changes, and has each computed again. An [`WhyAnswer`] is all of that, as text or JSON.
//! [`words`] finds facts and a command in a plain sentence or in the messages of tools.

mod answer;
mod ask;
pub mod command;
mod facts;
mod host;
mod remedy;
#[cfg(test)]
mod tests;
pub mod words;

pub use answer::{Inquiry, WhyAnswer, WhySchema, answer};
pub use command::{ToolCommand, ToolCommandError};
pub use facts::{
    Container, ContainerError, Containers, DataError, Distribution, Distributions, FactSource,
    Facts, Given, Known,
};
pub use host::{Reading, Root, read};
pub(crate) use remedy::libcap;
