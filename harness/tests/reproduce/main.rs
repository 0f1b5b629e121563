//! The C programs of `perfsec reproduce`: compiled here, and run in guests without perfsec.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;

mod guests;
mod programs;
