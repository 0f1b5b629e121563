//! Limits how much of an archive is read, and records failures to read it.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// The limit of a [`MeteredReader`], and its failure.
#[derive(Default)]
pub(super) struct Meter {
    left: Cell<u64>,
    failed: Cell<Option<ReadFailure>>,
}

/// A failure to read an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFailure {
    /// The limit was exceeded.
    Exceeded,
    /// The archive could not be read or unpacked.
    Reading,
    /// The archive ended.
    Ended,
}

impl Meter {
    /// Allows this many more bytes from here on.
    pub(super) fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    /// The reader's failure, as opposed to one of the code that uses the data.
    pub(super) fn failed(&self) -> Option<ReadFailure> {
        self.failed.get()
    }
}

/// A reader that stops at the limit of a meter.
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
            return Err(io::Error::other("the archive exceeds the limit"));
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
    fn reading_stops_at_the_limit() {
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
