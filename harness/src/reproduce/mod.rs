//! A reproducer of a cell: one C file that a person reads, compiles and runs without perfsec.

mod attr;
mod bpf;
mod constants;
mod domains;
mod expected;
mod failures;
mod head;
mod headers;
mod literal;
mod obstacle;
mod program;
mod records;
mod setup;
mod skeleton;
mod steps;
mod subject;

pub use failures::{Attachment, of_failures};
pub use obstacle::Obstacle;
pub use program::{Reproducer, reproducer};
