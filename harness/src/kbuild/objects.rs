//! Remembers the warnings of each object in a build directory, because an incremental build does
//! not repeat the warnings of objects that it does not compile again.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, WarningsByObject};
use crate::cache::{Cache, CacheError};
use crate::foreign;

/// File name in the build directory.
const FILE: &str = ".perfsec-objects.json";

/// The objects of a build directory, with their warnings.
#[derive(Debug)]
pub(super) struct Objects {
    out: PathBuf,
    warnings: WarningsByObject,
}

impl Objects {
    /// Loads the objects of this directory; `None` if their file is damaged.
    pub(super) fn load(out: &Path) -> Option<Self> {
        match foreign::read(&out.join(FILE), &foreign::CACHED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Self::none(out)),
            text => {
                let warnings = serde_json::from_slice(&text.ok()?).ok()?;
                Some(Self { warnings, ..Self::none(out) })
            }
        }
    }

    /// No objects, in this directory.
    pub(super) fn none(out: &Path) -> Self {
        Self { out: out.to_owned(), warnings: WarningsByObject::new() }
    }

    /// Number of objects of a kernel; `None` until one is linked, because a build that was
    /// interrupted leaves fewer.
    pub(super) fn count(&self) -> Option<usize> {
        self.out.join("vmlinux").exists().then_some(self.warnings.len())
    }

    /// Adds the objects that were compiled, and forgets those that no longer exist.
    pub(super) fn update(&mut self, compiled: &WarningsByObject) {
        self.warnings.extend(compiled.clone());
        self.warnings.retain(|object, _| self.out.join(object).exists());
    }

    /// Writes the file in the build directory.
    pub(super) fn write(&self, cache: &Cache) -> Result<(), CacheError> {
        let path = self.out.join(FILE);
        let text = serde_json::to_vec(&self.warnings).map_err(io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(|error| cache.error("write", &path, error))
    }

    /// The warnings of all objects.
    pub(super) fn warnings(&self) -> BTreeSet<Diagnostic> {
        self.warnings.values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(text: &str) -> BTreeSet<Diagnostic> {
        let file = Some("kernel/a.c".to_owned());
        [Diagnostic { file, line: Some(1), message: text.to_owned() }].into()
    }

    #[test]
    fn a_warning_stays_until_its_object_compiles_without_it_or_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(&directory.path().join("cache")).unwrap();
        let out = directory.path();
        ["a.o", "b.o"].iter().for_each(|name| fs::write(out.join(name), "").unwrap());
        let mut objects = Objects::load(out).unwrap();
        assert_eq!(objects.count(), None);
        let compiled = [("a.o".to_owned(), warning("x")), ("b.o".to_owned(), warning("y"))];
        objects.update(&compiled.into());
        objects.write(&cache).unwrap();
        assert_eq!(objects.count(), None);
        fs::write(out.join("vmlinux"), "").unwrap();

        let mut objects = Objects::load(out).unwrap();
        assert_eq!((objects.count(), objects.warnings().len()), (Some(2), 2));
        objects.update(&[("a.o".to_owned(), BTreeSet::new())].into());
        assert_eq!(objects.warnings(), warning("y"));
        fs::remove_file(out.join("b.o")).unwrap();
        objects.update(&WarningsByObject::new());
        assert!(objects.warnings().is_empty());
        fs::write(out.join(FILE), "{\"b.o\":").unwrap();
        assert!(Objects::load(out).is_none());
    }
}
