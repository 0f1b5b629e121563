//! Kernels: name one, fetch it, and make of it what QEMU boots.

mod arch;
mod boot_header;
mod config;
pub(crate) mod deb;
mod debian;
mod decompress;
mod elf;
pub(crate) mod hash;
mod image;
mod obtain;
pub(crate) mod packing;
mod record;
mod spec;
mod version;

#[cfg(test)]
pub(crate) mod fixture;

pub use arch::Arch;
pub use config::{Config, RELEVANT};
pub use deb::DebError;
pub(crate) use debian::Found;
pub use debian::{AptError, Content, DebianError, KEYRING};
pub use decompress::{Compression, DecompressError};
pub use image::{Boot, Image, ImageError};
pub use obtain::{KernelError, Options, default_spec, obtain, shipped};
pub(crate) use obtain::{keep, kept};
pub use record::{Kernel, KernelImage, Origin};
pub use spec::{ImageSpec, ImageSpecError};
pub use version::{FixedIn, KernelVersion, VersionError, VersionPrefix};
