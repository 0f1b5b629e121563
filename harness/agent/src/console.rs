//! The channel on the machine's only serial port, which is the kernel's console as well.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use perfsec_wire::console::{ASK_SECONDS, ConsoleParameter, GIVE_UP_SECONDS, Link, Scanner};

use crate::error::Result;
use crate::serial;
use crate::watchdog::Watchdog;

/// Longest read, in bytes.
const READ: usize = 4096;

/// Seconds that the agent waits at its end for the host to have read everything.
const FAREWELL_SECONDS: u16 = 10;

/// The agent's end of the stream.
#[derive(Debug)]
pub(crate) struct Console {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    link: Link,
    scanner: Scanner,
    /// Bytes that were written and not flushed.
    pending: Vec<u8>,
    watchdog: Option<Watchdog>,
}

impl State {
    fn tell_watchdog(&mut self) {
        self.watchdog.iter_mut().for_each(Watchdog::tell);
    }
}

impl Console {
    /// Opens the device.
    pub(crate) fn open(parameter: &ConsoleParameter) -> Result<Self> {
        let file = serial::open_raw(&format!("/dev/{}", parameter.device))?;
        let session = parameter.session;
        let (link, scanner) = (Link::new(session), Scanner::new(session));
        let watchdog = Watchdog::start();
        let state = State { link, scanner, pending: Vec::new(), watchdog };
        Ok(Self { file, state: Mutex::new(state) })
    }

    /// Waits until everything has left the port. What the kernel prints from now on interrupts no
    /// line of the agent.
    pub(crate) fn settle(&self) {
        serial::drain(&self.file);
    }

    /// Waits until the host has read everything, for a while.
    pub(crate) fn part(&self) -> io::Result<()> {
        let mut state = self.lock();
        for _ in 0..FAREWELL_SECONDS {
            state.tell_watchdog();
            self.say(&state.link.ask())?;
            if self.wait(1)? {
                self.listen(&mut state)?;
            }
            if state.link.is_acknowledged() {
                break;
            }
        }
        Ok(())
    }

    /// The writer of a last message, unless the caller's thread is in the middle of another: its
    /// line would be part of that.
    pub(crate) fn last_word(&self) -> Option<impl Write> {
        let is_free = !matches!(self.state.try_lock(), Err(TryLockError::WouldBlock));
        is_free.then_some(self)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, lines: &[u8]) -> io::Result<()> {
        (&self.file).write_all(lines)
    }

    /// Waits for bytes. Returns false if none come within so many seconds.
    fn wait(&self, seconds: u16) -> io::Result<bool> {
        let limit = PollTimeout::try_from(u32::from(seconds) * 1000).unwrap_or(PollTimeout::MAX);
        let mut wanted = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, limit) {
            Ok(count) => Ok(count > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Reads lines and answers them. Returns true if there was one.
    fn listen(&self, state: &mut State) -> io::Result<bool> {
        let mut buffer = [0; READ];
        let count = (&self.file).read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut lines = Vec::new();
        state.scanner.scan(&buffer[..count], |line| lines.push(line), |_| {});
        let heard = !lines.is_empty();
        for line in lines {
            self.say(&state.link.receive(line))?;
        }
        Ok(heard)
    }
}

impl Write for &Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.lock();
        state.tell_watchdog();
        let pending = std::mem::take(&mut state.pending);
        self.say(&state.link.send(&pending))
    }
}

impl Read for &Console {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let mut silent = 0;
        while !state.link.is_ready() {
            state.tell_watchdog();
            if silent >= GIVE_UP_SECONDS {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if !self.wait(ASK_SECONDS)? {
                silent += ASK_SECONDS;
                self.say(&state.link.ask())?;
            } else if self.listen(&mut state)? {
                silent = 0;
            }
        }
        Ok(state.link.read(buffer))
    }
}
