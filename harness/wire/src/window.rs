//! A byte stream through memory shared by the guest and the host.
//!
//! On an emulated serial port every byte is several exits from the guest; here a message of any
//! length is one byte on the port, the *bell*. The guest writes a batch (its length as a
//! little-endian `u32`, then its bytes) behind the previous one, and rings [`BATCH`]. If the next
//! does not fit, it rings [`TURN`], waits for [`TURNED`], and begins at the start again: it never
//! overwrites bytes that the host may not have read.
//!
//! So both sides know where a batch begins without exchanging offsets. The host copies every length
//! once and checks the copy, and copies every other byte once: a guest that changes them meanwhile
//! garbles only its own messages.
//!
//! Orders have a part of their own. The guest asks for each, so there is one at a time: the host
//! stores it at the beginning of that part and rings [`ORDER`].

use std::io::{self, Read, Write};

/// Length of the window in bytes. A power of two, as the resources of PCI devices are.
pub const SIZE: usize = 8 << 20;
/// Length of the part for messages, in front.
const MESSAGES: usize = SIZE / 2;
/// Offset of the part for orders, behind it.
const ORDERS: usize = MESSAGES;

/// Vendor and device of the PCI device with the window (QEMU's `ivshmem-plain`), as in sysfs.
pub const PCI_ID: (&str, &str) = ("0x1af4", "0x1110");
/// The device's resource that is the window.
pub const PCI_RESOURCE: &str = "resource2";

/// The guest rings: a batch is complete.
pub const BATCH: u8 = b'b';
/// The guest rings: the stream itself follows on the port, without bells. For the last message of a
/// panic handler, which only knows that the window is in use.
pub const PLAIN: u8 = b'p';
/// The guest rings: it waits for the answer and then begins at the start again.
pub const TURN: u8 = b't';
/// The host answers: everything has been read.
pub const TURNED: u8 = b'T';
/// The host rings: an order is complete.
pub const ORDER: u8 = b'o';

const LENGTH: usize = 4;

/// The window, as one side writes it.
pub trait Store {
    /// Copies `bytes` to `offset`; the two stay below [`SIZE`].
    ///
    /// # Errors
    ///
    /// If the memory is a file that cannot be written.
    fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()>;
}

/// The window, as one side reads it.
pub trait Load {
    /// Fills `bytes` from `offset`; the two stay below [`SIZE`].
    ///
    /// # Errors
    ///
    /// If the memory is a file that cannot be read.
    fn load(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()>;
}

/// Stores an order. The host rings [`ORDER`] afterwards.
///
/// # Errors
///
/// If the order is too long or the memory cannot be written.
pub fn store_order(memory: &impl Store, order: &[u8]) -> io::Result<()> {
    if order.len() > SIZE - ORDERS - LENGTH {
        return Err(garbled(format!("an order of {} bytes does not fit", order.len())));
    }
    memory.store(ORDERS + LENGTH, order)?;
    memory.store(ORDERS, &(order.len() as u32).to_le_bytes())
}

/// Loads the order whose [`ORDER`] rang.
///
/// # Errors
///
/// If there is no order.
pub fn load_order(memory: &impl Load) -> io::Result<Vec<u8>> {
    let mut length = [0; LENGTH];
    memory.load(ORDERS, &mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length == 0 || length > SIZE - ORDERS - LENGTH {
        return Err(garbled(format!("an order claims {length} bytes")));
    }
    let mut order = vec![0; length];
    memory.load(ORDERS + LENGTH, &mut order)?;
    Ok(order)
}

/// The guest's end. `flush` sends what was written.
pub struct Outbox<M, P> {
    memory: M,
    port: P,
    /// Offset of the batch that is being written.
    start: usize,
    /// Offset of its next byte.
    end: usize,
}

impl<M: Store, P: Read + Write> Outbox<M, P> {
    /// Starts at the beginning of `memory`. Reads of `port` must block.
    pub fn new(memory: M, port: P) -> Self {
        Self { memory, port, start: 0, end: LENGTH }
    }

    fn ring(&mut self, bell: u8) -> io::Result<()> {
        self.port.write_all(&[bell])?;
        self.port.flush()
    }

    fn turn(&mut self) -> io::Result<()> {
        self.ring(TURN)?;
        let mut answer = [0];
        self.port.read_exact(&mut answer)?;
        if answer != [TURNED] {
            return Err(garbled(format!("the host answers {:#04x}", answer[0])));
        }
        (self.start, self.end) = (0, LENGTH);
        Ok(())
    }
}

impl<M: Store, P: Read + Write> Write for Outbox<M, P> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.end >= MESSAGES {
            self.flush()?;
            self.turn()?;
        }
        let count = bytes.len().min(MESSAGES - self.end);
        self.memory.store(self.end, &bytes[..count])?;
        self.end += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let length = self.end.saturating_sub(self.start + LENGTH);
        if length == 0 {
            return Ok(());
        }
        self.memory.store(self.start, &(length as u32).to_le_bytes())?;
        (self.start, self.end) = (self.end, self.end + LENGTH);
        // A syscall, so the host sees everything that was stored before it.
        self.ring(BATCH)
    }
}

