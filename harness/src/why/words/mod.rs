//! Finds facts and a command in a plain sentence, or in the messages of tools.
//!
//! A word that nobody knows is ignored and listed: it never ends in no answer.

mod command;
mod errnos;
mod facts;
mod filler;
mod messages;
mod rest;
mod scan;
mod strace;

pub use scan::{Scanned, scan};
