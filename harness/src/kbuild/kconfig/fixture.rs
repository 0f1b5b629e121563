//! Small kernel trees for tests.

use std::path::Path;

use super::definition::Tree;
use crate::cache::Cache;
use crate::interrupt::Interrupt;
use crate::kbuild;
use crate::kernel::ImageOptions;
use crate::source::Source;

/// A checkout of a real tree: the one named by `PERFSEC_TEST_TREE` (as in `perfsec kernel build`),
/// else Debian's 6.1.
pub(super) fn real_tree() -> Source {
    let named = std::env::var("PERFSEC_TEST_TREE");
    let spec = named.as_deref().unwrap_or("debian:6.1").parse().expect("a tree");
    let (cache, interrupt) = (Cache::open().expect("a cache"), Interrupt::default());
    let source = kbuild::open(&spec, &cache, ImageOptions::default(), &interrupt, &|_| {});
    let source = source.expect("a kernel tree");
    let commit = source.resolve(spec.revision.as_deref(), true).expect("a commit");
    source.check_out(&commit).expect("a checkout");
    source
}

/// Writes a tree with these files and reads it.
pub(super) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    let tree = Tree::read(folder.path()).expect("a tree");
    (folder, tree)
}

/// Writes a file, and creates its parent directories.
pub(super) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    std::fs::write(path, text).expect("a file");
}
