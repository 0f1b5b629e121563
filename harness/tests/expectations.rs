//! What every cell of the built-in suite must see, as a hash for each case.
//!
//! A change of the evaluator, of `functions.toml` or of `domains.toml` shows here, case by case.
//! `cargo xtask expectations FILE` writes the transcripts themselves, for `diff` with those of
//! another tree.

#[expect(dead_code, reason = "shared with tests that boot")]
mod support;

use std::fmt::Write as _;

use perfsec::case::Library;
use sha2::{Digest, Sha256};
use support::golden;

#[test]
fn every_cell_must_see_what_a_person_has_agreed_to() {
    let library = Library::built_in().expect("the built-in suite");
    let mut hashes = String::new();
    for (case, text) in library.expectations(|_| true) {
        for byte in Sha256::digest(text.plain()).iter().take(8) {
            let _ = write!(hashes, "{byte:02x}");
        }
        let _ = writeln!(hashes, " {case}");
    }
    golden("expectations.txt", &hashes);
}
