//! A script plays the machine's kernels: it speaks the agent's part on the console, passes each
//! cell, and dies as its test asks.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use perfsec_wire::console::{ConsoleParameter, Link, Scanner};
use perfsec_wire::frame::{Reader, Writer};
use perfsec_wire::{CellOutcome, Facts, Message, Order, PROTOCOL, takeover};

use super::{Console, Played, Player};
use crate::healthy::{healthy, holds};
use crate::support;

/// `/proc/version` of each kernel.
pub(crate) const BANNER: &str = "Linux version 6.1.0 (a@b) (gcc 12) #1 SMP Debian 6.1.192-1";
/// Its release.
const RELEASE: &str = "6.1.0";
/// Time between two looks at the power.
const LOOK: Duration = Duration::from_millis(100);
/// Time until a kernel notices that perfsec has gone.
const ALONE: Duration = Duration::from_secs(3);
/// Longest read, in bytes.
const READ: usize = 4096;

/// The way in which a kernel dies, in the first cell whose subject holds no capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It panics and reboots.
    Panic,
    /// An oops that is a panic, because of `oops=panic`.
    Oops,
    /// It hangs, and answers SysRq.
    Hang,
    /// It hangs, and so does its console.
    Silence,
    /// The machine is reset.
    Reset,
    /// The same, and a panic is in its pstore.
    Dump,
    /// Its console ends, and so does it, with a panic in its pstore.
    HangUpAndDump,
    /// The machine is reset, behind a line of something else that looks like a panic.
    Noise,
    /// The console ends.
    HangUp,
    /// It never prints anything, and runs on.
    Nothing,
    /// It prints its banner, and hangs.
    InBoot,
    /// It resets the machine some seconds after perfsec has gone.
    Alone,
}

/// Plays kernels one after another, of which each dies as planned, if it does.
pub(crate) struct Scripted(VecDeque<Option<Death>>);

impl Scripted {
    /// Kernels that live, behind these.
    pub(crate) fn new(deaths: &[Option<Death>]) -> Self {
        Self(deaths.iter().copied().collect())
    }
}

impl Player for Scripted {
    fn start(&mut self, bench: &Path, console: &Console) -> Box<dyn Played> {
        let death = self.0.pop_front().flatten();
        let parameters = bench.join("memory").join(takeover::PARAMETERS);
        let parameters = fs::read_to_string(parameters).expect("they were sent");
        let life = Life::default();
        let (console, bench) = (console.clone(), bench.to_owned());
        let machine = Machine { console, bench, death, parameters, life: life.clone() };
        thread::spawn(move || {
            if machine.live().is_ok() {
                machine.life.ended.store(true, Ordering::SeqCst);
            }
        });
        Box::new(life)
    }
}

#[derive(Clone, Default)]
struct Life {
    /// It has reset the machine.
    ended: Arc<AtomicBool>,
    /// Its power is gone.
    off: Arc<AtomicBool>,
}

impl Played for Life {
    fn has_ended(&mut self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn end(&mut self) {
        self.off.store(true, Ordering::SeqCst);
    }
}

struct Machine {
    console: Console,
    bench: PathBuf,
    death: Option<Death>,
    parameters: String,
    life: Life,
}

impl Machine {
    /// Lives until it resets the machine; `Err` is the end of the console.
    fn live(&self) -> io::Result<()> {
        if self.death == Some(Death::Nothing) {
            return self.sleep();
        }
        let line = format!("[    0.000000] {BANNER}\r\n[    0.000000] Command line: ");
        self.console.print(format!("{line}{}\r\n", self.parameters.trim()).as_bytes());
        if self.death == Some(Death::InBoot) {
            return self.sleep();
        }
        let parameter = ConsoleParameter::find(&self.parameters).expect("it names the console");
        let stream = self.console.stream().ok_or(io::ErrorKind::NotConnected)?;
        let mut port = Port::new(stream, parameter.session, Arc::clone(&self.life.off))?;
        let hello = Message::Hello { protocol: PROTOCOL, release: RELEASE.to_owned() };
        port.say(&hello)?;
        port.say(&Message::Parked)?;
        loop {
            match port.order()? {
                Order::Begin { nonce, .. } => {
                    let facts = Box::new(facts(&self.parameters));
                    port.say(&Message::Ready { nonce, facts })?;
                }
                Order::Cells(cells) => {
                    for cell in cells {
                        port.say(&Message::Started(cell.id))?;
                        if !cell.questions.is_empty() {
                            // It has no policy. The cell is skipped.
                            let outcome = CellOutcome::NoProgram("policy".to_owned());
                            port.say(&Message::Finished(cell.id, outcome))?;
                            continue;
                        }
                        if let (Some(death), false) = (self.death, holds(&cell)) {
                            return self.die(death, &port);
                        }
                        let outcome = CellOutcome::Observed(healthy(&cell));
                        port.say(&Message::Finished(cell.id, outcome))?;
                    }
                    port.say(&Message::Idle)?;
                }
                Order::End => {
                    port.say(&Message::Done)?;
                    port.part()?;
                    self.console.print(b"[    9.000000] reboot: Restarting system\r\n");
                    return Ok(());
                }
                Order::Shell | Order::Type(_) => return Err(io::ErrorKind::Unsupported.into()),
            }
        }
    }

