//! The questions that the kernel asks during a step, and the transcript that follows from their
//! answers.
//!
//! A case lists the questions in the kernel's order, by the names of the kernel's own functions:
//!
//! ```text
//! perf_event { open }
//! perf_allow_kernel
//! perfmon_capable || ptrace_may_access(READ) on other    or EACCES
//! ```
//!
//! Only the answers depend on the policy, the subject's credentials, the mode and the level;
//! [`evaluate`] combines them.

mod call;
mod credentials;
mod evaluate;
mod evaluation;
mod event;
mod functions;
mod model;
mod parse;
mod question;
mod selinux;
mod server;
mod situation;
#[cfg(test)]
mod tests;

pub use call::CallFact;
pub use evaluate::evaluate;
pub(crate) use evaluation::decisive;
pub use evaluation::{CallChecks, CheckedThing, Evaluation, MadeCheck, RefusedQuestion};
pub use functions::{Functions, FunctionsError};
pub(crate) use functions::{FunctionsFile, guard_conditions};
pub use model::{Model, ModelError};
pub use parse::{Mistake, Names, parse};
pub(crate) use parse::{WrongResult, parse_returns};
pub use question::{
    Audit, Check, Fact, Guard, Namespace, Question, Refusal, Returned, SelinuxCheck, StepQuestions,
    Target,
};
pub use selinux::{Booleans, Loaded, SecurityServer};
pub use server::{AllowAll, ExtendedPolicy, LoadedPolicy, OwnPolicies};
pub use situation::Situation;
