//! Guest systems: a distribution's userland, built from its packages, that boots with the kernel
//! under test.

mod archive;
mod bootstrap;
mod error;
mod image;
mod labels;
mod packages;
mod spec;

pub use error::GuestError;
pub use image::{GuestImage, GuestPackage, Obtaining};
pub use spec::{GuestName, GuestNameError};
