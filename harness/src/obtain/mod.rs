//! From the name of a kernel to one that boots, whoever built it.

mod error;
mod spec;

pub use error::ObtainError;
pub use spec::{KernelSpec, SpecError};

use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kbuild::{self, Recipe};
use crate::kernel::{self, Kernel};

/// How kernels are obtained.
#[derive(Clone, Debug)]
pub struct Options {
    /// How those that are there are looked up.
    pub images: kernel::ImageOptions,
    /// How those that are not are built.
    pub recipe: Recipe,
    /// Whether a tree is taken with its uncommitted changes.
    pub dirty: bool,
    /// Ends what takes long.
    pub interrupt: Interrupt,
}

/// The kernel to take when none is named: the newest stock kernel of the host's own suite.
///
/// # Errors
///
/// When the host is no Debian.
pub fn default_spec() -> Result<KernelSpec, ObtainError> {
    Ok(KernelSpec::Image(kernel::default_spec()?))
}

/// Fetches a kernel, or builds it, and makes it ready to boot. `progress` is told, in a line without an end,
/// what takes time.
///
/// # Errors
///
/// When it cannot be had.
pub fn obtain(
    spec: &KernelSpec,
    cache: &Cache,
    options: &Options,
    progress: &dyn Fn(&str),
) -> Result<Kernel, ObtainError> {
    Ok(match spec {
        KernelSpec::Image(image) => {
            kernel::obtain(image, cache, options.images, &options.interrupt, progress)?
        }
        KernelSpec::Tree(tree) => {
            let source = kbuild::open(tree, cache, options.images, &options.interrupt, progress)?;
            let commit = source.choose(tree.revision.as_deref(), options.dirty, progress)?;
            let builder =
                kbuild::Builder::new(&options.recipe, cache, &options.interrupt, progress)?;
            builder.build(&source, &commit)?.kernel
        }
    })
}
