//! Command lines.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use clap::Parser;
use libfuzzer_sys::fuzz_target;
use perfsec::cli::Cli;

fuzz_target!(|data: &[u8]| {
    let words = data.split(|byte| *byte == b'\n').map(OsStr::from_bytes);
    let line = std::iter::once(OsStr::new("perfsec")).chain(words);
    if let Err(error) = Cli::try_parse_from(line) {
        assert!(!error.to_string().is_empty());
    }
});
