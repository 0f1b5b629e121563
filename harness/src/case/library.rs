//! All the cases of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{self, Completeness};
use super::{Case, CaseErrors};

/// Cases in the order of their names.
#[derive(Clone, Debug)]
pub struct Library {
    /// The cases.
    pub cases: Vec<Case>,
}

/// Why cases could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A file or directory could not be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory without a case.
    #[error("find a case in {path}: a case is a file `NAME.toml` in it or below it", path = .path.display())]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// Case files with mistakes.
    #[error(transparent)]
    Cases(#[from] CaseErrors),
}

impl Library {
    /// The cases that travel inside the program.
    ///
    /// # Errors
    ///
    /// Mistakes in them; a test of the project shows that there are none.
    pub fn built_in() -> Result<Self, LibraryError> {
        let files = perfsec_cases::suite().into_iter().map(|(name, text)| {
            let path = PathBuf::from(format!("cases/suite/{name}"));
            (name.to_owned(), path, text.to_owned())
        });
        Self::read(files, Completeness::Demanded)
    }

    /// The cases in a directory and below it.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read or has no case, and every mistake in the files.
    pub fn directory(root: &Path) -> Result<Self, LibraryError> {
        Self::below(root, Completeness::Demanded)
    }

    /// The same, but cells may lack an expectation and denials a control: `bless` will tell.
    ///
    /// # Errors
    ///
    /// Those of [`directory`](Self::directory).
    pub fn directory_to_bless(root: &Path) -> Result<Self, LibraryError> {
        Self::below(root, Completeness::NotYet)
    }

    fn below(root: &Path, completeness: Completeness) -> Result<Self, LibraryError> {
        let mut paths = Vec::new();
        collect(root, &mut paths)?;
        if paths.is_empty() {
            return Err(LibraryError::Empty { path: root.to_owned() });
        }
        let mut files = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path)
                .map_err(|source| LibraryError::Read { path: path.clone(), source })?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, path, text));
        }
        Self::read(files.into_iter(), completeness)
    }

    fn read(
        files: impl Iterator<Item = (String, PathBuf, String)>,
        completeness: Completeness,
    ) -> Result<Self, LibraryError> {
        let (mut cases, mut errors) = (Vec::new(), Vec::new());
        for (name, path, text) in files {
            match file::read(name.trim_end_matches(".toml"), &path, &text, completeness) {
                Ok(case) => cases.push(case),
                Err(problems) => errors.extend(problems),
            }
        }
        if !errors.is_empty() {
            return Err(CaseErrors(errors).into());
        }
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { cases })
    }
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<(), LibraryError> {
    let unreadable = |source| LibraryError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    Ok(())
}
