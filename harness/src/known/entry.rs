//! One known difference, with the cells and kernels that have it.

use std::path::PathBuf;

use crate::case::{Circumstances, Condition, KnownDifference};
use crate::plan::CellNames;

/// A known difference, and where it holds.
#[derive(Clone, Debug)]
pub struct KnownEntry {
    /// The difference.
    pub difference: KnownDifference,
    /// The file that lists it, and the line.
    pub place: (PathBuf, usize),
    /// The cells.
    pub cells: CellNames,
    /// The kernels.
    pub kernels: Condition,
    /// Name of the policy to which it is limited.
    pub policy: Option<String>,
    /// The transcript that is seen instead of the expected one. `None` allows any.
    pub instead: Option<Vec<String>>,
}

impl KnownEntry {
    /// True if the difference affects this cell on this kernel under this policy.
    #[must_use]
    pub fn affects(&self, cell: &str, kernel: &Circumstances<'_>, policy: &str) -> bool {
        self.policy.as_deref().is_none_or(|name| name == policy)
            && self.kernels.holds(kernel)
            && self.cells.contains(cell)
    }

    /// True if the difference accounts for this transcript of a cell that it affects.
    #[must_use]
    pub fn explains(&self, observed: &[String]) -> bool {
        self.instead.as_ref().is_none_or(|lines| match_transcript(lines, observed))
    }
}

/// True if a transcript is the one that was written, line by line; `(...)` matches any arguments.
pub(crate) fn match_transcript(written: &[String], observed: &[String]) -> bool {
    written.len() == observed.len()
        && std::iter::zip(written, observed).all(|(line, observed)| match_line(line, observed))
}

fn match_line(written: &str, observed: &str) -> bool {
    match written.split_once("(...)") {
        Some((syscall, result)) => {
            observed.strip_prefix(syscall).is_some_and(|rest| rest.starts_with('('))
                && observed.ends_with(&format!("){result}"))
        }
        None => written == observed,
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
    fn elided_arguments_match_any_others_match_only_themselves(
        #[case] written: &str,
        #[case] observed: &str,
        #[case] matches: bool,
    ) {
        assert_eq!(match_line(written, observed), matches);
    }
}
