//! A reproducer of a cell: one C file that a person reads, compiles and runs without perfsec.

mod attr;
mod bpf;
mod constants;
mod domains;
mod expected;
mod failures;
mod literal;
mod obstacle;
mod program;
mod skeleton;
mod steps;

pub use failures::{Attachment, of_failures};
pub use obstacle::Obstacle;
pub use program::{Reproducer, reproducer};
