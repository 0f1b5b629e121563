//! The session with a machine's console: one for all boots, because consoles of management
//! controllers do not like to be opened often, and lose what comes meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{
    BaudRate, ControlFlags, SetArg, Termios, cfmakeraw, cfsetspeed, tcgetattr, tcsetattr,
};
use nix::unistd::Pid;

use super::source::ConsoleSource;

/// Bytes of the console that are kept to look for words.
const KEPT: usize = 64 << 10;
/// Longest read, in bytes.
const READ: usize = 16 << 10;
/// A console that takes nothing for so long is lost.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// An open console.
pub(super) struct Session {
    shared: Arc<Shared>,
    close: Close,
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
    /// Opens the console.
    ///
    /// # Errors
    ///
    /// The system's error, as a clause.
    pub(super) fn open(source: &ConsoleSource) -> Result<Self, String> {
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
                    Ok((file.try_clone()?, file))
                };
                let (input, output) =
                    open().map_err(|error| failed(&format!("open {}", path.display()), error))?;
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
        Ok(Self { shared, close })
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
    /// come within the limit, or the console ends.
    pub(super) fn wait_for(&self, words: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut state = lock(&self.shared.state);
        loop {
            if memchr::memmem::find(&state.recent, words.as_bytes()).is_some() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
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
                let group = i32::try_from(child.id()).map(Pid::from_raw);
                let _ = group.map(|group| killpg(group, Signal::SIGTERM));
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

/// Opens a serial port of this host in raw mode.
fn open_tty(path: &Path, baud: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A blocking open would wait for a carrier.
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let file = options.read(true).write(true).custom_flags(flags).open(path)?;
    let mut settings = tcgetattr(&file)?;
    cfmakeraw(&mut settings);
    settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
    let speed = speed(baud).ok_or_else(|| io::Error::other(format!("no speed {baud}")))?;
    cfsetspeed(&mut settings, speed)?;
    tcsetattr(&file, SetArg::TCSANOW, &settings)?;
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty()))?;
    Ok(file)
}

fn speed(baud: u32) -> Option<BaudRate> {
    Some(match baud {
        9600 => BaudRate::B9600,
        19_200 => BaudRate::B19200,
        38_400 => BaudRate::B38400,
        57_600 => BaudRate::B57600,
        115_200 => BaudRate::B115200,
        230_400 => BaudRate::B230400,
        460_800 => BaudRate::B460800,
        921_600 => BaudRate::B921600,
        _ => return None,
    })
}

/// Runs a command on a terminal of its own, which changes no byte.
fn on_terminal(command: &str) -> io::Result<(File, File, Child)> {
    let terminal = openpty(None::<&Winsize>, None::<&Termios>)?;
    let mut settings = tcgetattr(terminal.slave.as_fd())?;
    cfmakeraw(&mut settings);
    tcsetattr(terminal.slave.as_fd(), SetArg::TCSANOW, &settings)?;
    let end = || terminal.slave.try_clone().map(Stdio::from);
    // `setsid` makes it the leader of a session and of a process group with its own number.
    let child = Command::new("setsid")
        .args(["--ctty", "sh", "-c", command])
        .stdin(end()?)
        .stdout(end()?)
        .stderr(end()?)
        .spawn()?;
    let master = File::from(terminal.master);
    Ok((master.try_clone()?, master, child))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn a_command_has_a_terminal_that_changes_no_byte() {
        let command = "[ -t 0 ] && echo terminal; head -c 4";
        let session = Session::open(&ConsoleSource::Command(command.to_owned())).unwrap();
        assert!(session.wait_for("terminal\n", LIMIT));
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let listener = UnixListener::bind(&path).unwrap();
        let session = Session::open(&ConsoleSource::Unix(path)).unwrap();
        let (mut machine, _) = listener.accept().unwrap();
        machine.write_all(b"before").unwrap();
        assert!(session.wait_for("before", LIMIT));
        let mut tap = session.tap().unwrap();
        machine.write_all(b"during").unwrap();
        assert!(session.wait_for("during", LIMIT));
        assert!(!session.wait_for("before", Duration::ZERO));
        session.stopper()();
        machine.write_all(b"after").unwrap();
        let mut got = String::new();
        tap.read_to_string(&mut got).unwrap();
        assert_eq!(got, "during");
        drop(machine);
        assert!(!session.wait_for("never", LIMIT));
        assert!(session.is_ended());
    }

    #[test]
    fn a_console_that_cannot_be_opened_says_why() {
        let error = Session::open(&ConsoleSource::Unix("/nonexistent".into())).err().unwrap();
        assert!(error.contains("cannot connect to /nonexistent"), "{error}");
    }
}
