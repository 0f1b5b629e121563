//! `perfsec series`: checks of a small tree, reports, and the command line.

#[path = "../support/tree.rs"]
mod tree;

mod answers;
mod check;
mod command;
mod report;
mod runs;
#[expect(dead_code, reason = "shared with tests of other things")]
#[path = "../support/mod.rs"]
mod support;
