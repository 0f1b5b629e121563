//! Small kernel images for tests, compressed and wrapped as the kernel's own build does it.

use std::io::Write;

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

use super::decompress::Compression;

/// Every compression.
pub(crate) const ALL: [Compression; 7] = [
    Compression::Gzip,
    Compression::Bzip2,
    Compression::Lzma,
    Compression::Xz,
    Compression::Lzo,
    Compression::Lz4,
    Compression::Zstd,
];

pub(crate) const BANNER: &str = "Linux version 6.1.0-56-amd64 (debian-kernel@lists.debian.org) \
    (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)";

/// Compresses as `scripts/Makefile.lib` does, without the size that it appends.
pub(crate) fn pack(compression: Compression, plain: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut packer =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(plain).unwrap();
            packer.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            packer.write_all(plain).unwrap();
            packer.finish().unwrap()
        }
        Compression::Xz => {
            let options = LzmaOptions::new_preset(0).unwrap();
            let mut filters = Filters::new();
            filters.x86().lzma2(&options);
            let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
            let mut packer = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            packer.write_all(plain).unwrap();
            packer.finish().unwrap()
        }
        Compression::Lzma => {
            let options = LzmaOptions::new_preset(0).unwrap();
            let stream = Stream::new_lzma_encoder(&options).unwrap();
            let mut packer = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
            packer.write_all(plain).unwrap();
            packer.finish().unwrap()
        }
        Compression::Lzo => {
            let mut out = b"\x89LZO\0\r\n\x1a\n".to_vec();
            // Version 1.030, library 2.080, needed 0.940, method 3, level 9, flags: adler32 of the
            // plain data; mode, times, a name, the checksum of the header.
            out.extend_from_slice(b"\x10\x30\x20\x80\x09\x40\x03\x09\0\0\0\x01");
            out.extend_from_slice(&[0; 12]);
            out.extend_from_slice(b"\x03abc\0\0\0\0");
            for block in plain.chunks(256 << 10) {
                let packed = lzokay_native::compress(block).unwrap();
                let stored = if packed.len() < block.len() { &packed } else { block };
                out.extend_from_slice(&(block.len() as u32).to_be_bytes());
                out.extend_from_slice(&(stored.len() as u32).to_be_bytes());
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(stored);
            }
            out.extend_from_slice(&[0; 4]);
            out
        }
        Compression::Lz4 => {
            let mut out = b"\x02\x21\x4c\x18".to_vec();
            for block in plain.chunks(8 << 20) {
                let packed = lz4_flex::block::compress(block);
                out.extend_from_slice(&(packed.len() as u32).to_le_bytes());
                out.extend_from_slice(&packed);
            }
            out
        }
        Compression::Zstd => zstd::bulk::compress(plain, 3).unwrap(),
    }
}

/// The variable parts of a [`vmlinux`].
pub(crate) struct Shape<'a> {
    pub(crate) machine: u16,
    pub(crate) pvh: bool,
    pub(crate) banner: &'static str,
    pub(crate) config: Option<&'a str>,
}

impl Default for Shape<'_> {
    fn default() -> Self {
        Self { machine: 62, pvh: true, banner: BANNER, config: None }
    }
}

/// An ELF executable with a note segment, and a load segment that holds the banner.
pub(crate) fn vmlinux(shape: &Shape<'_>) -> Vec<u8> {
    const HEADERS: usize = 64 + 2 * 56;
    let mut note = Vec::new();
    for word in [4u32, 8, if shape.pvh { 18 } else { 6 }] {
        note.extend_from_slice(&word.to_le_bytes());
    }
    note.extend_from_slice(b"Xen\0\0\0\0\x01\0\0\0\0");

    let mut data = b"some code\0".to_vec();
    data.extend_from_slice(shape.banner.as_bytes());
    data.extend_from_slice(b"\n\0");
    if let Some(config) = shape.config {
        data.extend_from_slice(b"IKCFG_ST");
        data.extend_from_slice(&pack(Compression::Gzip, config.as_bytes()));
        data.extend_from_slice(b"IKCFG_ED");
    }

    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend_from_slice(&2u16.to_le_bytes());
    elf.extend_from_slice(&shape.machine.to_le_bytes());
    elf.extend_from_slice(&1u32.to_le_bytes());
    for word in [0x100_0000u64, 64, 0] {
        elf.extend_from_slice(&word.to_le_bytes());
    }
    elf.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        elf.extend_from_slice(&half.to_le_bytes());
    }
    let mut at = HEADERS;
    for (kind, size) in [(4u32, note.len()), (1, data.len())] {
        elf.extend_from_slice(&kind.to_le_bytes());
        elf.extend_from_slice(&4u32.to_le_bytes());
        for word in [at as u64, 0, 0, size as u64, size as u64, 4] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
        at += size;
    }
    elf.extend(note);
    elf.extend(data);
    elf
}

/// A `bzImage` around a packed `vmlinux`, of boot protocol 2.15.
pub(crate) fn bz_image(compression: Compression, vmlinux: &[u8]) -> Vec<u8> {
    const SETUP_SECTORS: usize = 2;
    const PAYLOAD_OFFSET: usize = 128;
    let mut payload = pack(compression, vmlinux);
    if compression != Compression::Gzip {
        payload.extend_from_slice(&(vmlinux.len() as u32).to_le_bytes());
    }
    let mut image = vec![0; (SETUP_SECTORS + 1) * 512 + PAYLOAD_OFFSET];
    image[..2].copy_from_slice(b"MZ");
    image[0x1f1] = SETUP_SECTORS as u8;
    image[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x300u16.to_le_bytes());
    image[0x500..0x506].copy_from_slice(b"6.1.0 ");
    image[0x248..0x24c].copy_from_slice(&(PAYLOAD_OFFSET as u32).to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend(payload);
    image.extend_from_slice(&[0; 64]);
    image
}

/// A Debian package with these files; `packing` is the suffix of its `data.tar`.
#[cfg(test)]
pub(crate) fn deb(packing: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let bytes: Vec<(&str, &[u8])> =
        files.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
    deb_of_bytes(packing, &bytes)
}

/// [`deb`] with binary files.
pub(crate) fn deb_of_bytes(packing: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let control = b"Package: linux-image-test\nVersion: 6.1.192-2\nArchitecture: amd64\n";
    let packed = match packing {
        "" => tarball(files),
        ".gz" => pack(Compression::Gzip, &tarball(files)),
        ".xz" => pack(Compression::Xz, &tarball(files)),
        ".zst" => pack(Compression::Zstd, &tarball(files)),
        other => panic!("no packing {other}"),
    };
    let mut archive = ar::Builder::new(Vec::new());
    let mut add = |name: &str, content: &[u8]| {
        let header = ar::Header::new(name.as_bytes().to_vec(), content.len() as u64);
        archive.append(&header, content).unwrap();
    };
    add("debian-binary", b"2.0\n");
    add("control.tar.gz", &pack(Compression::Gzip, &tarball(&[("./control", control)])));
    add(&format!("data.tar{packing}"), &packed);
    archive.into_inner().unwrap()
}

/// An RPM package with these files.
#[cfg(test)]
pub(crate) fn rpm(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = rpm::PackageBuilder::new("kernel-core", "6.1", "GPL", "x86_64", "test");
    for (path, content) in files {
        let options = rpm::FileOptions::new((*path).to_owned());
        builder.with_file_contents(content.to_vec(), options).unwrap();
    }
    let mut bytes = Vec::new();
    builder.build().unwrap().write(&mut bytes).unwrap();
    bytes
}

fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}
