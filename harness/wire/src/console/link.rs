//! One end of a stream over lines: numbers them, puts them in order, and sends them again.
//!
//! The two ends take turns, as agent and host do: the agent sends messages until it waits for an
//! order, and the host sends an order when it has read them all. So new data from the other end
//! says that it has read everything sent before.
//!
//! An end that misses lines says so. The agent reads that when it waits. Whoever lost the *last*
//! line does not know it, so an agent that waits asks from time to time, and the host answers.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use super::line::{Line, MAX_DATA, Missing};

/// Lines that wait for one that is missing, at most. The longest message has 4500.
const MAX_HELD: usize = 1 << 14;

/// One end of the stream.
#[derive(Debug)]
pub struct Link {
    session: u32,
    /// Number of the next line to send.
    next: u32,
    /// Lines that the other end may miss; the last has the number before `next`.
    sent: VecDeque<Vec<u8>>,
    /// Number of the next line to read.
    expected: u32,
    /// Lines that came before one that is missing.
    held: BTreeMap<u32, Vec<u8>>,
    /// The first line that the other end was told is missing.
    told: Option<u32>,
    /// Bytes in order, which nobody has read.
    ready: VecDeque<u8>,
    /// Lines that were sent again.
    repeated: u64,
}

impl Link {
    /// The beginning of a session.
    #[must_use]
    pub fn new(session: u32) -> Self {
        Self {
            session,
            next: 0,
            sent: VecDeque::new(),
            expected: 0,
            held: BTreeMap::new(),
            told: None,
            ready: VecDeque::new(),
            repeated: 0,
        }
    }

