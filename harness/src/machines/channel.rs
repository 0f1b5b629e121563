//! The host's end of the channel to an agent: a port, and memory shared with the guest.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use perfsec_wire::frame::{self, FrameError, Reader, Writer};
use perfsec_wire::window::{self, Inbox};
use perfsec_wire::{Message, Order};

use super::Incident;

/// A guest has this long to read an order. One that never reads would hold up its lane for ever.
const ORDER_LIMIT: Duration = Duration::from_secs(10);

/// The host's end of the channel.
pub(in crate::machines) struct Channel {
    port: Writer<UnixStream>,
    bell: UnixStream,
    window: Option<Window>,
    /// The agent has moved to the window.
    moved: Arc<AtomicBool>,
}

impl Channel {
    /// Reads the agent's messages, on a thread that passes them to `tell`, until the channel ends
    /// or `tell` returns false.
    pub(in crate::machines) fn open(
        port: UnixStream,
        window: Option<File>,
        tell: impl Fn(Incident) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        // Of the socket, so of its clones too.
        port.set_write_timeout(Some(ORDER_LIMIT))?;
        let moved = Arc::new(AtomicBool::new(false));
        let channel = Self {
            port: Writer::new(port.try_clone()?),
            bell: port.try_clone()?,
            window: window.as_ref().map(File::try_clone).transpose()?.map(Window),
            moved: Arc::clone(&moved),
        };
        let read = move || {
            let end = receive(&port, window, &moved, &tell).err().and_then(nonsense);
            tell(Incident::Silence(end));
        };
        thread::Builder::new().name("agent".to_owned()).spawn(read)?;
        Ok(channel)
    }

    /// Sends an order to the agent, which waits for it.
    pub(in crate::machines) fn send(&mut self, order: &Order) -> Result<(), FrameError> {
        match &self.window {
            Some(window) if self.moved.load(Ordering::Acquire) => {
                window::store_order(window, &frame::seal(order)?)?;
                Ok(io::Write::write_all(&mut self.bell, &[window::ORDER])?)
            }
            _ => self.port.write(order),
        }
    }
}

/// Receives messages from the serial port and, after the agent has moved, through the window.
fn receive(
    port: &UnixStream,
    window: Option<File>,
    moved: &AtomicBool,
    tell: &dyn Fn(Incident) -> bool,
) -> Result<(), FrameError> {
    let mut messages = Reader::new(BufReader::new(port));
    if !forward(&mut messages, tell)? {
        return Ok(());
    }
    // The agent sends nothing that asks for an order before the first message in the new stream.
    moved.store(true, Ordering::Release);
    let nowhere = || io::Error::other("the agent moved to memory that its guest does not have");
    let memory = Window(window.ok_or_else(nowhere)?);
    // The reader of the port may have buffered the beginning of the new stream.
    let inbox = Inbox::new(memory, messages.into_inner(), port);
    let mut messages = Reader::new(BufReader::new(inbox));
    if forward(&mut messages, tell)? {
        return Err(io::Error::other("the agent moved a second time").into());
    }
    Ok(())
}

/// Forwards messages until the stream ends. Returns true if the agent continues in another stream.
pub(super) fn forward(
    messages: &mut Reader<impl Read>,
    tell: &dyn Fn(Incident) -> bool,
) -> Result<bool, FrameError> {
    while let Some(message) = messages.read()? {
        match message {
            Message::Moved => return Ok(true),
            message => {
                if !tell(Incident::Message(message)) {
                    break;
                }
            }
        }
    }
    Ok(false)
}

/// The words for a channel that carried something else than messages; `None` for one that merely
/// ended, if only in the middle of a message: how the machine ended says more.
pub(super) fn nonsense(error: FrameError) -> Option<String> {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};

    match error {
        FrameError::Truncated => None,
        // A socket with bytes that QEMU had not read when it died.
        FrameError::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset) => None,
        error => Some(error.to_string()),
    }
}

/// The memory that is shared with the guest. The host's kernel copies it, so that perfsec never
/// reads bytes that the guest may be changing.
pub(super) struct Window(pub(super) File);

impl window::Load for Window {
    fn load(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset as u64)
    }
}

impl window::Store for Window {
    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset as u64)
    }
}
