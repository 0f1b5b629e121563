//! Asks the evaluator what becomes of the calls of a command.

mod asked;
mod evaluate;
mod process;

pub(crate) use asked::{Asked, AskedCall, CallRefusal, Obstacle};
pub(crate) use evaluate::{Changed, ask};
