//! The how-to that adds perf's class and permission to an SELinux policy, typed in a guest system.
//!
//! Its steps are data ([`Script`]). A [`Walk`] types their commands and compares what they print
//! with what the how-to promises; a [`Walkthrough`] is the result, which [`text`] and [`html`] print.

mod error;
mod html;
mod module;
mod outcome;
mod pattern;
mod promise;
mod script;
mod shorten;
mod text;
mod walk;

#[cfg(test)]
mod tests;

pub use error::HowtoError;
pub use html::html;
pub use outcome::{Boot, Finding, Performed, StepOutcome, Verdict, Walkthrough};
pub use script::Script;
pub use text::text;
pub use walk::Walk;
