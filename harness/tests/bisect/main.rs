//! `perfsec bisect`: the command line, bisections of a small tree with real kernels, and reports.

#[path = "../support/tree.rs"]
mod tree;

mod command;
mod report;
mod search;
#[expect(dead_code, reason = "shared with tests of other things")]
#[path = "../support/mod.rs"]
mod support;
