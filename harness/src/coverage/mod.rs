//! Which of a kernel's decision points about perf were seen to decide, and how.
//!
//! The agent tells the places that asked and those that could have; [`Points`] says what each is about and
//! why some cannot be reached; [`Survey`] puts both together, and [`Table`] shows it. Nothing here looks at
//! what cases claim.

mod ask;
mod points;
mod source;
mod survey;
mod table;

pub use ask::Ask;
pub use points::{Answer, Because, Point, Points, PointsError, Unreachable};
pub use source::{Place, SourceError, scan};
pub use survey::{Absent, Finding, Row, Survey};
pub use table::{Table, describe, sources};
