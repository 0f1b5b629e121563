//! What people and machines read. A report is made of a run and looks at nothing else.

mod difference;
mod format;
mod html;
mod json;
mod junit;
mod kcidb;
mod ktap;
pub mod mail;
mod plain;
mod progress;
mod schema;
mod summary;

pub use difference::difference;
pub use format::{Format, FormatOptions};
pub use html::html;
pub use kcidb::KcidbOrigin;
pub use progress::Progress;
pub use schema::Schema;
pub use summary::summary;
