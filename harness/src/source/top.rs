//! Recognises the top directory of a kernel tree.

use std::path::Path;

/// Files that perfsec's builds need and that no other kind of tree has.
pub(super) const FILES: [&str; 3] = ["Makefile", "Kconfig", "scripts/kconfig/merge_config.sh"];

/// The first of [`FILES`] that a directory lacks.
pub(super) fn missing_file(directory: &Path) -> Option<&'static str> {
    FILES.into_iter().find(|file| !directory.join(file).is_file())
}

/// A hint, as a clause, for a directory inside a kernel tree: names the top. Empty for others.
pub(super) fn hint(directory: &Path) -> String {
    let top = directory.ancestors().skip(1).find(|parent| missing_file(parent).is_none());
    top.map_or_else(String::new, |top| format!("; it is inside the kernel tree {}", top.display()))
}
