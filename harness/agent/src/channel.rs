//! The channel to the host: a serial port, its own or the console, and shared memory if the guest
//! has it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perfsec_wire::frame::{self, FrameError, Reader, Writer};
use perfsec_wire::window::{self, Load, Outbox, Store};
use perfsec_wire::{Message, Order};

use crate::console::Console;
use crate::error::{Error, ErrorContext, Result};
use crate::sys::Shared;
use crate::{knob, serial};

/// The second serial port. Stock kernels have the driver built in; those for virtio are modules.
const PORT: &str = "/dev/ttyS1";
/// Where sysfs lists PCI devices.
const PCI_DEVICES: &str = "/sys/bus/pci/devices";

/// The channel.
pub(crate) enum Port {
    /// A stream of its own.
    Own(Streams),
    /// Lines on the kernel's console.
    Console(Arc<Console>),
}

/// The two directions of a channel of its own; a serial port has both.
pub(crate) struct Streams {
    /// Orders, and the host's bells.
    pub(crate) input: File,
    /// Messages, and the agent's bells.
    pub(crate) output: File,
}

/// Opens the second serial port.
pub(crate) fn port() -> Result<Port> {
    let output = serial::open_raw(PORT)?;
    let input = output.try_clone().doing("read from the channel")?;
    Ok(Port::Own(Streams { input, output }))
}

impl Port {
    /// Waits until the last byte has left the port, and on a console until the host has read all.
    pub(crate) fn drain(&self) {
        match self {
            Self::Own(streams) => serial::drain(&streams.output),
            // Failed before, where it was reported.
            Self::Console(console) => drop(console.part()),
        }
    }
}

/// Memory shared with the host, the resource of a PCI device. Mapped through sysfs, it needs no
/// driver.
pub(crate) struct Window(Shared);

impl Window {
    /// Maps the window.
    ///
    /// # Errors
    ///
    /// If the machine has no such device (a QEMU without it), the kernel does not show its memory
    /// (no `CONFIG_PCI`), or refuses the mapping (`LOCKDOWN_PCI_ACCESS`).
    pub(crate) fn open() -> Result<Self> {
        let device = device()?;
        // Firmware enables only devices that it knows, the kernel only those with a driver.
        knob::write(device.join("enable"), "1")?;
        let path = device.join(window::PCI_RESOURCE);
        let doing = format!("map {}", path.display());
        let file = OpenOptions::new().read(true).write(true).open(&path).doing(&doing)?;
        Shared::map(file.as_fd(), window::SIZE, None).map(Self).doing(doing)
    }
}

impl Store for &Window {
    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        self.0.store(offset, bytes);
        Ok(())
    }
}

impl Load for &Window {
    fn load(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
        self.0.load(offset, bytes);
        Ok(())
    }
}

fn device() -> Result<PathBuf> {
    let devices = Path::new(PCI_DEVICES);
    let entries = std::fs::read_dir(devices).doing(format_args!("list {PCI_DEVICES}"))?;
    let (vendor, device) = window::PCI_ID;
    let is_it = |path: &PathBuf| {
        knob::read(path.join("vendor")).is_ok_and(|id| id == vendor)
            && knob::read(path.join("device")).is_ok_and(|id| id == device)
    };
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_it).ok_or_else(|| {
        let doing = format!("find a PCI device {vendor}:{device}");
        Error::new(doing, "the machine has none")
    })
}

/// The conversation with the host, on the port at first.
pub(crate) struct Conversation<'a> {
    port: &'a Port,
    window: Option<(&'a Window, &'a Streams)>,
    messages: Writer<Channel<'a>>,
    /// Orders that come on the port. Without a buffer: what follows an order may be a bell.
    orders: Reader<Source<'a>>,
}

impl<'a> Conversation<'a> {
    /// Begins on the port.
    pub(crate) fn on(port: &'a Port) -> Self {
        let (messages, orders) = match port {
            Port::Own(streams) => (Channel::Port(&streams.output), Source::Port(&streams.input)),
            Port::Console(console) => (Channel::Console(console), Source::Console(console)),
        };
        Self { port, window: None, messages: Writer::new(messages), orders: Reader::new(orders) }
    }

