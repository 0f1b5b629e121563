//! perfsec.
fn main() {}
