//! What people read. A report looks at events and at nothing else.

mod difference;
mod progress;
mod text;

pub use difference::difference;
pub use progress::Progress;
pub use text::Text;
