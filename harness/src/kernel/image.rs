//! Kernel images: recognises the format, unpacks it, and reads version and configuration.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::boot_header::{BootHeader, HeaderError};
use super::config::Config;
use super::decompress::{Compression, DecompressError};
use super::elf::{self, ElfError};
use super::version::KernelVersion;
use crate::foreign;
use crate::interrupt::Interrupt;

/// The entry point that QEMU uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Entry")]
pub enum EntryPoint {
    /// The PVH entry of the uncompressed kernel: nothing is unpacked in the guest.
    Pvh,
    /// The boot image, which unpacks itself in the guest.
    BzImage,
}

/// A parsed kernel image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The uncompressed kernel, if the image was packed.
    pub unpacked: Option<Vec<u8>>,
    /// The entry point that QEMU uses.
    pub how: EntryPoint,
    /// The architecture it was built for.
    pub arch: Arch,
    /// Kernel release, as in `uname -r`.
    pub release: String,
    /// Kernel version, from the release or Debian's banner.
    pub version: KernelVersion,
    /// The text of `/proc/version`, in one line.
    pub banner: String,
    /// Distribution that built it, from the release and the banner: `debian`, `fedora`…
    pub distribution: Option<String>,
    /// The embedded configuration (`CONFIG_IKCONFIG=y`).
    pub config: Option<Config>,
}

/// A file that is not a kernel that perfsec can boot.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Another kind of file.
    #[error("recognise a kernel: it looks like {0}; expected a bzImage, a vmlinux or a .deb")]
    NotAKernel(String),
    /// A kernel for another architecture.
    #[error("use a kernel for {0}: perfsec boots kernels for x86_64 only")]
    WrongArchitecture(String),
    /// The file ends before the kernel does.
    #[error("read the whole kernel: the image needs {needed} bytes and has {found}; copy it again")]
    Truncated {
        /// Size according to the header, in bytes.
        needed: u64,
        /// Size of the file, in bytes.
        found: u64,
    },
    /// A boot header from before Linux 2.6.26.
    #[error("read a boot header of protocol {}.{}: perfsec needs 2.8 or newer", .0 >> 8, .0 & 0xff)]
    OldProtocol(u16),
    /// The payload has none of the magic numbers that kernels use.
    #[error("unpack the kernel: unknown compression, it begins with {0}")]
    UnknownCompression(String),
    /// The payload is corrupt.
    #[error("unpack the kernel")]
    Unpack(#[from] DecompressError),
    /// No `Linux version` banner with a version in it.
    #[error("find the kernel's version: {0}")]
    NoVersion(String),
    /// An uncompressed kernel without a PVH entry, which QEMU cannot boot.
    #[error(
        "boot an uncompressed kernel without a PVH entry (CONFIG_PVH=y adds it): \
         give the bzImage instead"
    )]
    NoEntry,
    /// Larger than the largest kernel that perfsec unpacks.
    #[error("read the kernel: it is larger than {}", foreign::KERNEL)]
    TooLarge,
}

impl Image {
    /// Parses an image in memory: the whole file, or the loaded part of an uncompressed kernel.
    pub fn parse(image: &[u8]) -> Result<Self, ImageError> {
        Self::parse_until(image, &Interrupt::default())
    }

    /// [`parse`](Self::parse), until an interrupt.
    pub(crate) fn parse_until(image: &[u8], interrupt: &Interrupt) -> Result<Self, ImageError> {
        if image.starts_with(b"\x7fELF") {
            return Self::parse_vmlinux(image, None);
        }
        let header = BootHeader::parse(image).map_err(|error| match error {
            HeaderError::Absent => not_a_boot_image(image),
            HeaderError::Cut => ImageError::Truncated { needed: 0x250, found: image.len() as u64 },
            HeaderError::TooOld(protocol) => ImageError::OldProtocol(protocol),
        })?;
        let vmlinux = unpack(image, &header, interrupt)?;
        let mut parsed = Self::parse_vmlinux(&vmlinux, Some(image))?;
        parsed.unpacked = Some(vmlinux);
        Ok(parsed)
    }

