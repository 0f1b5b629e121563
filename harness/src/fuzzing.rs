//! Access to private parts for the fuzz targets in `fuzz/`. Only builds with `--cfg fuzzing`, as
//! `cargo fuzz` makes them, have this module.

use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::interrupt::Interrupt;
use crate::kernel::{Compression, DebError, deb, fixture};
use crate::mbox;
use crate::text::{Text, is_hidden};

/// The compressions of a kernel's build.
pub const COMPRESSIONS: [Compression; 7] = fixture::ALL;

/// The suffixes of a package's `data.tar`.
pub const PACKINGS: [&str; 4] = ["", ".gz", ".xz", ".zst"];

/// An uncompressed kernel with this embedded configuration.
#[must_use]
pub fn vmlinux(config: &str) -> Vec<u8> {
    fixture::vmlinux(&fixture::Shape { config: Some(config), ..fixture::Shape::default() })
}

/// A `bzImage` around a kernel.
#[must_use]
pub fn boot_image(compression: Compression, vmlinux: &[u8]) -> Vec<u8> {
    fixture::bz_image(compression, vmlinux)
}

/// A Debian package with these files.
#[must_use]
pub fn package(packing: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    fixture::deb_of_bytes(packing, files)
}

/// The length of the kernel image in a Debian package.
///
/// # Errors
///
/// The package cannot be read, or has no kernel.
pub fn read_package(path: &Path) -> Result<usize, DebError> {
    let read = deb::read(path, deb::ReadUntil::Image, &Interrupt::default())?;
    Ok(read.image.map_or(0, |image| image.len()))
}

/// The messages of a mailbox.
#[must_use]
pub fn messages(text: &[u8]) -> Vec<Vec<u8>> {
    mbox::messages(text)
}

/// A mailbox with one message.
#[must_use]
pub fn mboxrd(message: &[u8]) -> Vec<u8> {
    mbox::mboxrd(message)
}

/// The first character of a text that is hidden, other than newlines and those of its styles.
#[must_use]
pub fn hidden(text: &Text) -> Option<char> {
    static STYLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern of ours"));
    let plain = STYLE.replace_all(text.ansi(), "");
    plain.chars().find(|c| is_hidden(*c) && *c != '\n')
}
