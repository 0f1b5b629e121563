//! Small kernel trees for tests.

use std::path::Path;

use super::definition::Tree;

/// A tree of these files, and what is read of it.
pub(super) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    let tree = Tree::read(folder.path()).expect("a tree");
    (folder, tree)
}

/// Writes a file, and the folders that it is in.
pub(super) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    std::fs::write(path, text).expect("a file");
}
