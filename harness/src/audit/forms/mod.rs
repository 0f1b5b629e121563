//! The forms of records: one module for each that is more than a line with a record in it.

mod auditbeat;
mod aureport;
mod ausearch;
mod clean;
mod container;
mod decoder;
mod fields;
mod form;
mod go_audit;
mod journal;
mod json;
mod laurel;
mod line;
mod setroubleshoot;
mod table;

#[cfg(test)]
mod tests;

pub(super) use decoder::Decoder;
pub use form::{FORMS, Form, FormCounts, FormDescription};
