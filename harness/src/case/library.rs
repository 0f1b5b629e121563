//! The case library: all cases that a run can choose from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::complete::Completeness;
use super::read;
use super::{Case, CaseError, CaseErrors, Coordinates};
use crate::asks::{Model, ModelError};
use crate::foreign;

/// The most files and directories in and below a directory of cases. Links are followed, so a
/// directory may be below itself.
const MOST_ENTRIES: usize = 10_000;

/// All cases, sorted by name.
#[derive(Clone, Debug)]
pub struct Library {
    /// The cases.
    pub cases: Vec<Case>,
}

/// An error from reading cases.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// A file or directory could not be read.
    #[error("read {path}", path = .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// A directory without a case.
    #[error(
        "find a case in {path}: a case is a file `NAME.toml` in it or below it",
        path = .path.display()
    )]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// A directory that is not one of cases.
    #[error(
        "read the cases in {path}: it has more than {MOST_ENTRIES} files and directories (a link \
         in it may name a directory above)",
        path = .path.display()
    )]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// Case files with mistakes.
    #[error(transparent)]
    Cases(#[from] CaseErrors),
    /// The built-in lists of functions or domains have mistakes.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl Library {
    /// Names of the policies that cells need in addition to the run's own.
    pub fn policies(&self) -> impl Iterator<Item = &str> {
        self.cases.iter().flat_map(Case::policies)
    }

    /// The names of all cells.
    #[must_use]
    pub fn cell_names(&self) -> Vec<String> {
        let names = |case: &Case| -> Vec<String> {
            case.axes.coordinates().map(|at| case.cell_name(&at)).collect()
        };
        self.cases.iter().flat_map(names).collect()
    }

    /// The built-in cases.
    ///
    /// # Errors
    ///
    /// Mistakes in them, which a test of the project rules out.
    pub fn built_in() -> Result<Self, LibraryError> {
        let files = perfsec_cases::suite().into_iter().map(|(name, text)| {
            let path = PathBuf::from(format!("cases/suite/{name}"));
            (name.to_owned(), path, text.to_owned())
        });
        Self::read_files(files, Completeness::Required)
    }

    /// Reads the cases in a directory and below it.
    ///
    /// # Errors
    ///
    /// A directory that cannot be read or has no case, and every mistake in the files.
    pub fn directory(root: &Path) -> Result<Self, LibraryError> {
        Self::read_directory(root, Completeness::Required)
    }

    /// Reads a directory for `bless`: cells may lack an expectation, and denials a control.
    ///
    /// # Errors
    ///
    /// As [`directory`](Self::directory).
    pub fn directory_to_bless(root: &Path) -> Result<Self, LibraryError> {
        Self::read_directory(root, Completeness::Optional)
    }

    /// SHA-256 of all cases, in hex. Two runs with the same hash chose from the same cases.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut all = Sha256::new();
        for case in &self.cases {
            all.update(format!("{} {}\n", case.sha256, case.name));
        }
        crate::hex(&all.finalize())
    }

    fn read_directory(root: &Path, completeness: Completeness) -> Result<Self, LibraryError> {
        let paths = CaseFiles::collect(root)?;
        if paths.is_empty() {
            return Err(LibraryError::Empty { path: root.to_owned() });
        }
        let mut files = Vec::new();
        for path in paths {
            let text = foreign::read_text(&path, &foreign::CASE)
                .map_err(|source| LibraryError::Read { path: path.clone(), source })?;
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            files.push((name, path, text));
        }
        Self::read_files(files.into_iter(), completeness)
    }

    fn read_files(
        files: impl Iterator<Item = (String, PathBuf, String)>,
        completeness: Completeness,
    ) -> Result<Self, LibraryError> {
        let model = Model::built_in()?;
        let (mut cases, mut errors) = (Vec::new(), Vec::new());
        for (name, path, text) in files {
            let name = name.trim_end_matches(".toml");
            match read::read(name, &path, &text, &model, completeness) {
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
            library.cases.iter().filter_map(|case| library.control_mistake(case)).collect();
        if !errors.is_empty() {
            return Err(CaseErrors(errors).into());
        }
        Ok(library)
    }

    /// The control of a cell that expects a denial and has none in its own case: the nearest cell
    /// in which nothing is refused, in the case that `control` names.
    #[must_use]
    pub fn control_in_other_case(
        &self,
        case: &Case,
        at: &Coordinates,
    ) -> Option<(&Case, Coordinates)> {
        let named = case.control.as_ref()?;
        if !case.expects_denial(at) || case.control(at).is_some() {
            return None;
        }
        let other = self.cases.iter().find(|other| other.name == named.name)?;
        Some((other, other.nearest_success(at)?))
    }

    /// The mistake in the `control` of a case, if there is one.
    fn control_mistake(&self, case: &Case) -> Option<CaseError> {
        let named = case.control.as_ref()?;
        let error = |message: String| CaseError {
            path: case.path.clone(),
            text: case.text.as_str().into(),
            span: named.span.clone(),
            message,
            help: None,
        };
        let Some(other) = self.cases.iter().find(|other| other.name == named.name) else {
            let names = self.cases.iter().map(|case| &case.name);
            let close = crate::suggest::closest(&named.name, names);
            return Some(error(format!("no case `{}`{close}", named.name)));
        };
        // The control runs first, in the same boot, and lockdown cannot be lowered.
        if other.boot != case.boot || other.lockdown > case.lockdown {
            return Some(error(format!(
                "`{}` cannot run before this case in the same boot",
                other.name
            )));
        }
        // A denial whose control is skipped proves nothing.
        let own: Vec<_> = case.requires.iter().filter_map(|name| case.condition(name)).collect();
        let more = |name: &&String| {
            other.condition(name).is_some_and(|condition| !own.contains(&condition))
        };
        if let Some(name) = other.requires.iter().find(more) {
            return Some(error(format!(
                "`{}` requires `{name}`, which this case does not",
                other.name
            )));
        }
        let any = case.axes.coordinates().next()?;
        match other.nearest_success(&any) {
            Some(_) => None,
            None => Some(error(format!(
                "`{}` is refused in every cell: it cannot be a control",
                other.name
            ))),
        }
    }
}

/// Collects the case files of a directory.
#[derive(Default)]
struct CaseFiles {
    paths: Vec<PathBuf>,
    /// Number of entries of all directories so far.
    entries: usize,
}

impl CaseFiles {
    fn collect(root: &Path) -> Result<Vec<PathBuf>, LibraryError> {
        let mut files = Self::default();
        files.add(root, root)?;
        Ok(files.paths)
    }

    fn add(&mut self, root: &Path, directory: &Path) -> Result<(), LibraryError> {
        let unreadable = |source| LibraryError::Read { path: directory.to_owned(), source };
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return Err(LibraryError::TooMany { path: root.to_owned() });
            }
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                self.add(root, &path)?;
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                self.paths.push(path);
            }
        }
        Ok(())
    }
}
