//! Case files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use perfsec::case::Library;
use perfsec_fuzz::Scratch;

thread_local!(static SCRATCH: Scratch = Scratch::new());

fuzz_target!(|data: &[u8]| {
    SCRATCH.with(|scratch| {
        scratch.file("case.toml", data);
        match Library::directory_to_bless(scratch.path()) {
            Ok(library) => {
                let names = library.cell_names();
                assert!(names.iter().all(|name| name.starts_with("case/")), "{names:?}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
});
