//! Kernels: name one, fetch it, and make of it what QEMU boots.

mod boot_header;
mod config;
mod decompress;
mod elf;
mod image;
mod spec;
mod version;

#[cfg(test)]
mod fixture;

pub use config::{Config, RELEVANT};
pub use decompress::{Compression, DecompressError};
pub use image::{Boot, Image, ImageError};
pub use spec::{KernelSpec, SpecError};
pub use version::{FixedIn, KernelVersion, VersionError, VersionPrefix};