    /// Parses an uncompressed kernel; `packed` is the boot image that contained it.
    fn parse_vmlinux(vmlinux: &[u8], packed: Option<&[u8]>) -> Result<Self, ImageError> {
        let needed = elf::loaded_end(vmlinux)?;
        if needed > vmlinux.len() as u64 {
            return Err(ImageError::Truncated { needed, found: vmlinux.len() as u64 });
        }
        let banner = banner(vmlinux).ok_or_else(|| match packed {
            Some(_) => ImageError::NoVersion("it has no \"Linux version\" banner".to_owned()),
            None => ImageError::NotAKernel("an ELF program, not the kernel".to_owned()),
        })?;
        let how = match (elf::has_pvh_entry(vmlinux)?, packed) {
            (true, _) => EntryPoint::Pvh,
            (false, Some(_)) => EntryPoint::BzImage,
            (false, None) => return Err(ImageError::NoEntry),
        };
        let release = banner.split(' ').nth(2).unwrap_or_default().to_owned();
        let version = KernelVersion::from_banner(&release, &banner)
            .map_err(|error| ImageError::NoVersion(error.to_string()))?;
        Ok(Self {
            unpacked: None,
            how,
            // Both formats that are recognised, the ELF header and the boot header, are checked.
            arch: Arch::X86_64,
            version,
            distribution: distribution(&release, &banner).map(str::to_owned),
            config: embedded_config(vmlinux),
            release,
            banner,
        })
    }
}

impl From<ElfError> for ImageError {
    fn from(error: ElfError) -> Self {
        match error {
            ElfError::Machine(machine) => Self::WrongArchitecture(machine),
            ElfError::Kind(kind) => Self::NotAKernel(kind.to_owned()),
            ElfError::Damaged(reason) => Self::NotAKernel(format!("a damaged ELF file: {reason}")),
        }
    }
}

/// Reads what [`Image::parse`] needs: the whole file, or the loaded part of an uncompressed kernel,
/// which half a gigabyte of debug information may follow.
pub(crate) fn read_image(file: &mut File) -> std::io::Result<Result<Vec<u8>, ImageError>> {
    const PROGRAM_HEADERS: u64 = 64 << 10;
    file.seek(SeekFrom::Start(0))?;
    let mut image = Vec::new();
    file.take(PROGRAM_HEADERS).read_to_end(&mut image)?;
    let limit = foreign::KERNEL.bytes;
    let wanted = if image.starts_with(b"\x7fELF") {
        match elf::loaded_end(&image) {
            Ok(end) => end,
            Err(error) => return Ok(Err(error.into())),
        }
    } else {
        file.metadata()?.len()
    };
    if wanted > limit {
        return Ok(Err(ImageError::TooLarge));
    }
    let left = wanted.saturating_sub(image.len() as u64);
    image.reserve_exact(usize::try_from(left).unwrap_or_default());
    file.take(left).read_to_end(&mut image)?;
    Ok(Ok(image))
}

/// True if a file begins like a Debian package.
pub(crate) fn is_deb(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    foreign::open(path)?.take(21).read_to_end(&mut start)?;
    Ok(start == b"!<arch>\ndebian-binary")
}

fn unpack(image: &[u8], header: &BootHeader, interrupt: &Interrupt) -> Result<Vec<u8>, ImageError> {
    let payload = image.get(header.payload.clone()).ok_or(ImageError::Truncated {
        needed: header.payload.end as u64,
        found: image.len() as u64,
    })?;
    if payload.starts_with(b"\x7fELF") {
        return Ok(payload.to_vec());
    }
    let compression = Compression::detect(payload)
        .ok_or_else(|| ImageError::UnknownCompression(first_bytes(payload)))?;
    // The last four bytes are the uncompressed size: part of a gzip stream, but appended to the
    // others by the kernel's build.
    let (stream, size) = payload.split_last_chunk::<4>().ok_or(ImageError::Truncated {
        needed: header.payload.start as u64 + 4,
        found: image.len() as u64,
    })?;
    let stream = if compression == Compression::Gzip { payload } else { stream };
    Ok(compression.unpack(stream, u32::from_le_bytes(*size) as usize, interrupt)?)
}

