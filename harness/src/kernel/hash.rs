//! SHA-256 sums, which name everything in the cache.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::interrupt::Interrupt;

/// SHA-256 of bytes in memory, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of an open file, from its beginning.
pub(crate) fn sha256_file(file: &mut File, interrupt: &Interrupt) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    sha256_rest(file, interrupt)
}

/// SHA-256 of an open file, from its current position.
pub(crate) fn sha256_rest(file: &mut File, interrupt: &Interrupt) -> io::Result<String> {
    let mut file = interrupt.reader(file);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// SHA-256 of the file at this path.
pub(crate) fn sha256_path(path: &Path) -> io::Result<String> {
    sha256_file(&mut File::open(path)?, &Interrupt::default())
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
