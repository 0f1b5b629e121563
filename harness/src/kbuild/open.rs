//! Opens the kernel tree that a name stands for.

use super::spec::{TreeLocation, TreeSpec};
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kernel::ImageOptions;
use crate::source::{DebianSource, Source, SourceError};

/// Opens a tree; downloads it first if it is in Debian's archive.
///
/// # Errors
///
/// The tree does not exist or cannot be read.
pub fn open(
    spec: &TreeSpec,
    cache: &Cache,
    options: ImageOptions,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Source, SourceError> {
    match &spec.location {
        TreeLocation::Path(path) => {
            // `spec` splits at an `@` only if the whole name does not exist, so the user may have
            // meant either; the error names both.
            if let Some(revision) = &spec.revision
                && !path.exists()
            {
                let (whole, path) = (spec.to_string(), path.clone());
                return Err(SourceError::NoTree { whole, path, revision: revision.clone() });
            }
            Source::open(path, &path.display().to_string(), cache, interrupt, say)
        }
        TreeLocation::Debian(selector) => {
            let package = DebianSource::find(selector, cache, options, interrupt, say)?;
            let file = package.fetch(cache, options, interrupt, say)?;
            Source::open(&file, &format!("debian:{}", package.kernel()), cache, interrupt, say)
        }
    }
}
