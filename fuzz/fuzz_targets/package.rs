//! Debian packages with a kernel: any bytes, and damaged packages.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::fuzzing::{PACKINGS, package, read_package};
use perfsec_fuzz::{Scratch, byte, bytes, damage};

thread_local!(static SCRATCH: Scratch = Scratch::new());

const NAMES: [&str; 5] = [
    "./boot/vmlinuz-6.1",
    "./boot/config-6.1",
    "./usr/lib/modules/7.3/vmlinuz",
    "./usr/lib/modules/7.3/config",
    "./usr/share/doc/other",
];

fuzz_target!(|data: &[u8]| {
    let check = |package: &[u8]| {
        let path = SCRATCH.with(|scratch| scratch.file("kernel.deb", package));
        if let Ok(length) = read_package(&path) {
            assert!(length <= 512 << 20);
        }
    };
    check(data);
    let mut data = data;
    let packing = PACKINGS[byte(&mut data) % PACKINGS.len()];
    let mut files = Vec::new();
    for _ in 0..byte(&mut data) % 4 {
        files.push((NAMES[byte(&mut data) % NAMES.len()], bytes(&mut data)));
    }
    let mut built = package(packing, &files);
    damage(&mut built, &mut data);
    check(&built);
});
