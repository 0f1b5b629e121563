//! Kernel images: any bytes, and damaged images of every compression.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::fuzzing::{COMPRESSIONS, boot_image, vmlinux};
use perfsec::kernel::Image;
use perfsec_fuzz::{byte, bytes, damage};

fuzz_target!(|data: &[u8]| {
    check(data);
    let mut data = data;
    let compression = byte(&mut data);
    let mut kernel = vmlinux(&String::from_utf8_lossy(bytes(&mut data)));
    damage(&mut kernel, &mut data);
    let mut image = match COMPRESSIONS.get(compression % 8) {
        Some(compression) => boot_image(*compression, &kernel),
        None => kernel,
    };
    damage(&mut image, &mut data);
    check(&image);
});

fn check(image: &[u8]) {
    if let Ok(parsed) = Image::parse(image) {
        assert!(!parsed.release.contains(|c: char| c.is_control() || c == ' '));
        assert!(parsed.unpacked.is_none_or(|kernel| kernel.len() <= 512 << 20));
    }
}
