//! The seven verdicts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of a cell. The kernel is blamed only by [`Fail`](Self::Fail).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Everything was as expected.
    Pass,
    /// The kernel did something else.
    Fail,
    /// The kernel did something else, as it is known to.
    Xfail,
    /// A known difference is gone.
    Xpass,
    /// The kernel or the target lacks what the case is about.
    Skip,
    /// The case could not be carried out: bad set-up, lost audit records, no control.
    Error,
    /// The target or the harness died before the cell ran.
    Miss,
}

impl Verdict {
    /// All, in the order in which they are counted.
    pub const ALL: [Self; 7] =
        [Self::Pass, Self::Fail, Self::Xfail, Self::Xpass, Self::Skip, Self::Error, Self::Miss];

    /// The same verdict on a cell whose kernel is known to differ.
    #[must_use]
    pub fn known(self) -> Self {
        match self {
            Self::Pass => Self::Xpass,
            Self::Fail => Self::Xfail,
            other => other,
        }
    }

    /// Whether the cell ran and was judged.
    #[must_use]
    pub fn judged(self) -> bool {
        matches!(self, Self::Pass | Self::Fail | Self::Xfail | Self::Xpass)
    }

    /// Whether it keeps a run from being a success.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::Error | Self::Miss)
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
            Self::Error => "ERROR",
            Self::Miss => "MISS",
        })
    }
}
