//! Why the engine stops.

use std::io;
use std::path::PathBuf;

use crate::cache::CacheError;
use crate::kbuild::BuildError;
use crate::kbuild::kconfig::FragmentError;
use crate::kernel::{ConfigError, KernelError};
use crate::machines::MachineError;
use crate::plan::NotAGlob;
use crate::policy::PolicyError;
use crate::record::RecordError;
use crate::source::SourceError;

/// Why the engine stops. What a kernel does while cells run is a result, not an error.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The record of a run that cannot be completed.
    #[error(
        "complete the run: its record {what}; run everything again (the record's first line has \
         the command)"
    )]
    Foreign {
        /// The difference: a clause that fits after "the record".
        what: String,
    },
    /// A policy does not exist or does not compile.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A kernel does not exist or cannot be fetched.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A kernel tree or revision does not exist or cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A kernel does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A configuration fragment does not exist or cannot be read.
    #[error(transparent)]
    Fragment(#[from] FragmentError),
    /// The file given as the configuration of kernels is not one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A machine does not start.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The record of a run cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record of a run cannot be read back.
    #[error("read {}", .path.display())]
    ReadRecord {
        /// The record.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The cache directory cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A name of cells is not a glob.
    #[error(transparent)]
    Name(#[from] NotAGlob),
    /// A policy does not have the context in which cells are to run.
    #[error("run in the domain {context}: the policy {policy} does not have it: {reason}")]
    NoContext {
        /// The context.
        context: String,
        /// The policy's name.
        policy: String,
        /// The part that is wrong, as a clause.
        reason: String,
    },
    /// The filters select no cell.
    #[error("the filters select no cell: `perfsec run --list` lists them all")]
    NoCell,
    /// There is no policy.
    #[error("no policy")]
    NoPolicy,
    /// There is no kernel to run cells on.
    #[error("no kernel")]
    NoKernel,
    /// The user stopped it.
    #[error("interrupted: what was built is kept")]
    Interrupted,
}
