//! The fake agent, which does what it should but for its faults.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use perfsec_wire::frame::{self, FrameError, Reader, Writer};
use perfsec_wire::window::{self, Outbox};
use perfsec_wire::{Facts, Message, Order, PROTOCOL};

use super::line::{Line, Memory, SharedDamage};
use super::{Fault, FaultKind, Perform, Switch};
use crate::machines::{End, Sink};

/// Between two outputs on the console of a guest that talks without an end.
const TALK: Duration = Duration::from_millis(1);

/// An agent and its machine.
pub(super) struct Agent {
    pub(super) facts: Facts,
    pub(super) perform: Arc<Perform>,
    pub(super) faults: Vec<Fault>,
    /// Shared with the host.
    pub(super) memory: Option<File>,
    pub(super) restored: bool,
    pub(super) switch: Arc<Switch>,
    pub(super) sink: Sink,
}

/// Its conversation with the host.
struct Conversation<'a> {
    agent: &'a Agent,
    messages: Writer<Box<dyn Write>>,
    orders: Orders,
    damage: SharedDamage,
    /// Number of messages so far.
    sent: usize,
    /// A message that comes after the next one.
    held: Option<Message>,
}

/// The way that orders come.
enum Orders {
    Port(Reader<Line>),
    Window(Memory, Line),
}

impl Agent {
    /// Lives until the machine ends, and returns how.
    pub(super) fn live(&self, port: UnixStream) -> End {
        let end = self.talk(port).unwrap_or_else(|end| end);
        self.switch.close();
        end
    }

    /// `Err` is an end that comes too early.
    fn talk(&self, port: UnixStream) -> Result<End, End> {
        let damage = SharedDamage::default();
        let line = || {
            let port = port.try_clone().map_err(|_| End::Killed);
            port.map(|port| Line::new(port, damage.clone()))
        };
        let mut host = Conversation {
            agent: self,
            messages: Writer::new(Box::new(line()?)),
            orders: Orders::Port(Reader::new(line()?)),
            damage: damage.clone(),
            sent: 0,
            held: None,
        };
        if !self.restored {
            let release = self.facts.release.clone();
            host.send(Message::Hello { protocol: PROTOCOL, release })?;
            host.send(Message::Parked)?;
        }
        let Order::Begin { nonce, kernel_config, .. } = host.order()? else {
            return Err(self.give_up("the first order does not begin"));
        };
        if let Some(memory) = &self.memory {
            host.send(Message::Moved)?;
            let memory = memory.try_clone().map_err(|_| End::Killed)?;
            let memory = Memory::new(memory, damage.clone());
            host.messages = Writer::plain(Box::new(Outbox::new(memory.clone(), line()?)));
            host.orders = Orders::Window(memory, line()?);
        }
        if kernel_config {
            host.send(Message::KernelConfig(Vec::new()))?;
        }
        host.send(Message::Ready { nonce, facts: Box::new(self.facts.clone()) })?;
        while let Order::Cells(cells) = host.order()? {
            for cell in &cells {
                host.send(Message::Started(cell.id))?;
                host.send(Message::Finished(cell.id, (self.perform)(cell)))?;
            }
            host.send(Message::Idle)?;
        }
        host.send(Message::Done)?;
        Ok(End::PoweredOff)
    }

    /// Waits until the machine is turned off.
    fn hang(&self) -> End {
        self.switch.wait();
        End::Killed
    }

    /// As the agent does that cannot read its orders.
    fn give_up(&self, why: &str) -> End {
        if self.switch.is_off() {
            return End::Killed;
        }
        self.sink.print(format!("perfsec: the channel failed: {why}\r\n").as_bytes());
        End::PoweredOff
    }
}

impl Conversation<'_> {
    fn send(&mut self, message: Message) -> Result<(), End> {
        let at = self.sent;
        self.sent += 1;
        let (mut times, mut end) = (1, None);
        for fault in self.agent.faults.iter().filter(|fault| fault.at == at) {
            match &fault.kind {
                FaultKind::End(end) => return Err(end.clone()),
                FaultKind::Close => {
                    self.agent.switch.close();
                    return Err(self.agent.hang());
                }
                FaultKind::Silence => return Err(self.agent.hang()),
                FaultKind::Talk(text) => {
                    while !self.agent.switch.is_off() {
                        self.agent.sink.print(text.as_bytes());
                        thread::sleep(TALK);
                    }
                    return Err(End::Killed);
                }
                FaultKind::Print(text) => self.agent.sink.print(text.as_bytes()),
                FaultKind::Slow => self.damage.borrow_mut().slow = true,
                FaultKind::FlipOrder(bit) => self.damage.borrow_mut().order = Some(*bit),
                FaultKind::Drop => times = 0,
                FaultKind::Repeat(more) => times += more,
                FaultKind::Swap => {
                    self.held = Some(message);
                    return Ok(());
                }
                FaultKind::Cut(cut) => {
                    end = Some(cut.clone());
                    self.damage.borrow_mut().next.push(fault.kind.clone());
                }
                FaultKind::Garbage(_) | FaultKind::Length(_) | FaultKind::Flip(_) => {
                    self.damage.borrow_mut().next.push(fault.kind.clone());
                }
            }
        }
        let messages = std::iter::repeat_n(&message, times);
        for message in messages.chain(&self.held.take()) {
            if self.messages.write(message).is_err() {
                return Err(self.agent.hang());
            }
        }
        end.map_or(Ok(()), Err)
    }

    fn order(&mut self) -> Result<Order, End> {
        self.read_order().map_err(|error| self.agent.give_up(&error.to_string()))
    }

    fn read_order(&mut self) -> Result<Order, FrameError> {
        match &mut self.orders {
            Orders::Port(orders) => orders.read()?.ok_or(FrameError::Truncated),
            Orders::Window(memory, port) => {
                let mut bell = [0];
                port.read_exact(&mut bell)?;
                if bell != [window::ORDER] {
                    return Err(FrameError::Garbled(format!("the host rings {:#04x}", bell[0])));
                }
                frame::unseal(&window::load_order(memory)?)
            }
        }
    }
}
