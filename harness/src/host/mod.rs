//! The host: what it is, what it has of what perfsec needs, and how it gets the rest.

mod os_release;

pub use os_release::OsRelease;