/// The host's end: reads what the guest has flushed, and waits for the next bell.
pub struct Inbox<M, P, A> {
    memory: M,
    port: P,
    answers: A,
    at: usize,
    /// Bytes of the batch at `at` that have not been read.
    left: usize,
    plain: bool,
}

impl<M: Load, P: Read, A: Write> Inbox<M, P, A> {
    /// Starts at the beginning of `memory`; bells come from `port`, answers go to `answers`.
    pub fn new(memory: M, port: P, answers: A) -> Self {
        Self { memory, port, answers, at: 0, left: 0, plain: false }
    }

    /// Waits for a batch, the plain stream or the end of the port.
    fn wait(&mut self) -> io::Result<()> {
        let mut bell = [0];
        loop {
            match self.port.read(&mut bell) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            match bell[0] {
                BATCH => return self.open(),
                PLAIN => {
                    self.plain = true;
                    return Ok(());
                }
                TURN => {
                    self.at = 0;
                    self.answers.write_all(&[TURNED])?;
                    self.answers.flush()?;
                }
                other => return Err(garbled(format!("the bell rings {other:#04x}"))),
            }
        }
    }

    fn open(&mut self) -> io::Result<()> {
        let start = self.at + LENGTH;
        if start > MESSAGES {
            return Err(garbled("a batch begins outside the window".to_owned()));
        }
        let mut length = [0; LENGTH];
        self.memory.load(self.at, &mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || length > MESSAGES - start {
            return Err(garbled(format!("a batch at {start} claims {length} bytes")));
        }
        (self.at, self.left) = (start, length);
        Ok(())
    }
}

impl<M: Load, P: Read, A: Write> Read for Inbox<M, P, A> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.plain && !buffer.is_empty() {
            self.wait()?;
        }
        if self.plain {
            return self.port.read(buffer);
        }
        let count = buffer.len().min(self.left);
        self.memory.load(self.at, &mut buffer[..count])?;
        self.at += count;
        self.left -= count;
        Ok(count)
    }
}