    /// The lines that carry these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = Vec::new();
        for part in bytes.chunks(MAX_DATA) {
            let line = Line::Data { number: self.next, bytes: part.to_vec() };
            let encoded = line.encode(self.session);
            lines.extend_from_slice(&encoded);
            self.sent.push_back(encoded);
            self.next = self.next.wrapping_add(1);
        }
        lines
    }

    /// Takes a line of the other end. Returns the lines that answer it, if any must.
    pub fn receive(&mut self, line: Line) -> Vec<u8> {
        match line {
            Line::Data { number, .. } if number < self.expected => Vec::new(),
            Line::Data { number, bytes } => {
                self.sent.clear();
                if self.held.len() < MAX_HELD {
                    self.held.insert(number, bytes);
                }
                while let Some(bytes) = self.held.remove(&self.expected) {
                    self.ready.extend(bytes);
                    self.expected += 1;
                }
                if self.held.is_empty() || self.told == Some(self.expected) {
                    return Vec::new();
                }
                self.told = Some(self.expected);
                Line::Want(self.missing()).encode(self.session)
            }
            Line::Want(missing) => self.again(missing),
            Line::Ask(missing) => {
                let mut lines = self.again(missing);
                lines.extend(Line::Want(self.missing()).encode(self.session));
                lines
            }
        }
    }

    /// The question of an end that has waited.
    #[must_use]
    pub fn ask(&self) -> Vec<u8> {
        Line::Ask(self.missing()).encode(self.session)
    }

    /// The lines that are missing although later ones have arrived; `None` if there is no gap.
    #[must_use]
    pub fn gap(&self) -> Option<Missing> {
        (!self.held.is_empty()).then(|| self.missing())
    }

    /// True if the other end has read everything that was sent.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.sent.is_empty()
    }

    /// The number of lines that were sent again.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// True if bytes wait to be read.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Reads bytes that are in order; 0 if there are none now.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        // A deque reads without errors.
        io::Read::read(&mut self.ready, buffer).unwrap_or_default()
    }

    fn missing(&self) -> Missing {
        let to = self.held.first_key_value().map_or(u32::MAX, |(number, _)| *number);
        Missing { from: self.expected, to }
    }

    /// The lines that the other end misses, as far as they are kept. Those before have arrived.
    fn again(&mut self, missing: Missing) -> Vec<u8> {
        let first = self.next.wrapping_sub(self.sent.len() as u32);
        let arrived = missing.from.saturating_sub(first) as usize;
        self.sent.drain(..arrived.min(self.sent.len()));
        let first = self.next.wrapping_sub(self.sent.len() as u32);
        let count = missing.to.saturating_sub(first) as usize;
        let lines: Vec<_> = self.sent.iter().take(count).collect();
        self.repeated += lines.len() as u64;
        lines.into_iter().flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::line::Scanner;
    use super::*;

    const SESSION: u32 = 7;

    /// Two ends and the wire between them, which damages some bytes.
    struct Ends {
        agent: Link,
        host: Link,
        at_agent: Scanner,
        at_host: Scanner,
        random: u64,
        /// One of this many bytes is damaged.
        rate: u64,
    }

    impl Ends {
        fn new(seed: u64, rate: u64) -> Self {
            let (agent, host) = (Link::new(SESSION), Link::new(SESSION));
            let (at_agent, at_host) = (Scanner::new(SESSION), Scanner::new(SESSION));
            Self { agent, host, at_agent, at_host, random: seed | 1, rate }
        }

        fn random(&mut self) -> u64 {
            // Xorshift.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            self.random
        }

        /// The bytes as they arrive.
        fn damaged(&mut self, bytes: Vec<u8>) -> Vec<u8> {
            let mut arrived = Vec::new();
            for byte in bytes {
                match self.random() % (self.rate * 4) {
                    0 => arrived.push(byte ^ 1 << (self.random() % 8)),
                    1 => {}
                    2 => arrived.extend([byte, b'\n']),
                    3 => arrived.extend(b"[    1.000000] message\r\n"),
                    _ => arrived.push(byte),
                }
            }
            arrived
        }

        fn send_to_host(&mut self, bytes: Vec<u8>) {
            let bytes = self.damaged(bytes);
            let (mut lines, mut answers) = (Vec::new(), Vec::new());
            self.at_host.scan(&bytes, |line| lines.push(line), |_| {});
            lines.into_iter().for_each(|line| answers.extend(self.host.receive(line)));
            if !answers.is_empty() {
                self.send_to_agent(answers);
            }
        }

        fn send_to_agent(&mut self, bytes: Vec<u8>) {
            let bytes = self.damaged(bytes);
            let (mut lines, mut answers) = (Vec::new(), Vec::new());
            self.at_agent.scan(&bytes, |line| lines.push(line), |_| {});
            lines.into_iter().for_each(|line| answers.extend(self.agent.receive(line)));
            if !answers.is_empty() {
                self.send_to_host(answers);
            }
        }

        /// Lets the agent ask until `done`.
        fn settle(&mut self, done: impl Fn(&Self) -> bool) {
            for _ in 0..10_000 {
                if done(self) {
                    return;
                }
                let question = self.agent.ask();
                self.send_to_host(question);
            }
            panic!("never settles: {:?} {:?}", self.agent, self.host);
        }
    }

    fn bytes(link: &mut Link) -> Vec<u8> {
        let mut read = vec![0; 1 << 20];
        let count = link.read(&mut read);
        read.truncate(count);
        read
    }

    #[test]
    fn nothing_is_said_twice_on_a_good_line() {
        let mut ends = Ends::new(1, u64::MAX / 4);
        let lines = ends.agent.send(&[1; 3 * MAX_DATA]);
        ends.send_to_host(lines);
        assert_eq!(bytes(&mut ends.host), [1; 3 * MAX_DATA]);
        let lines = ends.host.send(b"order");
        ends.send_to_agent(lines);
        assert_eq!(bytes(&mut ends.agent), b"order");
        assert_eq!((ends.agent.repeated(), ends.host.repeated(), ends.host.gap()), (0, 0, None));
    }

    #[test]
    fn a_gap_is_known_until_it_is_filled() {
        let (mut agent, mut host) = (Link::new(SESSION), Link::new(SESSION));
        let lines: Vec<_> =
            (0..3).map(|number| Line::Data { number, bytes: vec![number as u8] }).collect();
        agent.send(&[9; 3 * MAX_DATA]);
        assert!(host.receive(lines[0].clone()).is_empty());
        let want = host.receive(lines[2].clone());
        assert_eq!(host.gap(), Some(Missing { from: 1, to: 2 }));
        assert!(!want.is_empty());
        // Said once.
        assert!(host.receive(lines[2].clone()).is_empty());
        assert!(!agent.receive(Line::Want(Missing { from: 1, to: 2 })).is_empty());
        assert_eq!(agent.repeated(), 1);
        host.receive(lines[1].clone());
        assert_eq!((host.gap(), bytes(&mut host)), (None, vec![0, 1, 2]));
    }

    #[test]
    fn hostile_numbers_never_panic() {
        let mut link = Link::new(SESSION);
        link.send(b"abc");
        for from in [0, 1, 2, u32::MAX - 1, u32::MAX] {
            for to in [0, 1, 2, u32::MAX] {
                link.receive(Line::Ask(Missing { from, to }));
            }
            link.receive(Line::Data { number: from, bytes: vec![1] });
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn both_streams_arrive_whole_and_in_order_over_a_bad_line(
            seed in any::<u64>(),
            rate in 300u64..5000,
            turns in proptest::collection::vec((1usize..3000, 1usize..1500), 1..6),
        ) {
            let mut ends = Ends::new(seed, rate);
            for (number, (length, order)) in turns.into_iter().enumerate() {
                let message: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
                let lines = ends.agent.send(&message);
                ends.send_to_host(lines);
                ends.settle(|ends| ends.host.ready.len() == length);
                prop_assert_eq!(bytes(&mut ends.host), message);
                let message: Vec<u8> = (0..order).map(|at| (at * 5 + number) as u8).collect();
                let lines = ends.host.send(&message);
                ends.send_to_agent(lines);
                ends.settle(|ends| ends.agent.ready.len() == order);
                prop_assert_eq!(bytes(&mut ends.agent), message);
            }
        }
    }
}
