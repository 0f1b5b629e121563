//! Explains a symptom in words: "perf stat as user with cap_perfmon, paranoid 3".

mod answer;
mod phrases;
mod words;

pub use words::{Symptom, SymptomError};
