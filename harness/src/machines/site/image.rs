//! The image of a kernel that another kernel can load. perfsec's cache has it unpacked, as QEMU
//! boots it, but `kexec_file_load(2)` wants the bzImage.

use std::path::Path;

use crate::cache::Cache;
use crate::foreign;
use crate::interrupt::Interrupt;
use crate::kernel::{
    DebianSelector, EntryPoint, ImageOptions, ImageSpec, Kernel, Origin, VersionPrefix, hash,
    shipped_image,
};

/// The bzImage of a kernel.
///
/// # Errors
///
/// Why there is none, as a clause.
pub(super) fn of(kernel: &Kernel, cache: &Cache) -> Result<Vec<u8>, String> {
    let image = kernel.image.as_ref().ok_or("its image is not on this host")?;
    let is_it = |bytes: &[u8]| hash::sha256(bytes) == image.sha256;
    if image.entry == EntryPoint::BzImage && cache.vouches_for(&image.path) {
        return read(&image.path);
    }
    let file = |path: &Path| vec![ImageSpec::File(path.to_owned())];
    let specs = match &kernel.origin {
        Origin::File { path } | Origin::Deb { path, .. } | Origin::Rpm { path, .. } => file(path),
        Origin::Debian { suite, .. } => {
            let version = kernel.version.to_string();
            let series = version.rsplit_once('.').map_or(version.as_str(), |(series, _)| series);
            let series = series.parse::<VersionPrefix>().ok().map(DebianSelector::Version);
            let suite = DebianSelector::Suite(suite.clone());
            [Some(suite), series].into_iter().flatten().map(ImageSpec::Debian).collect()
        }
        Origin::Running { .. } | Origin::Tree { .. } => {
            return Err(
                "perfsec keeps only the unpacked image of a kernel that it built: give the \
                        file arch/x86/boot/bzImage"
                    .to_owned(),
            );
        }
    };
    let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
    let mut why = "its package has another image by now".to_owned();
    for spec in specs {
        match shipped_image(&spec, cache, options, &interrupt, &|_| {}) {
            Ok(bytes) if is_it(&bytes) && is_bzimage(&bytes) => return Ok(bytes),
            Ok(bytes) if is_it(&bytes) => return Err("it is not a bzImage".to_owned()),
            Ok(_) => {}
            Err(error) => why = crate::causes::with_causes(&error),
        }
    }
    Err(why)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    foreign::read(path, &foreign::KERNEL).map_err(|error| error.to_string())
}

/// True for the boot protocol of x86 (`HdrS` at 0x202).
fn is_bzimage(bytes: &[u8]) -> bool {
    bytes.get(0x202..0x206) == Some(b"HdrS")
}
