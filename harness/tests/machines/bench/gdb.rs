//! Stops the CPUs of a machine that QEMU plays, through QEMU's server for gdb ("Remote Serial
//! Protocol" in gdb's manual).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// `cli`, and a jump to itself.
const STUCK: &str = "faebfe";
/// Offsets of the instruction pointer and of the code segment among the registers, in bytes.
const RIP: usize = 128;
const CS: usize = 140;

/// QEMU's server for gdb.
pub(crate) struct Gdb(UnixStream);

impl Gdb {
    /// Connects, which stops all CPUs.
    fn attach(path: &Path) -> Self {
        Self(UnixStream::connect(path).expect("QEMU listens"))
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        self.0.write_all(format!("${packet}#{sum:02x}").as_bytes()).expect("QEMU reads");
    }

    /// Sends a packet and returns the answer.
    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        loop {
            let answer = self.receive();
            // Told after the connection, unasked: why the CPUs have stopped.
            if !answer.starts_with('T') {
                return answer;
            }
        }
    }

    fn receive(&mut self) -> String {
        let mut answer = Vec::new();
        let mut byte = [0];
        loop {
            self.0.read_exact(&mut byte).expect("QEMU answers");
            match byte[0] {
                b'$' => answer.clear(),
                b'#' => break,
                other => answer.push(other),
            }
        }
        self.0.read_exact(&mut [0; 2]).expect("the checksum");
        self.0.write_all(b"+").expect("QEMU reads");
        String::from_utf8(answer).expect("it is text")
    }

    /// The addresses of the next instructions of both CPUs, if both are in the kernel.
    fn in_kernel(&mut self) -> Option<Vec<u64>> {
        let of = |gdb: &mut Self, cpu: usize| {
            assert_eq!(gdb.ask(&format!("Hg{cpu}")), "OK");
            let registers = gdb.ask("g");
            let byte = |at: usize| {
                u8::from_str_radix(&registers[2 * at..2 * at + 2], 16).expect("hexadecimal")
            };
            let address = u64::from_le_bytes(std::array::from_fn(|at| byte(RIP + at)));
            (byte(CS) & 3 == 0).then_some(address)
        };
        (1..=super::CPUS).map(|cpu| of(self, cpu)).collect()
    }
}

/// Makes all CPUs spin with interrupts off, as soon as all are in the kernel. No detector of the
/// kernel's runs any more.
pub(crate) fn hang(path: &Path) {
    loop {
        let mut gdb = Gdb::attach(path);
        if let Some(places) = gdb.in_kernel() {
            for place in places {
                assert_eq!(gdb.ask(&format!("M{place:x},3:{STUCK}")), "OK");
            }
            assert_eq!(gdb.ask("D"), "OK");
            return;
        }
        assert_eq!(gdb.ask("D"), "OK");
        thread::sleep(Duration::from_millis(50));
    }
}
