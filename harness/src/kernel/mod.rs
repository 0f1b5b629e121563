//! Kernels: name one, fetch it, and make of it what QEMU boots.

mod boot_header;
mod config;
mod deb;
mod debian;
mod decompress;
mod elf;
mod hash;
mod image;
mod obtain;
mod record;
mod spec;
mod version;

#[cfg(test)]
mod fixture;

pub use config::{Config, RELEVANT};
pub use deb::DebError;
pub use debian::{AptError, DebianError, KEYRING};
pub use decompress::{Compression, DecompressError};
pub use image::{Boot, Image, ImageError};
pub use obtain::{KernelError, Options, default_spec, obtain, shipped};
pub use record::{Kernel, Origin};
pub use spec::{KernelSpec, SpecError};
pub use version::{FixedIn, KernelVersion, VersionError, VersionPrefix};
