//! Limits how much of an archive is read, and records failures to read it.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::interrupt::Interrupt;

/// Bytes between two files of an archive: at most a long name, a long link name and headers.
pub(crate) const LONGEST_HEADER: u64 = 1 << 20;

/// The limit of a [`MeteredReader`], and its failure.
#[derive(Default)]
pub(crate) struct Meter {
    left: Cell<u64>,
    failed: Cell<Option<ReadFailure>>,
}

/// A failure to read an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFailure {
    /// The limit was exceeded.
    Exceeded,
    /// The archive could not be read or unpacked.
    Reading,
    /// The archive ended.
    Ended,
    /// The user interrupted it.
    Interrupted,
}

impl Meter {
    /// Allows this many more bytes from here on.
    pub(crate) fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    /// The reader's failure, as opposed to one of the code that uses the data.
    pub(crate) fn failed(&self) -> Option<ReadFailure> {
        self.failed.get()
    }
}

/// A reader that stops at the limit of a meter, and on an interrupt.
pub(crate) struct MeteredReader<R> {
    inner: R,
    meter: Rc<Meter>,
    interrupt: Interrupt,
}

impl<R> MeteredReader<R> {
    /// Allows nothing yet.
    pub(crate) fn new(inner: R, meter: &Rc<Meter>, interrupt: &Interrupt) -> Self {
        Self { inner, meter: Rc::clone(meter), interrupt: interrupt.clone() }
    }
}

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_raised() {
            self.meter.failed.set(Some(ReadFailure::Interrupted));
            return Err(io::Error::other("interrupted"));
        }
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
        let interrupt = Interrupt::default();
        let mut reader = MeteredReader::new(b"abcdef".as_slice(), &meter, &interrupt);
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
        interrupt.raise();
        assert!(reader.read(&mut buffer).is_err());
        assert_eq!(meter.failed(), Some(ReadFailure::Interrupted));
    }
}