fn garbled(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::net::UnixStream;
    use std::sync::Mutex;
    use std::thread;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    struct Memory(Mutex<Vec<u8>>);

    impl Memory {
        fn new() -> Self {
            Self(Mutex::new(vec![0; SIZE]))
        }
    }

    impl Store for &Memory {
        fn store(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
            self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }

    impl Load for &Memory {
        fn load(&self, offset: usize, bytes: &mut [u8]) -> io::Result<()> {
            bytes.copy_from_slice(&self.0.lock().unwrap()[offset..offset + bytes.len()]);
            Ok(())
        }
    }

    /// The bytes that the host reads of what `write` flushes.
    fn sent(
        write: impl FnOnce(&mut Outbox<&Memory, UnixStream>) -> io::Result<()> + Send,
    ) -> Vec<u8> {
        let memory = Memory::new();
        let (guest, host) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| write(&mut Outbox::new(&memory, guest)).unwrap());
            let mut received = Vec::new();
            Inbox::new(&memory, &host, &host).read_to_end(&mut received).unwrap();
            received
        })
    }

    #[test]
    fn only_flushed_bytes_arrive() {
        let received = sent(|outbox| {
            outbox.write_all(b"one")?;
            outbox.flush()?;
            outbox.flush()?;
            outbox.write_all(b"two, ")?;
            outbox.write_all(b"three")?;
            outbox.flush()?;
            outbox.write_all(b"never")
        });
        assert_eq!(received, b"onetwo, three");
    }

    #[rstest]
    #[case::one_byte_less_than_fits(MESSAGES - LENGTH - 1)]
    #[case::exactly_what_fits(MESSAGES - LENGTH)]
    #[case::one_byte_more(MESSAGES - LENGTH + 1)]
    #[case::room_for_no_length(MESSAGES - 2 * LENGTH + 2)]
    #[case::several_windows(3 * MESSAGES + 5)]
    fn a_stream_longer_than_the_window_arrives_whole(#[case] length: usize) {
        let all: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let received = sent(|outbox| {
            outbox.write_all(&all)?;
            outbox.flush()?;
            outbox.write_all(b"and more")?;
            outbox.flush()
        });
        assert!(received == [all.as_slice(), b"and more"].concat());
    }

    #[test]
    fn a_batch_is_one_bell_and_a_turn_waits_for_its_answer() {
        /// A port on which the host has answered in advance.
        struct Port<'a>(&'a RefCell<Vec<u8>>, &'static [u8]);
        impl Read for Port<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1.read(buffer)
            }
        }
        impl Write for Port<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.borrow_mut().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (memory, bells) = (Memory::new(), RefCell::new(Vec::new()));
        let mut outbox = Outbox::new(&memory, Port(&bells, b"T?"));
        for _ in 0..3 {
            outbox.write_all(&[7; MESSAGES / 2]).unwrap();
            outbox.flush().unwrap();
        }
        // The second half did not fit: its beginning, a turn, and the rest.
        assert_eq!(bells.borrow().as_slice(), b"bbtbb");
        let error = outbox.write_all(&[7; MESSAGES]).unwrap_err();
        assert!(error.to_string().contains("0x3f"), "{error}");
    }

    #[test]
    fn after_its_bell_the_stream_continues_on_the_port() {
        let memory = Memory::new();
        (&memory).store(0, &5u32.to_le_bytes()).unwrap();
        (&memory).store(LENGTH, b"batch").unwrap();
        let mut received = Vec::new();
        Inbox::new(&memory, &b"bpbtx"[..], io::sink()).read_to_end(&mut received).unwrap();
        assert_eq!(received, b"batchbtx");
    }

    #[rstest]
    #[case::an_empty_batch(&[(0, 0)], b"b", "claims 0 bytes")]
    #[case::a_batch_longer_than_the_window(&[(0, MESSAGES as u32 - 3)], b"b", "claims 4194301 bytes")]
    #[case::the_longest_claim(&[(0, u32::MAX)], b"b", "claims 4294967295 bytes")]
    #[case::one_behind_the_end(&[(0, MESSAGES as u32 - 5)], b"bb", "outside the window")]
    #[case::another_bell(&[], b"x", "0x78")]
    fn a_malformed_window_is_an_error(
        #[case] lengths: &[(usize, u32)],
        #[case] bells: &[u8],
        #[case] words: &str,
    ) {
        let memory = Memory::new();
        for (at, length) in lengths {
            (&memory).store(*at, &length.to_le_bytes()).unwrap();
        }
        let error = Inbox::new(&memory, bells, io::sink()).read_to_end(&mut Vec::new());
        assert!(error.as_ref().is_err_and(|error| error.to_string().contains(words)), "{error:?}");
    }

    #[rstest]
    #[case::short(1)]
    #[case::the_longest(SIZE - ORDERS - LENGTH)]
    fn an_order_is_loaded_whole_and_leaves_messages_alone(#[case] length: usize) {
        let memory = Memory::new();
        store_order(&&memory, &vec![7; length]).unwrap();
        assert_eq!(load_order(&&memory).unwrap(), vec![7; length]);
        assert!(memory.0.lock().unwrap()[..MESSAGES].iter().all(|byte| *byte == 0));
    }

    #[rstest]
    #[case::nothing(0)]
    #[case::more_than_fits((SIZE - ORDERS) as u32)]
    #[case::the_longest_claim(u32::MAX)]
    fn an_order_that_cannot_be_is_an_error(#[case] claim: u32) {
        let memory = Memory::new();
        (&memory).store(ORDERS, &claim.to_le_bytes()).unwrap();
        assert!(load_order(&&memory).is_err());
        assert!(store_order(&&memory, &vec![7; SIZE - ORDERS]).is_err());
    }

    proptest! {
        #[test]
        fn batches_of_any_length_arrive_in_order(
            lengths in proptest::collection::vec(0usize..MESSAGES / 3, 1..12),
        ) {
            let batches: Vec<Vec<u8>> =
                lengths.iter().enumerate().map(|(at, length)| vec![at as u8; *length]).collect();
            let received = sent(|outbox| {
                batches.iter().try_for_each(|batch| {
                    outbox.write_all(batch)?;
                    outbox.flush()
                })
            });
            prop_assert!(received == batches.concat());
        }

        #[test]
        fn a_hostile_window_never_panics(
            content in proptest::collection::vec(any::<u8>(), 0..64),
            at in prop_oneof![Just(0), Just(MESSAGES - 64)],
            bells in "[bt]{0,8}|[btp\\x00]{0,4}",
        ) {
            let memory = Memory::new();
            (&memory).store(at, &content).unwrap();
            // A first batch that ends where the hostile bytes are.
            if at > 0 {
                (&memory).store(0, &((at - LENGTH) as u32).to_le_bytes()).unwrap();
            }
            let mut inbox = Inbox::new(&memory, bells.as_bytes(), io::sink());
            let mut buffer = vec![0; MESSAGES];
            while inbox.read(&mut buffer).is_ok_and(|count| count > 0) {}
        }
    }
}
