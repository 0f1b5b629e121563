//! The axes on which a case is expanded into cells.

use std::fmt;

use perfsec_wire::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Level;
use crate::grant::Grant;

/// The values of a case on each axis; no axis is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Types of the subject's context.
    pub domain: Vec<String>,
    /// Values of `kernel.perf_event_paranoid`.
    pub paranoid: Vec<Level>,
    /// File capabilities of the subject.
    pub grant: Vec<Grant>,
    /// SELinux modes.
    pub mode: Vec<Mode>,
}

/// A cell of a case: one value on each axis.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Coordinates {
    /// Type of the subject's context.
    pub domain: String,
    /// `kernel.perf_event_paranoid`
    pub paranoid: Level,
    /// File capabilities of the subject.
    pub grant: Grant,
    /// SELinux mode.
    pub mode: Mode,
}

/// The cells that an expectation covers: on each axis, the named values, or all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Types of the subject's context.
    pub domain: Option<Vec<String>>,
    /// Values of `kernel.perf_event_paranoid`.
    pub paranoid: Option<Vec<Level>>,
    /// File capabilities of the subject.
    pub grant: Option<Vec<Grant>>,
    /// SELinux modes.
    pub mode: Option<Vec<Mode>>,
}

impl Axes {
    /// Iterates over all cells; the mode varies fastest.
    pub fn coordinates(&self) -> impl Iterator<Item = Coordinates> + '_ {
        self.domain.iter().flat_map(move |domain| {
            self.paranoid.iter().flat_map(move |&paranoid| {
                self.grant.iter().flat_map(move |&grant| {
                    self.mode.iter().map(move |&mode| Coordinates {
                        domain: domain.clone(),
                        paranoid,
                        grant,
                        mode,
                    })
                })
            })
        })
    }
}

impl Selector {
    /// True if the selector covers the cell.
    #[must_use]
    pub fn selects(&self, at: &Coordinates) -> bool {
        fn named<T: PartialEq>(values: Option<&Vec<T>>, value: &T) -> bool {
            values.is_none_or(|values| values.contains(value))
        }
        named(self.domain.as_ref(), &at.domain)
            && named(self.paranoid.as_ref(), &at.paranoid)
            && named(self.grant.as_ref(), &at.grant)
            && named(self.mode.as_ref(), &at.mode)
    }
}

impl Coordinates {
    /// The number of axes on which two cells differ: 0 to 4.
    #[must_use]
    pub fn distance(&self, other: &Self) -> usize {
        usize::from(self.domain != other.domain)
            + usize::from(self.paranoid != other.paranoid)
            + usize::from(self.grant != other.grant)
            + usize::from(self.mode != other.mode)
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/paranoid={}/{}/{}", self.domain, self.paranoid, self.grant, self.mode)
    }
}
