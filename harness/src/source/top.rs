//! The files by which the top of a kernel tree is known.

use std::path::Path;

/// What perfsec builds with and no tree of another kind has.
pub(super) const FILES: [&str; 3] = ["Makefile", "Kconfig", "scripts/kconfig/merge_config.sh"];

/// The first of them that a directory lacks.
pub(super) fn lacks(directory: &Path) -> Option<&'static str> {
    FILES.into_iter().find(|file| !directory.join(file).is_file())
}

/// What to say of a directory that is no top: the one that was meant, if it is in a kernel tree.
pub(super) fn hint(directory: &Path) -> String {
    let top = directory.ancestors().skip(1).find(|around| lacks(around).is_none());
    top.map_or_else(String::new, |top| {
        format!("; the top of the kernel tree that it is in is {}", top.display())
    })
}
