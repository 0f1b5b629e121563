//! The agent's end of a channel on which bytes go wrong.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use perfsec_wire::window::{Load, Store};

use super::FaultKind;

/// The damage to the next bytes.
#[derive(Debug, Default)]
pub(super) struct Damage {
    /// In order.
    pub(super) next: Vec<FaultKind>,
    /// A bit of the next order.
    pub(super) order: Option<usize>,
    /// Bytes go one at a time.
    pub(super) slow: bool,
}

/// Shared by the two ways that bytes go.
pub(super) type SharedDamage = Rc<RefCell<Damage>>;

/// The port: what is flushed is damaged first.
pub(super) struct Line {
    port: UnixStream,
    written: Vec<u8>,
    damage: SharedDamage,
}

/// Memory shared with the host; bytes are damaged on the way into it.
#[derive(Clone)]
pub(super) struct Memory {
    file: Rc<File>,
    damage: SharedDamage,
}

impl Line {
    pub(super) fn new(port: UnixStream, damage: SharedDamage) -> Self {
        Self { port, written: Vec::new(), damage }
    }
}

impl Memory {
    pub(super) fn new(file: File, damage: SharedDamage) -> Self {
        Self { file: Rc::new(file), damage }
    }
}

/// Damages bytes that are about to go. The machine ends after a cut.
fn apply(faults: Vec<FaultKind>, bytes: &mut Vec<u8>) {
    for fault in faults {
        match fault {
            FaultKind::Garbage(garbage) => drop(bytes.splice(..0, garbage)),
            FaultKind::Length(length) => {
                let length = length.to_le_bytes();
                let count = bytes.len().min(length.len());
                bytes[..count].copy_from_slice(&length[..count]);
            }
            FaultKind::Flip(bit) => flip(bytes, bit),
            FaultKind::Cut(_) => bytes.truncate(bytes.len() / 2),
            _ => {}
        }
    }
}

fn flip(bytes: &mut [u8], bit: usize) {
    let bits = 8 * bytes.len();
    if let Some(bit) = bit.checked_rem(bits) {
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.written);
        let (faults, slow) = {
            let mut damage = self.damage.borrow_mut();
            (std::mem::take(&mut damage.next), damage.slow)
        };
        apply(faults, &mut bytes);
        let step = if slow { 1 } else { bytes.len().max(1) };
        bytes.chunks(step).try_for_each(|part| self.port.write_all(part))
    }
}

/// Reads come from the port, and may bring a damaged order.
impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.port.read(buffer)?;
        if let Some(bit) = self.damage.borrow_mut().order.take() {
            flip(&mut buffer[..count], bit);
        }
        Ok(count)
    }
}

impl Store for Memory {
    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        let mut damage = self.damage.borrow_mut();
        // The bells on the port keep what is not about a message's own bytes.
        let (mine, bells) = std::mem::take(&mut damage.next).into_iter().partition(|fault| {
            matches!(fault, FaultKind::Flip(bit) if bit % 8 > 0)
                || matches!(fault, FaultKind::Length(_))
        });
        damage.next = bells;
        drop(damage);
        apply(mine, &mut bytes);
        self.file.write_all_at(&bytes, offset as u64)
    }
}

impl Load for Memory {
    fn load(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset as u64)?;
        if let Some(bit) = self.damage.borrow_mut().order.take() {
            flip(bytes, bit);
        }
        Ok(())
    }
}
