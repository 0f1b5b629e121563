//! The host's end of the channel to an agent that has only the kernel's console.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use perfsec_wire::Order;
use perfsec_wire::console::line::Missing;
use perfsec_wire::console::{Link, Scanner};
use perfsec_wire::frame::{FrameError, Reader, Writer};

use super::Incident;
use super::channel::{forward, nonsense};

/// Longest read, in bytes.
const READ: usize = 16 << 10;

/// The host's end of the channel.
pub(in crate::machines) struct SharedConsole {
    orders: Writer<LinkWriter>,
    traffic: Arc<Mutex<Traffic>>,
}

/// The amount of data that a console carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes from the machine, messages of the kernel included.
    pub received: u64,
    /// Bytes to the machine.
    pub sent: u64,
    /// Messages of the agent.
    pub messages: u64,
    /// Lines of the agent that were damaged.
    pub damaged: u64,
}

impl Traffic {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            sent: self.sent + other.sent,
            messages: self.messages + other.messages,
            damaged: self.damaged + other.damaged,
        }
    }
}

impl SharedConsole {
    /// Reads a console until it ends, on a thread: what the kernel and the firmware print goes to
    /// `print`, the agent's messages to `tell` until that returns false.
    pub(in crate::machines) fn open(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
        session: u32,
        print: impl Fn(&[u8]) + Send + 'static,
        tell: impl Fn(Incident) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let traffic = Arc::<Mutex<Traffic>>::default();
        let output: Box<dyn Write + Send> = Box::new(output);
        let end = End { link: Link::new(session), output, traffic: Arc::clone(&traffic) };
        let end = Arc::new(Mutex::new(end));
        let orders = Writer::new(LinkWriter { end: Arc::clone(&end), pending: Vec::new() });
        let stream = Stream {
            input,
            end,
            scanner: Scanner::new(session),
            print,
            traffic: Arc::clone(&traffic),
        };
        let counted = Arc::clone(&traffic);
        let read = move || {
            let mut messages = Reader::new(stream);
            let heard = |incident| {
                lock(&counted).messages += 1;
                tell(incident)
            };
            let ended = forward(&mut messages, &heard);
            let mut stream = messages.into_inner();
            let why = match (ended, stream.gap()) {
                (Ok(true), _) => Some("the agent moved to memory on a console".to_owned()),
                // Nothing behind it can be read.
                (_, Some(Missing { from, to })) => Some(format!(
                    "the console lost lines {from} to {}, and nobody sent them again",
                    to.saturating_sub(1)
                )),
                (Ok(false), None) => None,
                (Err(error), None) => nonsense(error),
            };
            tell(Incident::Silence(why));
            // The rest is for people, and an agent that ends wants to know that it was heard.
            stream.drain();
        };
        thread::Builder::new().name("console".to_owned()).spawn(read)?;
        Ok(Self { orders, traffic })
    }

    /// Sends an order to the agent, which waits for it.
    pub(in crate::machines) fn send(&mut self, order: &Order) -> Result<(), FrameError> {
        self.orders.write(order)
    }

    /// The amount of data so far.
    pub(in crate::machines) fn traffic(&self) -> Traffic {
        *lock(&self.traffic)
    }
}

/// The stream's end, which both directions need.
struct End {
    link: Link,
    output: Box<dyn Write + Send>,
    traffic: Arc<Mutex<Traffic>>,
}

impl End {
    fn say(&mut self, lines: &[u8]) -> io::Result<()> {
        lock(&self.traffic).sent += lines.len() as u64;
        self.output.write_all(lines)?;
        self.output.flush()
    }
}

/// A value that is whole even if a thread panicked.
fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes orders.
struct LinkWriter {
    end: Arc<Mutex<End>>,
    pending: Vec<u8>,
}

impl Write for LinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut end = lock(&self.end);
        let lines = end.link.send(&std::mem::take(&mut self.pending));
        end.say(&lines)
    }
}

/// Reads messages among what the console shows.
struct Stream<R, P> {
    input: R,
    end: Arc<Mutex<End>>,
    scanner: Scanner,
    print: P,
    traffic: Arc<Mutex<Traffic>>,
}

impl<R: Read, P: Fn(&[u8])> Stream<R, P> {
    /// Reads a piece of the console and answers the lines in it. Returns false at its end.
    fn step(&mut self) -> io::Result<bool> {
        let mut buffer = [0; READ];
        let count = match self.input.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut lines = Vec::new();
        self.scanner.scan(&buffer[..count], |line| lines.push(line), &self.print);
        {
            let mut traffic = lock(&self.traffic);
            traffic.received += count as u64;
            traffic.damaged = self.scanner.damaged();
        }
        let mut end = lock(&self.end);
        for line in lines {
            let answer = end.link.receive(line);
            if !answer.is_empty() {
                end.say(&answer)?;
            }
        }
        Ok(count > 0)
    }