    fn die(&self, death: Death, port: &Port) -> io::Result<()> {
        let print = |text: &str| self.console.print(text.as_bytes());
        match death {
            Death::Panic => {
                print("[    5.000000] Kernel panic - not syncing: Fatal exception\r\n");
                print("[    5.100000] Rebooting in 10 seconds..");
                thread::sleep(Duration::from_secs(1));
                Ok(())
            }
            Death::Oops => {
                print(
                    "[    5.000000] BUG: kernel NULL pointer dereference, address: 0000000000000010\r\n",
                );
                print("[    5.000000] #PF: supervisor read access in kernel mode\r\n");
                print("[    5.000000] Oops: 0000 [#1] PREEMPT SMP\r\n");
                print("[    5.000000] RIP: 0010:perf_event_open+0x10/0x20\r\n");
                print("[    5.000000] ---[ end trace 0000000000000000 ]---\r\n");
                print("[    5.100000] Kernel panic - not syncing: Fatal exception\r\n");
                print("[    5.100000] Rebooting in 10 seconds..");
                Ok(())
            }
            Death::Reset => Ok(()),
            Death::Dump => self.dump(),
            Death::HangUpAndDump => {
                self.console.hang_up();
                self.dump()
            }
            Death::Noise => {
                print("Kernel panic - not syncing: fan 3 of the BMC\r\n");
                Ok(())
            }
            Death::HangUp => {
                self.console.hang_up();
                self.sleep()
            }
            Death::Hang => loop {
                let key = port.sysrq()?;
                print(&format!(
                    "[    6.000000] sysrq: the key {key}\r\n[    6.000000] Call Trace:\r\n"
                ));
            },
            Death::Alone => {
                while port.sysrq().is_ok() {}
                thread::sleep(ALONE);
                Ok(())
            }
            Death::Silence | Death::Nothing | Death::InBoot => self.sleep(),
        }
    }

    /// Leaves a panic in pstore, in two parts as UEFI does, the last first.
    fn dump(&self) -> io::Result<()> {
        let pstore = self.bench.join("root/sys/fs/pstore");
        let trace = "<4>[    5.000000] Call Trace:\n";
        let panic = "<0>[    5.000000] Kernel panic - not syncing: stack-protector\n";
        fs::write(pstore.join("dmesg-efi-1"), format!("Panic#1 Part1\n{trace}"))?;
        fs::write(pstore.join("dmesg-efi-2"), format!("Panic#1 Part2\n{panic}"))
    }

    /// Does nothing until its power is gone.
    fn sleep(&self) -> io::Result<()> {
        while !self.life.off.load(Ordering::SeqCst) {
            thread::sleep(LOOK);
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// The agent's end of the console.
struct Port {
    messages: Writer<End>,
    orders: Reader<End>,
    end: End,
}

/// The end of the line, which both directions share.
#[derive(Clone)]
struct End(Rc<RefCell<Line>>);

struct Line {
    stream: UnixStream,
    link: Link,
    scanner: Scanner,
    off: Arc<AtomicBool>,
    /// Bytes that were written and not flushed.
    pending: Vec<u8>,
}

impl Port {
    fn new(stream: UnixStream, session: u32, off: Arc<AtomicBool>) -> io::Result<Self> {
        stream.set_read_timeout(Some(LOOK))?;
        let (link, scanner) = (Link::new(session), Scanner::new(session));
        let line = Line { stream, link, scanner, off, pending: Vec::new() };
        let end = End(Rc::new(RefCell::new(line)));
        Ok(Self { messages: Writer::new(end.clone()), orders: Reader::new(end.clone()), end })
    }

    fn say(&mut self, message: &Message) -> io::Result<()> {
        self.messages.write(message).map_err(io::Error::other)
    }

    fn order(&mut self) -> io::Result<Order> {
        let order = self.orders.read().map_err(io::Error::other)?;
        order.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Waits until the host has read everything.
    fn part(&self) -> io::Result<()> {
        let mut line = self.end.0.borrow_mut();
        while !line.link.is_acknowledged() {
            let question = line.link.ask();
            line.stream.write_all(&question)?;
            line.listen()?;
        }
        Ok(())
    }

    /// Waits for a SysRq key.
    fn sysrq(&self) -> io::Result<char> {
        let mut line = self.end.0.borrow_mut();
        let (mut byte, mut seen) = ([0], Vec::new());
        while !seen.ends_with(b"~B") {
            line.take(&mut byte)?;
            seen.push(byte[0]);
        }
        line.take(&mut byte)?;
        Ok(char::from(byte[0]))
    }
}

impl Line {
    /// Reads at least one byte, as long as there is power.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.off.load(Ordering::SeqCst) {
                        return Err(error);
                    }
                }
                read => return read,
            }
        }
    }

    /// Reads from the console once, and answers the lines in it.
    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ];
        let count = self.take(&mut buffer)?;
        let mut lines = Vec::new();
        self.scanner.scan(&buffer[..count], |line| lines.push(line), |_| {});
        for line in lines {
            let answer = self.link.receive(line);
            self.stream.write_all(&answer)?;
        }
        Ok(())
    }
}

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut line = self.0.borrow_mut();
        while !line.link.is_ready() {
            line.listen()?;
        }
        Ok(line.link.read(buffer))
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut line = self.0.borrow_mut();
        let pending = std::mem::take(&mut line.pending);
        let lines = line.link.send(&pending);
        line.stream.write_all(&lines)
    }
}

/// The facts of a recorded guest, with this kernel.
fn facts(parameters: &str) -> Facts {
    let run = perfsec::record::read(&support::place("run.jsonl")).expect("a record").run;
    let ready = run.lanes.iter().find_map(|lane| lane.ready.first()).expect("a boot");
    Facts {
        release: RELEASE.to_owned(),
        version: BANNER.to_owned(),
        cmdline: parameters.trim().to_owned(),
        ..*ready.facts.clone()
    }
}
