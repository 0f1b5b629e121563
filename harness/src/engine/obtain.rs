//! Obtains the kernel that a name stands for: fetches an image, or builds a tree.

use super::{EngineError, KernelSpec, ObtainSetup};
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kbuild::{self, Builder};
use crate::kernel::{self, Kernel};

/// Fetches or builds a kernel and makes it ready to boot. `say` receives one line, without a line
/// end, for each thing that takes time.
///
/// # Errors
///
/// Returns an error if the kernel does not exist, cannot be fetched or does not build.
pub fn obtain(
    spec: &KernelSpec,
    cache: &Cache,
    setup: &ObtainSetup,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Kernel, EngineError> {
    Ok(match spec {
        KernelSpec::Image(image) => kernel::obtain(image, cache, setup.images, interrupt, say)?,
        KernelSpec::Tree(tree) => {
            let source = kbuild::open(tree, cache, setup.images, interrupt, say)?;
            let commit = source.choose(tree.revision.as_deref(), setup.dirty, say)?;
            Builder::new(&setup.recipe, cache, interrupt, say)?.build(&source, &commit)?.kernel
        }
    })
}
