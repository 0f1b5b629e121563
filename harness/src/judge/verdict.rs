//! Verdicts on cells.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The verdict on a cell. Only [`Fail`](Self::Fail) blames the kernel.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The cell met its expectation.
    Pass,
    /// The kernel did something else.
    Fail,
    /// The kernel did something else, and is known to.
    Xfail,
    /// A known difference is gone.
    Xpass,
    /// The kernel or the machine lacks something that the case requires.
    Skip,
    /// The cell behaves differently on repetition, so neither result counts.
    Flaky,
    /// The cell could not be carried out: bad set-up, lost audit records, no control.
    Error,
    /// The machine or the harness died before the cell ran.
    Miss,
}

impl Verdict {
    /// All verdicts, in the order in which reports count them.
    pub const ALL: [Self; 8] = [
        Self::Pass,
        Self::Fail,
        Self::Xfail,
        Self::Xpass,
        Self::Skip,
        Self::Flaky,
        Self::Error,
        Self::Miss,
    ];

    /// The verdict if the kernel is known to differ in this cell.
    #[must_use]
    pub fn with_known_difference(self) -> Self {
        match self {
            Self::Pass => Self::Xpass,
            Self::Fail => Self::Xfail,
            other => other,
        }
    }

    /// True if the cell ran and has one result that was compared with its expectation. A `FLAKY`
    /// cell has several.
    #[must_use]
    pub fn judged(self) -> bool {
        matches!(self, Self::Pass | Self::Fail | Self::Xfail | Self::Xpass)
    }

    /// True if the cell should have been judged and was not: it has no result, or no single one.
    #[must_use]
    pub fn is_unjudged(self) -> bool {
        matches!(self, Self::Flaky | Self::Error | Self::Miss)
    }

    /// True if a run with this verdict is not a success.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self == Self::Fail || self.is_unjudged()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Xfail => "XFAIL",
            Self::Xpass => "XPASS",
            Self::Skip => "SKIP",
            Self::Flaky => "FLAKY",
            Self::Error => "ERROR",
            Self::Miss => "MISS",
        })
    }
}
