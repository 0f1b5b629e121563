//! All the cases of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::complete::Completeness;
use super::file;
use super::{Case, CaseError, CaseErrors, Coordinates};

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

    /// SHA-256 over all cases, in hex: two runs that have it in common chose from the same.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut all = Sha256::new();
        for case in &self.cases {
            all.update(format!("{} {}\n", case.sha256, case.name));
        }
        crate::hex(&all.finalize())
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
        let library = Self { cases };
        let errors: Vec<_> =
            library.cases.iter().filter_map(|case| library.mistake_of_control(case)).collect();
        if !errors.is_empty() {
            return Err(CaseErrors(errors).into());
        }
        Ok(library)
    }

    /// The control of a cell that expects a denial and has none in its own case: the nearest cell of the case
    /// that is named for it in which nothing is refused.
    #[must_use]
    pub fn control_elsewhere(&self, case: &Case, at: &Coordinates) -> Option<(&Case, Coordinates)> {
        let named = case.control.as_ref()?;
        if !case.expects_denial(at) || case.control(at).is_some() {
            return None;
        }
        let other = self.cases.iter().find(|other| other.name == named.name)?;
        Some((other, other.nearest_success(at)?))
    }

    fn mistake_of_control(&self, case: &Case) -> Option<CaseError> {
        let named = case.control.as_ref()?;
        let error = |message: String| CaseError {
            path: case.path.clone(),
            text: case.text.clone(),
            span: named.span.clone(),
            message,
            help: None,
        };
        let Some(other) = self.cases.iter().find(|other| other.name == named.name) else {
            let names = self.cases.iter().map(|case| &case.name);
            let close = crate::suggest::closest(&named.name, names);
            return Some(error(format!("no case `{}`{close}", named.name)));
        };
        // It must have run before, and a lockdown is only ever raised.
        if other.boot != case.boot || other.lockdown > case.lockdown {
            return Some(error(format!("`{}` cannot run before, in the same boot", other.name)));
        }
        let any = case.axes.coordinates().next()?;
        match other.nearest_success(&any) {
            Some(_) => None,
            None => {
                Some(error(format!("`{}` is refused everywhere: it controls nothing", other.name)))
            }
        }
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
