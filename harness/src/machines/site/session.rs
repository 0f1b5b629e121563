//! The session with a machine's console: one for all boots, because consoles of management
//! controllers do not like to be opened often, and lose what comes meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::tcsendbreak;
use nix::unistd::Pid;

use super::source::ConsoleSource;
use super::terminal::{on_terminal, open_tty};
use crate::interrupt::Interrupt;

/// Bytes of the console that are kept to look for words.
const KEPT: usize = 64 << 10;
/// Longest read, in bytes.
const READ: usize = 16 << 10;
/// A console that takes nothing for so long is lost.
const WRITE_LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks at an interrupt.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two looks at a command that is starting.
const START_LOOK: Duration = Duration::from_millis(10);
/// A serial driver takes the byte that follows a break for a SysRq key within 5 seconds
/// (`SYSRQ_TIMEOUT`).
const AFTER_BREAK: Duration = Duration::from_millis(500);

/// An open console.
pub(super) struct Session {
    shared: Arc<Shared>,
    close: Close,
    send_break: Option<Break>,
}

/// The way to send a break.
enum Break {
    /// The serial port of this host sends one.
    Port(File),
    /// The other end sends one when it reads this.
    Text(String),
}

struct Shared {
    output: Mutex<Box<dyn Write + Send>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Gets everything that comes.
    tap: Option<Arc<UnixStream>>,
    /// The last bytes since the tap was opened.
    recent: Vec<u8>,
    /// The time of the last byte.
    last: Option<Instant>,
    /// The console has ended.
    ended: bool,
}

/// The way to end a session.
enum Close {
    Tcp(TcpStream),
    Unix(UnixStream),
    Command(Child),
    /// Its thread ends with the next byte.
    Tty,
}

impl Session {
    /// Opens the console. Its other end sends a break when it reads `text`.
    ///
    /// # Errors
    ///
    /// The system's error, as a clause.
    pub(super) fn open(source: &ConsoleSource, text: Option<&str>) -> Result<Self, String> {
        let mut send_break = text.map(|text| Break::Text(text.to_owned()));
        let failed = |doing: &str, error: io::Error| format!("cannot {doing}: {error}");
        let (input, output, close): (Box<dyn Read + Send>, Box<dyn Write + Send>, _) = match source
        {
            ConsoleSource::Tcp(address) => {
                let open = || {
                    let stream = TcpStream::connect(address.as_str())?;
                    stream.set_write_timeout(Some(WRITE_LIMIT))?;
                    stream.set_nodelay(true)?;
                    Ok((stream.try_clone()?, stream.try_clone()?, stream))
                };
                let (input, output, close) =
                    open().map_err(|error| failed(&format!("connect to {address}"), error))?;
                (Box::new(input), Box::new(output), Close::Tcp(close))
            }
            ConsoleSource::Unix(path) => {
                let open = || {
                    let stream = UnixStream::connect(path)?;
                    stream.set_write_timeout(Some(WRITE_LIMIT))?;
                    Ok((stream.try_clone()?, stream.try_clone()?, stream))
                };
                let (input, output, close) = open()
                    .map_err(|error| failed(&format!("connect to {}", path.display()), error))?;
                (Box::new(input), Box::new(output), Close::Unix(close))
            }
            ConsoleSource::Tty { path, baud } => {
                let open = || {
                    let file = open_tty(path, *baud)?;
                    Ok((file.try_clone()?, file.try_clone()?, file))
                };
                let (input, output, port) =
                    open().map_err(|error| failed(&format!("open {}", path.display()), error))?;
                send_break.get_or_insert(Break::Port(port));
                (Box::new(input), Box::new(output), Close::Tty)
            }
            ConsoleSource::Command(command) => {
                let (input, output, child) = on_terminal(command)
                    .map_err(|error| failed(&format!("run `{command}`"), error))?;
                (Box::new(input), Box::new(output), Close::Command(child))
            }
        };
        let shared = Arc::new(Shared {
            output: Mutex::new(output),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let reader = Arc::clone(&shared);
        thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || reader.follow(input))
            .map_err(|error| failed("read the console", error))?;
        Ok(Self { shared, close, send_break })
    }

    /// A stream that gets everything from now on, until [`Self::stopper`] is called or the console
    /// ends.
    pub(super) fn tap(&self) -> io::Result<UnixStream> {
        let (out, input) = UnixStream::pair()?;
        let mut state = lock(&self.shared.state);
        state.recent.clear();
        state.tap = (!state.ended).then(|| Arc::new(out));
        Ok(input)
    }

    /// A function that ends the stream of [`Self::tap`].
    pub(super) fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || lock(&shared.state).tap = None
    }

