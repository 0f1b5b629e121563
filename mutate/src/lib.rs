//! Mutants of kernel C code, derived from its source.
//!
//! A [`Mutant`] is one small change that a developer could make by mistake: a check is missing, a
//! capability is mistaken for another, a comparison is off by one. `perfsec selfcheck` builds
//! kernels with them and counts those that no case notices. This crate only reads and writes text.
//!
//! ```
//! use perfsec_mutate::{Config, SourceFile, switched};
//!
//! let text = "\
//! static int allow(int level)
//! {
//!         if (level > 1 && !perfmon_capable())
//!                 return -EACCES;
//!         return 0;
//! }
//! ";
//! let file = SourceFile::new("allow.c", text, &Config::default());
//! let mutants = file.mutants(&["allow"])?;
//!
//! let quiet = mutants.iter().find(|mutant| mutant.name() == "allow/drop-check/1").unwrap();
//! assert_eq!(quiet.line, 3);
//! assert_eq!(quiet.before, "if (level > 1 && !perfmon_capable()) return -EACCES;");
//! assert_eq!(quiet.apply(text), "\
//! static int allow(int level)
//! {
//!         return 0;
//! }
//! ");
//!
//! // One text with all of them; the kernel command line chooses.
//! let numbered: Vec<_> = (1..).zip(&mutants).collect();
//! assert!(switched(text, &numbered).text.contains("PERFSEC_MUTANT(1)"));
//! # Ok::<(), perfsec_mutate::Error>(())
//! ```
//!
//! # One kernel with every mutant
//!
//! To build a kernel again takes half a minute after a change of one file, and minutes after a
//! change of a header. So [`switched()`] writes one text in which each changed expression or
//! statement is a choice, `PERFSEC_MUTANT(7) ? changed : original`. Choices nest: the changed
//! code is otherwise unmutated, and the original beside it keeps the choices within. The boot
//! parameter `perfsec_mutant=7` sets the variable, which [`SELECTOR_SOURCE`] defines. Where the
//! compiler needs a constant, mutants are not [switched](Mutant::is_switched): they are built alone,
//! from the text that [`Mutant::apply`] returns.
//!
//! An alternative has lines of its own. Not every mutant compiles, since the types of names are
//! unknown here; [`Switched::at_line`] tells which mutants an error is about.
//!
//! # Which changes
//!
//! [`Operator`] lists them. They look at names and at the shape of the code, not at types or at the
//! flow of data. Left out are changes that a glance shows to have no effect, changes that only a
//! machine without memory would show, and changes of bookkeeping: a kernel that hangs, or that
//! corrupts its memory, says nothing about a test suite.
//!
//! # Known limits
//!
//! Functions are found by their text, without the preprocessor, so a function that a macro defines
//! is not found, unless it is a system call. Conditions of `#if` that depend on more than the
//! configuration leave both branches in. Statements that the parser does not understand have no
//! mutants.

mod annotations;
mod collect;
mod config;
mod defaults;
mod draft;
mod error;
mod function;
mod modes;
mod mutant;
mod operator;
mod operators;
mod scan;
mod skip;
mod source;
mod switched;

pub use config::Config;
pub use error::Error;
pub use mutant::Mutant;
pub use operator::Operator;
pub use source::SourceFile;
pub use switched::{
    REACHED, SELECTOR_MAKEFILE, SELECTOR_PATH, SELECTOR_SOURCE, SURVEY, Switched, switched,
};
