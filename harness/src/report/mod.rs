//! Reports for people and for programs. A report is made from a run record alone.

mod annotations;
mod attempts;
pub mod b4;
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
mod wording;

pub use attempts::attempts;
pub use difference::difference;
pub use format::{Format, FormatOptions};
pub use html::html;
pub use kcidb::KcidbOrigin;
pub use progress::Progress;
pub use schema::Schema;
pub use summary::{brief, summary};
