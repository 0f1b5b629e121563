//! What people read. A report is made of a run and looks at nothing else.

mod difference;
mod format;
mod progress;
mod summary;

pub use difference::difference;
pub use format::Format;
pub use progress::Progress;
pub use summary::summary;
