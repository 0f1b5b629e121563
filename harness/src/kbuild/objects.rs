//! What a build directory remembers of the compilation of each object: an incremental build repeats no
//! warning of what it does not compile again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, WarningsByObject};
use crate::cache::{Cache, CacheError};

/// The file, in the build directory.
const FILE: &str = ".perfsec-objects.json";

/// The objects of a build directory.
#[derive(Debug)]
pub(super) struct Objects {
    out: PathBuf,
    of: WarningsByObject,
}

impl Objects {
    /// What is remembered of this directory. What cannot be read is as good as forgotten.
    pub(super) fn load(out: &Path) -> Self {
        let text = fs::read(out.join(FILE)).unwrap_or_default();
        Self { out: out.to_owned(), of: serde_json::from_slice(&text).unwrap_or_default() }
    }

    /// How many there are; none in a new directory.
    pub(super) fn usual(&self) -> Option<usize> {
        (!self.of.is_empty()).then_some(self.of.len())
    }

    /// Takes in what was compiled.
    pub(super) fn take(&mut self, compiled: &WarningsByObject) {
        self.of.extend(compiled.iter().map(|(object, said)| (object.clone(), said.clone())));
        self.of.retain(|object, _| self.out.join(object).exists());
    }

    /// Remembers it.
    pub(super) fn write(&self, cache: &Cache) -> Result<(), CacheError> {
        let path = self.out.join(FILE);
        let text = serde_json::to_vec(&self.of).map_err(std::io::Error::from);
        text.and_then(|text| fs::write(&path, text))
            .map_err(|error| cache.error("write", &path, error))
    }

    /// The warnings of all that the kernel is linked from.
    pub(super) fn warnings(&self) -> BTreeSet<Diagnostic> {
        self.of.values().flatten().cloned().collect()
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
    fn a_warning_is_remembered_until_its_object_is_compiled_without_it_or_gone() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(&directory.path().join("cache")).unwrap();
        let out = directory.path();
        ["a.o", "b.o"].iter().for_each(|name| fs::write(out.join(name), "").unwrap());
        let mut objects = Objects::load(out);
        assert_eq!(objects.usual(), None);
        objects.take(&[("a.o".to_owned(), warning("x")), ("b.o".to_owned(), warning("y"))].into());
        objects.write(&cache).unwrap();

        let mut objects = Objects::load(out);
        assert_eq!((objects.usual(), objects.warnings().len()), (Some(2), 2));
        objects.take(&[("a.o".to_owned(), BTreeSet::new())].into());
        assert_eq!(objects.warnings(), warning("y"));
        fs::remove_file(out.join("b.o")).unwrap();
        objects.take(&WarningsByObject::new());
        assert!(objects.warnings().is_empty());
    }
}
