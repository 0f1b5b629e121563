//! Runs on machines that perfsec does not start.

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that boot kernels of their own")]
mod support;

#[path = "../support/healthy.rs"]
mod healthy;

#[path = "../support/tree.rs"]
#[expect(dead_code, reason = "shared with tests that read trees")]
mod tree;

mod bench;
mod desk;
mod fake_ssh;
mod guest;
mod here;
mod image;
mod on_debian;
mod one_port;
mod over_ssh;
mod refusal;
mod site;
mod unchanged;
mod watchdog;
