//! Explains symptoms in words, such as "perf stat as user with cap_perfmon, paranoid 3".

mod answer;
mod error;
mod event;
mod model;
mod notes;
mod open;
mod options;
mod phrases;
mod remedies;
mod summary;
mod words;

pub use error::SymptomError;
pub use model::Symptom;
