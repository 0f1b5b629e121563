//! The list of known differences.

use std::io;
use std::path::{Path, PathBuf};

use super::{KnownEntry, file};
use crate::case::{CaseErrors, Circumstances, KnownDifference, Library};
use crate::foreign;
use crate::plan::CellNames;
use crate::transcript::Transcript;

/// Known differences; if several apply to a cell, the first counts.
#[derive(Clone, Debug, Default)]
pub struct KnownDifferences(pub Vec<KnownEntry>);

/// An error from reading known differences.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// A file cannot be read.
    #[error("read the known differences in {path}", path = .path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The error from the operating system.
        source: io::Error,
    },
    /// Mistakes in a file.
    #[error(transparent)]
    Mistakes(#[from] CaseErrors),
}

impl KnownDifferences {
    /// The built-in list.
    ///
    /// # Errors
    ///
    /// Mistakes in it, which a test of the project rules out.
    pub fn built_in() -> Result<Self, KnownError> {
        let path = Path::new("cases/known.toml");
        Ok(Self(file::read(path, perfsec_cases::known(), None).map_err(CaseErrors)?))
    }

    /// Reads files; their entries take precedence over the built-in list. Each glob of a file must
    /// match a cell of `library`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and every mistake in it.
    pub fn read(files: &[PathBuf], library: &Library) -> Result<Self, KnownError> {
        let mut all = Vec::new();
        for path in files {
            let text = foreign::read_named_text(path, &foreign::KNOWN)
                .map_err(|source| KnownError::Read { path: path.clone(), source })?;
            all.extend(file::read(path, &text, Some(library)).map_err(CaseErrors)?);
        }
        all.extend(Self::built_in()?.0);
        Ok(Self(all))
    }

    /// The differences that cases declare themselves, with `xfail`.
    #[must_use]
    pub fn from_cases(library: &Library) -> Self {
        let mut all = Vec::new();
        for case in &library.cases {
            for expect in &case.expects {
                let Some((difference, kernels)) = case.known_difference(expect) else { continue };
                let names: Vec<_> = (case.axes.coordinates())
                    .filter(|at| expect.selector.selects(at))
                    .map(|at| case.cell_name(&at))
                    .collect();
                let Ok(cells) = CellNames::parse(&names) else { continue };
                all.push(KnownEntry {
                    difference,
                    place: (case.path.clone(), expect.line),
                    cells,
                    kernels: kernels.clone(),
                    policy: None,
                    instead: None,
                });
            }
        }
        Self(all)
    }

    /// The first difference that affects this cell and explains its transcript.
    #[must_use]
    pub fn find_explaining(
        &self,
        cell: &str,
        kernel: &Circumstances<'_>,
        policy: &str,
        observed: &Transcript,
    ) -> Option<&KnownDifference> {
        let mut affecting = self.affecting(cell, kernel, policy);
        affecting.find(|entry| entry.explains(observed)).map(|entry| &entry.difference)
    }

    /// The first difference that affects this cell, whatever its transcript.
    #[must_use]
    pub fn find_affecting(
        &self,
        cell: &str,
        kernel: &Circumstances<'_>,
        policy: &str,
    ) -> Option<&KnownDifference> {
        self.affecting(cell, kernel, policy).next().map(|entry| &entry.difference)
    }

    fn affecting(
        &self,
        cell: &str,
        kernel: &Circumstances<'_>,
        policy: &str,
    ) -> impl Iterator<Item = &KnownEntry> {
        self.0.iter().filter(move |entry| entry.affects(cell, kernel, policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_valid_and_its_globs_match_cells() {
        KnownDifferences::built_in().unwrap();
        let library = Library::built_in().unwrap();
        let path = Path::new("cases/known.toml");
        file::read(path, perfsec_cases::known(), Some(&library)).unwrap();
    }
}
