//! Coverage: which of a kernel's decision points about perf were seen to decide, and how.
//!
//! The agent reports the places that asked the security modules and those that could have asked.
//! [`Points`] lists the decision points to which they belong, and why some cannot be reached;
//! [`Survey`] combines both, and [`CoverageTable`] displays it. Nothing here depends on what cases
//! claim to cover.

mod points;
mod question;
mod source;
mod survey;
mod table;

pub use points::{Answer, ImpossibleAnswer, Obstacle, Point, Points, PointsError, Unreachable};
pub use question::LsmQuestion;
pub use source::{CallSite, ScanError, scan};
pub use survey::{AbsentPoint, AnswersSeen, Survey, SurveyRow};
pub use table::{CoverageTable, format_points, format_sources};
