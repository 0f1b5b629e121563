//! Configuration fragments, and the Kconfig files of a tree.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::kbuild::kconfig::{Fragment, Tree};
use perfsec_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(fragment) = Fragment::parse("fragment", text)
    {
        // What was accepted is accepted again.
        assert!(Fragment::parse("fragment", text).is_ok_and(|again| again == fragment));
    }
    SCRATCH.with(|scratch| {
        scratch.file("Kconfig", data);
        Tree::read(scratch.path()).expect("the file is there");
    });
});
