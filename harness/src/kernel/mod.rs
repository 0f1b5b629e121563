//! Kernels that others built: names, image formats, and the cache of what boots.

mod arch;
mod boot_header;
mod bytes;
mod config;
pub(crate) mod deb;
mod decompress;
mod elf;
pub(crate) mod hash;
mod image;
mod lzo;
mod obtain;
mod packed;
pub(crate) mod packing;
mod record;
pub(crate) mod rpm;
mod running;
mod spec;
mod version;

#[cfg(any(test, fuzzing))]
#[expect(clippy::unwrap_used, reason = "what fails here is a bug of the tests")]
pub(crate) mod fixture;

pub use arch::Arch;
pub use config::{Config, ConfigError, RELEVANT};
pub use deb::DebError;
pub use decompress::{Compression, DecompressError};
pub(crate) use elf::{ElfError, needs_libraries};
pub(crate) use image::is_deb;
pub use image::{EntryPoint, Image, ImageError};
pub use obtain::{ImageOptions, KernelError, default_spec, obtain, shipped_image};
pub(crate) use obtain::{load_built, store_built};
pub(crate) use packed::{find_packed, keep_packed};
pub use record::{Kernel, KernelImage, Origin};
pub use rpm::RpmError;
pub use running::RunningError;
pub(crate) use spec::archive_name;
pub use spec::{DebianSelector, ImageSpec, ImageSpecError};
pub use version::{FixedIn, KernelVersion, VersionError, VersionPrefix};
