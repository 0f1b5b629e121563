//! A list of known differences, and which of them a cell meets.

use std::io;
use std::path::{Path, PathBuf};

use super::file;
use crate::case::{CaseErrors, Circumstances, Condition, Library};
use crate::judge::Known;
use crate::plan::CellNames;

/// A difference that some kernels are known to have in some cells.
#[derive(Clone, Debug)]
pub struct KnownDifference {
    /// Its name, reason and link.
    pub known: Known,
    /// Where it is written down: the file and its line.
    pub place: (PathBuf, usize),
    /// The cells.
    pub cells: CellNames,
    /// The kernels.
    pub kernels: Condition,
    /// The policy, by name, if it is about one.
    pub policy: Option<String>,
    /// What is seen instead of what is expected; without it, anything.
    pub instead: Option<Vec<String>>,
}

/// Known differences; of several that hold, the first counts.
#[derive(Clone, Debug, Default)]
pub struct KnownDifferences(pub Vec<KnownDifference>);

/// Why known differences could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// A file cannot be read.
    #[error("read the known differences in {path}", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Mistakes in a file.
    #[error(transparent)]
    Mistakes(#[from] CaseErrors),
}

impl KnownDifference {
    /// Whether it is about this cell on this kernel under this policy.
    #[must_use]
    pub fn concerns(&self, cell: &str, kernel: &Circumstances<'_>, policy: &str) -> bool {
        self.policy.as_deref().is_none_or(|name| name == policy)
            && self.kernels.holds(kernel)
            && self.cells.contains(cell)
    }

    /// Whether a cell that did not see what it had to saw what is known.
    #[must_use]
    pub fn explains(&self, observed: &[String]) -> bool {
        self.instead.as_ref().is_none_or(|lines| are_like(lines, observed))
    }
}

/// Whether what was seen is what was written, line by line, in which `(...)` stands for any arguments.
pub(crate) fn are_like(written: &[String], seen: &[String]) -> bool {
    written.len() == seen.len()
        && std::iter::zip(written, seen).all(|(line, seen)| is_like(line, seen))
}

/// Whether a line is the one that was written, in which `(...)` stands for any arguments.
fn is_like(written: &str, seen: &str) -> bool {
    match written.split_once("(...)") {
        Some((syscall, result)) => {
            seen.strip_prefix(syscall).is_some_and(|rest| rest.starts_with('('))
                && seen.ends_with(&format!("){result}"))
        }
        None => written == seen,
    }
}

impl KnownDifferences {
    /// Those that travel inside the program.
    ///
    /// # Errors
    ///
    /// Mistakes in them; a test of the project shows that there are none.
    pub fn built_in() -> Result<Self, KnownError> {
        let path = Path::new("cases/known.toml");
        Ok(Self(file::read(path, perfsec_cases::known()).map_err(CaseErrors)?))
    }

    /// Those that travel inside the program, after those of files.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, and every mistake in it.
    pub fn with(files: &[PathBuf]) -> Result<Self, KnownError> {
        let mut all = Vec::new();
        for path in files {
            let text = std::fs::read_to_string(path)
                .map_err(|source| KnownError::Read { path: path.clone(), source })?;
            all.extend(file::read(path, &text).map_err(CaseErrors)?);
        }
        all.extend(Self::built_in()?.0);
        Ok(Self(all))
    }

    /// Those that cases name themselves, as `xfail`.
    #[must_use]
    pub fn of_cases(library: &Library) -> Self {
        let mut all = Vec::new();
        for case in &library.cases {
            for expect in &case.expects {
                let Some((known, kernels)) = case.known(expect) else { continue };
                let names: Vec<_> = (case.axes.coordinates())
                    .filter(|at| expect.selector.selects(at))
                    .map(|at| case.cell_name(&at))
                    .collect();
                let Ok(cells) = CellNames::parse(&names) else { continue };
                all.push(KnownDifference {
                    known,
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

    /// The first that is about this cell and explains what it saw.
    #[must_use]
    pub fn of(
        &self,
        cell: &str,
        kernel: &Circumstances<'_>,
        policy: &str,
        observed: &[String],
    ) -> Option<&Known> {
        let all = self.0.iter();
        let mut concerned = all.filter(|known| known.concerns(cell, kernel, policy));
        concerned.find(|known| known.explains(observed)).map(|known| &known.known)
    }

    /// The first that is about this cell, whatever it saw.
    #[must_use]
    pub fn about(&self, cell: &str, kernel: &Circumstances<'_>, policy: &str) -> Option<&Known> {
        let mut all = self.0.iter();
        all.find(|known| known.concerns(cell, kernel, policy)).map(|known| &known.known)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("perf_event_open(...) = EPERM", "perf_event_open(software/dummy, pid=0) = EPERM", true)]
    #[case("perf_event_open(...) = EPERM", "perf_event_open(software/dummy) = EACCES", false)]
    #[case("read(...) = 8", "readlink(x) = 8", false)]
    #[case("  cap perfmon = not held", "  cap perfmon = not held", true)]
    #[case("  cap perfmon = not held", "  cap perfmon = granted", false)]
    fn a_line_is_what_was_seen_but_for_elided_arguments(
        #[case] written: &str,
        #[case] seen: &str,
        #[case] alike: bool,
    ) {
        assert_eq!(is_like(written, seen), alike);
    }

    #[test]
    fn the_list_that_travels_along_is_read() {
        KnownDifferences::built_in().unwrap();
    }
}