    /// A writer to the console.
    pub(super) fn writer(&self) -> impl Write + Send + 'static {
        ToConsole(Arc::clone(&self.shared))
    }

    /// Waits until these words have come since the stream was opened. Returns false if they do not
    /// come within the limit, the console ends, or the user interrupts.
    pub(super) fn wait_for(&self, words: &str, limit: Duration, interrupt: &Interrupt) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.shared.state);
        loop {
            if memchr::memmem::find(&state.recent, words.as_bytes()).is_some() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() || interrupt.is_raised() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left.min(LOOK));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until nothing has come for so long, at most until the limit.
    pub(super) fn wait_for_silence(&self, silence: Duration, limit: Duration) {
        let (start, deadline) = (Instant::now(), Instant::now() + limit);
        loop {
            let state = lock(&self.shared.state);
            let (ended, last) = (state.ended, state.last.map_or(start, |last| last.max(start)));
            drop(state);
            let now = Instant::now();
            let until = (last + silence).min(deadline);
            if ended || until <= now {
                return;
            }
            thread::sleep((until - now).min(LOOK));
        }
    }

    /// Sends a SysRq key to the kernel that runs on the machine: a break and the key.
    pub(super) fn sysrq(&self, key: char) -> io::Result<()> {
        match &self.send_break {
            None => return Err(ErrorKind::Unsupported.into()),
            Some(Break::Port(port)) => tcsendbreak(port, 0)?,
            Some(Break::Text(text)) => self.writer().write_all(text.as_bytes())?,
        }
        self.writer().flush()?;
        thread::sleep(AFTER_BREAK);
        self.writer().write_all(key.to_string().as_bytes())?;
        self.writer().flush()
    }

    /// True if the console has ended.
    pub(super) fn is_ended(&self) -> bool {
        lock(&self.shared.state).ended
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An error says that it has ended already.
        match &mut self.close {
            Close::Tcp(stream) => drop(stream.shutdown(Shutdown::Both)),
            Close::Unix(stream) => drop(stream.shutdown(Shutdown::Both)),
            Close::Command(child) => {
                let Ok(group) = i32::try_from(child.id()).map(Pid::from_raw) else { return };
                // Until `setsid` has run, no group has the child's number.
                while matches!(child.try_wait(), Ok(None))
                    && killpg(group, Signal::SIGTERM).is_err()
                {
                    thread::sleep(START_LOOK);
                }
                let _ = child.wait();
            }
            Close::Tty => {}
        }
    }
}

impl Shared {
    fn follow(&self, mut input: impl Read) {
        let mut buffer = [0; READ];
        loop {
            let count = match input.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // A pseudo-terminal ends with EIO.
                Err(_) => 0,
            };
            let tap = {
                let mut state = lock(&self.state);
                if count == 0 {
                    state.ended = true;
                    state.tap = None;
                }
                state.recent.extend_from_slice(&buffer[..count]);
                let excess = state.recent.len().saturating_sub(KEPT);
                state.recent.drain(..excess);
                state.last = Some(Instant::now());
                state.tap.clone()
            };
            self.changed.notify_all();
            if count == 0 {
                return;
            }
            if let Some(tap) = tap {
                // Whoever no longer reads needs nothing.
                let _ = (&*tap).write_all(&buffer[..count]);
            }
        }
    }
}

/// A value that is whole even if a thread panicked.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

struct ToConsole(Arc<Shared>);

impl Write for ToConsole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0.output).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        lock(&self.0.output).flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_command_has_a_terminal_that_changes_no_byte() {
        let never = Interrupt::default();
        let command = "[ -t 0 ] && echo terminal; head -c 4";
        let session = Session::open(&ConsoleSource::Command(command.to_owned()), None).unwrap();
        assert!(session.wait_for("terminal\n", LIMIT, &never));
        let mut tap = session.tap().unwrap();
        session.writer().write_all(b"\x03\x11\r\x7f").unwrap();
        let mut echoed = Vec::new();
        // It ends with the command.
        tap.read_to_end(&mut echoed).unwrap();
        assert_eq!(echoed, b"\x03\x11\r\x7f");
        assert!(session.is_ended());
    }

    #[test]
    fn a_tap_gets_what_comes_until_it_is_closed() {
        let never = Interrupt::default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        let session = Session::open(&ConsoleSource::Unix(path), Some("~B")).unwrap();
        let (mut machine, _) = listener.accept().unwrap();
        machine.write_all(b"before").unwrap();
        assert!(session.wait_for("before", LIMIT, &never));
        let mut tap = session.tap().unwrap();
        machine.write_all(b"during").unwrap();
        assert!(session.wait_for("during", LIMIT, &never));
        assert!(!session.wait_for("before", Duration::ZERO, &never));
        session.stopper()();
        machine.write_all(b"after").unwrap();
        let mut got = String::new();
        tap.read_to_string(&mut got).unwrap();
        assert_eq!(got, "during");
        drop(machine);
        assert!(!session.wait_for("never", LIMIT, &never));
        assert!(session.is_ended());
    }

    #[test]
    fn a_sysrq_key_follows_a_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        let session = Session::open(&ConsoleSource::Unix(path), Some("~B")).unwrap();
        let (mut machine, _) = listener.accept().unwrap();
        session.sysrq('w').unwrap();
        let mut sent = [0; 3];
        machine.read_exact(&mut sent).unwrap();
        assert_eq!(&sent, b"~Bw");
    }

    #[test]
    fn an_interrupt_ends_a_wait() {
        let session = Session::open(&ConsoleSource::Command("cat".to_owned()), None).unwrap();
        assert!(session.sysrq('w').is_err());
        let interrupt = Interrupt::default();
        interrupt.raise();
        assert!(!session.wait_for("never", LIMIT, &interrupt));
    }

    #[test]
    fn a_console_that_cannot_be_opened_says_why() {
        let error = Session::open(&ConsoleSource::Unix("/nonexistent".into()), None).err().unwrap();
        assert!(error.contains("cannot connect to /nonexistent"), "{error}");
    }
}