    /// Continues through the window, with bells on these streams. The host must wait for an answer
    /// when this is called.
    pub(crate) fn move_to(
        &mut self,
        window: &'a Window,
        streams: &'a Streams,
    ) -> std::result::Result<(), FrameError> {
        self.messages.write(&Message::Moved)?;
        let bell = Bell::new(&streams.output);
        self.messages = Writer::plain(Channel::Window(Outbox::new(window, bell)));
        self.window = Some((window, streams));
        Ok(())
    }

    /// Waits until nothing that the kernel prints can interrupt a message that was sent.
    pub(crate) fn settle(&self) {
        if let Port::Console(console) = self.port {
            console.settle();
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &Message) -> std::result::Result<(), FrameError> {
        self.messages.write(message)
    }

    /// Sends a message together with the one that follows at once.
    pub(crate) fn queue(&mut self, message: &Message) -> std::result::Result<(), FrameError> {
        self.messages.queue(message)
    }

    /// Waits for an order.
    pub(crate) fn order(&mut self) -> std::result::Result<Order, FrameError> {
        let Some((window, streams)) = self.window else {
            return self.orders.read()?.ok_or(FrameError::Truncated);
        };
        let mut bell = [0];
        (&streams.input).read_exact(&mut bell)?;
        if bell != [window::ORDER] {
            return Err(FrameError::Garbled(format!("the host rings {:#04x}", bell[0])));
        }
        frame::unseal(&window::load_order(&window)?)
    }
}

/// The port as the window's bell. One write to the transmitter register is one exit from the guest;
/// the tty layer makes some twenty per byte (it enables an interrupt, takes it, and so on).
struct Bell<'a> {
    port: &'a File,
    registers: Option<Registers>,
}

/// The registers of the port's 16550, through `/dev/port`.
struct Registers {
    file: File,
    base: u64,
}

/// The line status register, from the base.
const LSR: u64 = 5;
/// The transmitter is empty, and with it the queues of the driver and of QEMU.
const LSR_THRE: u8 = 0x20;

impl<'a> Bell<'a> {
    /// Takes the port over once everything written to it has been sent.
    fn new(port: &'a File) -> Self {
        serial::drain(port);
        // Without /dev/port (CONFIG_DEVPORT) or under lockdown, the bell goes through the driver.
        Self { port, registers: Registers::open().ok() }
    }
}

impl Registers {
    fn open() -> Result<Self> {
        let attributes = Path::new("/sys/class/tty").join(PORT.trim_start_matches("/dev/"));
        let base = knob::read(attributes.join("port"))?;
        let digits = base.trim_start_matches("0x").trim_start_matches("0X");
        let wrong = |detail: &str| Error::new("find the registers of the port", detail);
        let base = u64::from_str_radix(digits, 16).map_err(|_| wrong(&base))?;
        if base == 0 {
            return Err(wrong("they are memory-mapped"));
        }
        let file = OpenOptions::new().read(true).write(true).open("/dev/port");
        Ok(Self { file: file.doing("open /dev/port")?, base })
    }

    /// Rings if the transmitter is empty; returns false if it is not.
    fn ring(&self, bell: u8) -> io::Result<bool> {
        let mut status = [0];
        self.file.read_exact_at(&mut status, self.base + LSR)?;
        if status[0] & LSR_THRE == 0 {
            return Ok(false);
        }
        self.file.write_all_at(&[bell], self.base).map(|()| true)
    }
}

impl Read for Bell<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.port.read(buffer)
    }
}

impl Write for Bell<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let (Some(registers), [bell]) = (&self.registers, bytes)
            && registers.ring(*bell)?
        {
            return Ok(1);
        }
        let count = self.port.write(bytes)?;
        // The driver must finish before the register is written again.
        serial::drain(self.port);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The destination of messages.
enum Channel<'a> {
    /// The port.
    Port(&'a File),
    /// Lines on the kernel's console.
    Console(&'a Console),
    /// Shared memory, with one byte on the port for each batch.
    Window(Outbox<&'a Window, Bell<'a>>),
}

/// The source of orders.
enum Source<'a> {
    /// The port.
    Port(&'a File),
    /// Lines on the kernel's console.
    Console(&'a Console),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Port(port) => port.read(buffer),
            Self::Console(console) => console.read(buffer),
        }
    }
}

impl Write for Channel<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Port(port) => port.write(bytes),
            Self::Console(console) => console.write(bytes),
            Self::Window(outbox) => outbox.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Port(port) => port.flush(),
            Self::Console(console) => console.flush(),
            Self::Window(outbox) => outbox.flush(),
        }
    }
}
