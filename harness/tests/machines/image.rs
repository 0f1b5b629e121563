//! The image of a kernel that no machine could run: a bzImage with a banner.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A bzImage (Documentation/arch/x86/boot.rst) whose kernel has this banner.
pub(crate) fn bz_image(banner: &str) -> Vec<u8> {
    const SETUP_SECTORS: usize = 2;
    const PAYLOAD: usize = 128;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vmlinux(banner)).expect("memory");
    let packed = packed.finish().expect("memory");
    let mut image = vec![0; (SETUP_SECTORS + 1) * 512 + PAYLOAD];
    let version = banner.split(' ').nth(2).expect("a release");
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x1f1, &[SETUP_SECTORS as u8]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x20fu16.to_le_bytes());
    put(0x20e, &0x300u16.to_le_bytes());
    // It can be loaded at any address.
    put(0x236, &[0b11]);
    put(0x248, &(PAYLOAD as u32).to_le_bytes());
    put(0x24c, &(packed.len() as u32).to_le_bytes());
    put(0x500, format!("{version} ").as_bytes());
    image.extend(packed);
    image.extend([0; 64]);
    image
}

/// An ELF executable with the note of a PVH entry, and a segment with the banner.
fn vmlinux(banner: &str) -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    let note = [&4u32.to_le_bytes()[..], &8u32.to_le_bytes(), &18u32.to_le_bytes()].concat();
    let note = [&note[..], b"Xen\0\0\0\0\x01\0\0\0\0"].concat();
    let data = format!("{banner}\n\0").into_bytes();
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2u16, 62].into_iter().flat_map(u16::to_le_bytes));
    elf.extend(1u32.to_le_bytes());
    elf.extend([0x100_0000u64, 64, 0].into_iter().flat_map(u64::to_le_bytes));
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 2, 64, 0, 0].into_iter().flat_map(u16::to_le_bytes));
    let mut at = HEADERS;
    for (kind, size) in [(4u32, note.len() as u64), (1, data.len() as u64)] {
        elf.extend([kind, 4].into_iter().flat_map(u32::to_le_bytes));
        elf.extend([at, 0, 0, size, size, 4].into_iter().flat_map(u64::to_le_bytes));
        at += size;
    }
    [elf, note, data].concat()
}
