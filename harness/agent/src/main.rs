//! The program that runs on the kernel under test.
fn main() {}
