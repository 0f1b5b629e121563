//! `perfsec bisect`: its command line, a search in a tree in miniature on real kernels, and its reports.

#[path = "../support/tree.rs"]
mod tree;

mod command;
mod report;
mod search;
#[expect(dead_code, reason = "shared with tests of other things")]
#[path = "../support/mod.rs"]
mod support;
