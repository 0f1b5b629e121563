//! From the name of a tree to the tree.

use super::spec::{TreeLocation, TreeSpec};
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kernel::ImageOptions;
use crate::source::{DebianSource, Source, SourceError};

/// Opens the tree that is named, fetching it first if it is Debian's.
///
/// # Errors
///
/// When there is none.
pub fn open(
    spec: &TreeSpec,
    cache: &Cache,
    options: ImageOptions,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Source, SourceError> {
    match &spec.place {
        TreeLocation::Path(path) => {
            // Only what is not there is taken apart at its `@`: it may have been meant as a whole.
            if let Some(revision) = &spec.revision
                && !path.exists()
            {
                let (whole, path) = (spec.to_string(), path.clone());
                return Err(SourceError::NoTree { whole, path, revision: revision.clone() });
            }
            Source::open(path, &path.display().to_string(), cache, interrupt, say)
        }
        TreeLocation::Debian(wanted) => {
            let found = DebianSource::find(wanted, cache, options, say)?;
            let file = found.fetch(cache, options, say)?;
            Source::open(&file, &format!("debian:{}", found.kernel()), cache, interrupt, say)
        }
    }
}
