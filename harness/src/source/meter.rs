//! How much of an archive may be read, and whether it was the archive that failed.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// What may still be read of an archive, and why it could not be.
#[derive(Default)]
pub(super) struct Meter {
    left: Cell<u64>,
    failed: Cell<Option<ReadFailure>>,
}

/// Why an archive could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFailure {
    /// More came than is believed.
    Exceeded,
    /// The archive could not be read or unpacked.
    Reading,
    /// It ended.
    Ended,
}

impl Meter {
    /// From here on so many bytes are believed.
    pub(super) fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    /// Whether a reader failed, rather than what is done with what it read.
    pub(super) fn failed(&self) -> Option<ReadFailure> {
        self.failed.get()
    }
}

/// A reader that stops where the meter says.
pub(super) struct MeteredReader<R> {
    pub(super) inner: R,
    pub(super) meter: Rc<Meter>,
}

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.meter.left.get();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            self.meter.failed.set(Some(ReadFailure::Exceeded));
            return Err(io::Error::other("it is longer than is believed"));
        }
        let read = self.inner.read(&mut buffer[..most]);
        match &read {
            Ok(0) if most > 0 => self.meter.failed.set(Some(ReadFailure::Ended)),
            Ok(count) => self.meter.left.set(left.saturating_sub(*count as u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.meter.failed.set(Some(ReadFailure::Reading)),
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_read_and_no_more() {
        let meter = Rc::new(Meter::default());
        let mut reader = MeteredReader { inner: b"abcdef".as_slice(), meter: Rc::clone(&meter) };
        let mut buffer = [0; 8];
        meter.allow(4);
        assert_eq!(reader.read(&mut buffer).unwrap(), 4);
        assert_eq!(meter.failed(), None);
        assert!(reader.read(&mut buffer).is_err());
        assert_eq!(meter.failed(), Some(ReadFailure::Exceeded));
        meter.allow(4);
        assert_eq!(reader.read(&mut buffer).unwrap(), 2);
        assert_eq!(reader.read(&mut buffer).unwrap(), 0);
        assert_eq!(meter.failed(), Some(ReadFailure::Ended));
    }
}