    fn gap(&self) -> Option<Missing> {
        lock(&self.end).link.gap()
    }

    /// Reads until the console ends.
    fn drain(&mut self) {
        // A console that fails has ended, too.
        while let Ok(true) = self.step() {
            // The agent may go on speaking, but nobody listens.
            let mut unheard = [0; READ];
            while lock(&self.end).link.read(&mut unheard) > 0 {}
        }
    }
}

impl<R: Read, P: Fn(&[u8])> Read for Stream<R, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = lock(&self.end).link.read(buffer);
            if count > 0 || buffer.is_empty() || !self.step()? {
                return Ok(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use perfsec_wire::{Message, Refusal};

    use super::*;

    const SESSION: u32 = 0xfeed;
    const LIMIT: Duration = Duration::from_secs(30);

    struct Machine {
        line: UnixStream,
        link: Link,
        scanner: Scanner,
        console: SharedConsole,
        incidents: Receiver<Incident>,
        printed: Receiver<Vec<u8>>,
    }

    impl Machine {
        fn start() -> Self {
            let (line, host) = UnixStream::pair().unwrap();
            line.set_read_timeout(Some(LIMIT)).unwrap();
            let (tell, incidents) = channel();
            let (print, printed) = channel();
            let output = host.try_clone().unwrap();
            let console = SharedConsole::open(
                host,
                output,
                SESSION,
                move |text: &[u8]| print.send(text.to_vec()).unwrap_or_default(),
                move |incident| tell.send(incident).is_ok(),
            );
            let (link, scanner) = (Link::new(SESSION), Scanner::new(SESSION));
            Self { line, link, scanner, console: console.unwrap(), incidents, printed }
        }

        /// The lines of a message.
        fn lines(&mut self, message: &Message) -> Vec<u8> {
            let mut bytes = Vec::new();
            Writer::new(&mut bytes).write(message).unwrap();
            self.link.send(&bytes)
        }

        /// Reads what the host says, and answers.
        fn listen(&mut self) {
            let mut buffer = [0; READ];
            let count = self.line.read(&mut buffer).unwrap();
            let mut lines = Vec::new();
            self.scanner.scan(&buffer[..count], |line| lines.push(line), |_| {});
            for line in lines {
                let answer = self.link.receive(line);
                self.line.write_all(&answer).unwrap();
            }
        }

        fn incident(&self) -> Incident {
            self.incidents.recv_timeout(LIMIT).unwrap()
        }
    }

    fn message(length: usize) -> Message {
        // Random, so that nothing is compressed.
        let doing = (0..length).map(|_| fastrand::alphanumeric()).collect();
        Message::Refused(Refusal::Setup { doing, errno: 1 })
    }

    #[test]
    fn messages_are_told_and_the_rest_is_printed() {
        let mut machine = Machine::start();
        let sent = message(1000);
        let lines = machine.lines(&sent);
        machine.line.write_all(b"[    1.0] booted\r\n").unwrap();
        machine.line.write_all(&lines).unwrap();
        assert_eq!(machine.incident(), Incident::Message(sent));
        assert_eq!(machine.printed.recv_timeout(LIMIT).unwrap(), b"[    1.0] booted\r\n");
        machine.console.send(&Order::End).unwrap();
        machine.listen();
        assert!(machine.link.is_ready());
        drop(machine.line);
        assert_eq!(machine.incidents.recv_timeout(LIMIT).unwrap(), Incident::Silence(None));
    }

    #[test]
    fn a_line_that_the_kernel_interrupted_is_sent_again() {
        let mut machine = Machine::start();
        let sent = message(1000);
        let mut lines = machine.lines(&sent);
        let inserted = b"[    2.0] Kernel message\r\n";
        lines.splice(40..40, inserted.iter().copied());
        machine.line.write_all(&lines).unwrap();
        machine.listen();
        assert_eq!(machine.incident(), Incident::Message(sent));
        assert_eq!(machine.console.traffic().damaged, 1);
    }

    #[test]
    fn a_gap_that_nobody_fills_is_an_error_and_never_a_message() {
        let mut machine = Machine::start();
        let mut lines = machine.lines(&message(1000));
        lines[40] = b'?';
        machine.line.write_all(&lines).unwrap();
        drop(machine.line);
        let Incident::Silence(Some(why)) = machine.incidents.recv_timeout(LIMIT).unwrap() else {
            panic!("it was not noticed")
        };
        assert!(why.contains("lost lines 0 to 0"), "{why}");
    }

    #[test]
    fn a_question_is_answered_although_nobody_listens_to_messages() {
        let mut machine = Machine::start();
        let sent = message(10);
        let lines = machine.lines(&sent);
        machine.line.write_all(&lines).unwrap();
        assert_eq!(machine.incident(), Incident::Message(sent));
        let question = machine.link.ask();
        machine.line.write_all(&question).unwrap();
        machine.listen();
        assert!(machine.link.is_acknowledged());
    }
}