fn not_a_boot_image(image: &[u8]) -> ImageError {
    if image.get(0x38..0x3c) == Some(b"ARM\x64") {
        return ImageError::WrongArchitecture("aarch64".to_owned());
    }
    if image.get(0x38..0x3c) == Some(b"RSC\x05") {
        return ImageError::WrongArchitecture("riscv64".to_owned());
    }
    let packed = Compression::detect(image).map(|kind| format!("{kind} data; unpack it first"));
    ImageError::NotAKernel(packed.unwrap_or_else(|| {
        match image {
            [] => "an empty file".to_owned(),
            [b'#', b'!', ..] => "a script".to_owned(),
            [b'!', b'<', b'a', b'r', ..] => "an archive".to_owned(),
            [b'M', b'Z', ..] => "an EFI or DOS program".to_owned(),
            [0xed, 0xab, 0xee, 0xdb, ..] => "an RPM package".to_owned(),
            _ if image
                .iter()
                .take(512)
                .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) =>
            {
                "text".to_owned()
            }
            _ => format!("no known format, it begins with {}", first_bytes(image)),
        }
    }))
}

fn first_bytes(data: &[u8]) -> String {
    let bytes: Vec<String> = data.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// The text of `linux_banner`. Since 6.1 an image holds it twice: `init/version.c` defines a weak
/// one without a build number, to get its size, and the final link adds the one that is printed.
fn banner(vmlinux: &[u8]) -> Option<String> {
    const START: &[u8] = b"Linux version ";
    const LONGEST: usize = 512;
    let mut banners = memmem::find_iter(vmlinux, START).filter_map(|at| {
        let line = &vmlinux[at..vmlinux.len().min(at + LONGEST)];
        let end = line.iter().position(|byte| !(b' '..=b'~').contains(byte))?;
        let line = std::str::from_utf8(&line[..end]).ok()?;
        // The format string of /proc/version begins the same, with `%s` for the version.
        line.as_bytes().get(START.len())?.is_ascii_digit().then(|| line.to_owned())
    });
    let first = banners.next()?;
    let numbered = |line: &String| {
        line.split(" #")
            .skip(1)
            .any(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    if numbered(&first) {
        return Some(first);
    }
    Some(banners.find(numbered).unwrap_or(first))
}

/// The distribution, recognised by a pattern in the release or the banner.
pub(super) fn distribution(release: &str, banner: &str) -> Option<&'static str> {
    let marks = [
        (banner, "debian-kernel@lists.debian.org", "debian"),
        (banner, "(buildd@", "ubuntu"),
        (release, ".fc", "fedora"),
        (release, ".el", "rhel"),
        (release, "-arch", "arch"),
        (release, "-default", "suse"),
    ];
    marks.iter().find(|(text, mark, _)| text.contains(mark)).map(|(_, _, name)| *name)
}

/// The configuration between the markers of `kernel/configs.c`.
fn embedded_config(vmlinux: &[u8]) -> Option<Config> {
    // Strings of the image contain the marker too; only the real one precedes a gzip stream.
    let start = memmem::find(vmlinux, b"IKCFG_ST\x1f\x8b")? + b"IKCFG_ST".len();
    Config::unpack(&vmlinux[start..])
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::kernel::fixture::{ALL, BANNER, Shape, bz_image, vmlinux};

    #[rstest]
    fn a_boot_image_is_parsed_in_every_compression(#[values(0, 1, 2, 3, 4, 5, 6)] which: usize) {
        let plain = vmlinux(&Shape::default());
        let image = Image::parse(&bz_image(ALL[which], &plain)).unwrap();
        assert_eq!(image.how, EntryPoint::Pvh);
        assert_eq!(image.release, "6.1.0-56-amd64");
        assert_eq!(image.version, KernelVersion::new(6, 1, 192));
        assert_eq!(image.banner, BANNER);
        assert_eq!(image.distribution.as_deref(), Some("debian"));
        assert!(image.unpacked == Some(plain));
    }

    #[test]
    fn without_pvh_a_boot_image_boots_unchanged_and_a_vmlinux_does_not_boot() {
        let plain = vmlinux(&Shape { pvh: false, ..Shape::default() });
        let image = Image::parse(&bz_image(Compression::Zstd, &plain)).unwrap();
        assert_eq!(image.how, EntryPoint::BzImage);
        assert!(matches!(Image::parse(&plain), Err(ImageError::NoEntry)));
    }

    #[rstest]
    #[case(b"Linux version 6.1.0 (a) # SMP\n\0..Linux version 6.1.0 (a) #1 SMP\n", "#1 SMP")]
    #[case(b"Linux version %s (%s)\nLinux version 5.10.0 (a) #7 SMP\n", "#7 SMP")]
    #[case(b"Linux version 6.1.0 (a) # SMP\n\0", "# SMP")]
    fn the_banner_with_a_build_number_is_preferred(#[case] data: &[u8], #[case] end: &str) {
        assert!(banner(data).unwrap().ends_with(end));
    }

    #[test]
    fn an_uncompressed_kernel_is_not_unpacked() {
        let image = Image::parse(&vmlinux(&Shape::default())).unwrap();
        assert_eq!((image.how, image.unpacked), (EntryPoint::Pvh, None));
    }

    #[test]
    fn an_embedded_config_is_found() {
        let shape = Shape { config: Some("CONFIG_AUDIT=y\n"), ..Shape::default() };
        let image = Image::parse(&vmlinux(&shape)).unwrap();
        assert!(image.config.unwrap().is_set("CONFIG_AUDIT"));
    }

    #[rstest]
    #[case(b"", "an empty file")]
    #[case(b"#!/bin/sh\n", "a script")]
    #[case(b"hello\n", "text")]
    #[case(b"\x1f\x8b\x08\0\0", "gzip data")]
    #[case(b"\xed\xab\xee\xdb\x03", "an RPM package")]
    #[case(b"\x00\xff\x10", "00 ff 10")]
    #[case(b"\x7fELF\x02\x01\x01", "a damaged ELF file")]
    fn the_error_says_what_another_file_looks_like(#[case] bytes: &[u8], #[case] like: &str) {
        let error = Image::parse(bytes).unwrap_err();
        assert!(matches!(&error, ImageError::NotAKernel(what) if what.contains(like)), "{error}");
    }

    #[test]
    fn an_elf_program_is_not_a_kernel() {
        let program = vmlinux(&Shape { banner: "Linux version %s", ..Shape::default() });
        assert!(matches!(Image::parse(&program), Err(ImageError::NotAKernel(_))));
    }

    #[test]
    fn a_kernel_for_another_architecture_is_named() {
        let mut arm = vec![0; 64];
        arm[0x38..0x3c].copy_from_slice(b"ARM\x64");
        let elf = vmlinux(&Shape { machine: 183, ..Shape::default() });
        for image in [arm, elf] {
            let error = Image::parse(&image).unwrap_err();
            assert!(
                matches!(&error, ImageError::WrongArchitecture(which) if which == "aarch64"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_error_of_a_truncated_image_has_both_sizes() {
        let image = bz_image(Compression::Xz, &vmlinux(&Shape::default()));
        for end in [0x210, 1000, image.len() - 100] {
            let error = Image::parse(&image[..end]).unwrap_err();
            assert!(matches!(error, ImageError::Truncated { .. }), "{end}: {error}");
        }
        let plain = vmlinux(&Shape::default());
        let error = Image::parse(&plain[..plain.len() - 1]).unwrap_err();
        assert!(matches!(error, ImageError::Truncated { .. }), "{error}");
    }

    #[test]
    fn the_error_of_an_unknown_compression_shows_the_first_bytes() {
        let mut image = bz_image(Compression::Gzip, &vmlinux(&Shape::default()));
        let start = BootHeader::parse(&image).unwrap().payload.start;
        image[start..start + 4].copy_from_slice(b"\xde\xad\xbe\xef");
        let error = Image::parse(&image).unwrap_err();
        assert!(
            matches!(&error, ImageError::UnknownCompression(first)
                if first.starts_with("de ad be ef")),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = Image::parse(&bytes);
        }

        #[test]
        fn a_damaged_image_never_panics(
            which in 0usize..7,
            damage in proptest::collection::vec(
                (any::<proptest::sample::Index>(), any::<u8>()),
                1..8,
            ),
            cut in any::<proptest::sample::Index>(),
        ) {
            static IMAGES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
                ALL.map(|kind| bz_image(kind, &vmlinux(&Shape::default()))).into()
            });
            let mut image = IMAGES[which].clone();
            for (at, byte) in damage {
                let at = at.index(image.len());
                image[at] = byte;
            }
            image.truncate(cut.index(image.len() + 1));
            let _ = Image::parse(&image);
        }
    }
}
