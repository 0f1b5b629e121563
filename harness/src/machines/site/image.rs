//! The image of a kernel that another kernel can load. perfsec's cache has it unpacked, as QEMU
//! boots it, but `kexec_file_load(2)` wants the bzImage.

use std::path::Path;

use super::way::BootKind;
use crate::cache::Cache;
use crate::foreign;
use crate::interrupt::Interrupt;
use crate::kernel::{
    DebianSelector, ImageOptions, ImageSpec, Kernel, Origin, VersionPrefix, find_packed, hash,
    keep_packed, shipped_image,
};

/// `XLF_KERNEL_64` and `XLF_CAN_BE_LOADED_ABOVE_4G` of the boot header.
const RELOCATABLE: u8 = 0b11;

/// The bzImage of a kernel that can be started in this way.
///
/// # Errors
///
/// The kernel has no such image, or another kernel cannot load it; the reason, as a clause.
pub(super) fn of(kernel: &Kernel, cache: &Cache, boot: BootKind) -> Result<Vec<u8>, String> {
    let bytes = read(kernel, cache)?;
    is_loadable(&bytes, boot).map(|()| bytes)
}

fn read(kernel: &Kernel, cache: &Cache) -> Result<Vec<u8>, String> {
    let sha256 = kernel.sha256().ok_or("its image is not on this host")?;
    if let Some(path) = find_packed(cache, sha256) {
        return foreign::read(&path, &foreign::KERNEL).map_err(|error| error.to_string());
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
        // A build for this machine keeps it.
        Origin::Running { .. } | Origin::Tree { .. } => {
            return Err("the cache has lost it: run this again".to_owned());
        }
    };
    let (options, interrupt) = (ImageOptions::default(), Interrupt::default());
    let mut why = "its package has another image by now".to_owned();
    for spec in specs {
        match shipped_image(&spec, cache, options, &interrupt, &|_| {}) {
            Ok(bytes) if hash::sha256(&bytes) == sha256 => {
                // A package is not unpacked again. The file of a user stays where it is.
                if !matches!(kernel.origin, Origin::File { .. }) {
                    keep_packed(cache, sha256, &bytes)
                        .map_err(|it| crate::causes::with_causes(&it))?;
                }
                return Ok(bytes);
            }
            Ok(_) => {}
            Err(error) => why = crate::causes::with_causes(&error),
        }
    }
    Err(why)
}

/// As a boot loader and, for kexec, `bzImage64_probe()` of the kernel
/// (arch/x86/kernel/kexec-bzimage64.c) see it.
fn is_loadable(bytes: &[u8], boot: BootKind) -> Result<(), String> {
    // Documentation/arch/x86/boot.rst: `header`, `xloadflags`.
    if bytes.get(0x202..0x206) != Some(b"HdrS") {
        return Err("it is not a bzImage".to_owned());
    }
    if boot != BootKind::Kexec {
        return Ok(());
    }
    match bytes.get(0x236).is_some_and(|flags| flags & RELOCATABLE == RELOCATABLE) {
        true => Ok(()),
        false => Err("kexec loads only kernels with CONFIG_RELOCATABLE=y".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::kernel::Config;
    use crate::kernel::fixture::{Shape, bz_image, vmlinux};
    use crate::kernel::{Compression, load_built, store_built};

    fn relocatable() -> Vec<u8> {
        let mut image = bz_image(Compression::Gzip, &vmlinux(&Shape::default()));
        image[0x236] = 0x3f;
        image
    }

    #[rstest]
    #[case::relocatable(relocatable(), "")]
    #[case::at_one_address(bz_image(Compression::Gzip, b""), "CONFIG_RELOCATABLE=y")]
    #[case::unpacked(vmlinux(&Shape::default()), "not a bzImage")]
    #[case::cut(relocatable()[..0x206].to_vec(), "CONFIG_RELOCATABLE=y")]
    fn kexec_loads_relocatable_boot_images(#[case] image: Vec<u8>, #[case] words: &str) {
        let error = is_loadable(&image, BootKind::Kexec).err().unwrap_or_default();
        assert!(error.contains(words) && error.is_empty() == words.is_empty(), "{error}");
    }

    #[test]
    fn a_boot_loader_loads_every_boot_image() {
        let image = bz_image(Compression::Gzip, b"");
        assert_eq!(is_loadable(&image, BootKind::Netboot), Ok(()));
        assert!(is_loadable(&vmlinux(&Shape::default()), BootKind::Netboot).is_err());
    }

    #[test]
    fn a_built_kernel_has_the_boot_image_that_was_built() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(&folder.path().join("cache")).unwrap();
        let path = folder.path().join("bzImage");
        std::fs::write(&path, relocatable()).unwrap();
        let origin = Origin::Running { host: "any".to_owned() };
        store_built(&cache, "key", origin.clone(), &path, Config::default()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let kernel = load_built(&cache, "key", &origin).unwrap();
        assert_eq!(of(&kernel, &cache, BootKind::Kexec).unwrap(), relocatable());
    }
}
