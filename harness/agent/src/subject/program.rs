//! A subject's program: raw syscalls, and the memory that their arguments point to. All of it is
//! laid out before the subject exists.

use perfsec_subject as layout;
use perfsec_wire::Subject;
use perfsec_wire::step::{NOBODY, Task};

use super::names::Names;

/// The source of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The syscall of this step.
    Step(usize),
    /// The stop in which the agent performs this step.
    Stop(usize),
    /// Preparation for the next entry.
    Preparation,
}

/// Entries of a subject's program, and the data they point to.
#[derive(Default)]
pub(crate) struct Program {
    entries: Vec<[u64; layout::ENTRY]>,
    origins: Vec<Origin>,
    names: Vec<String>,
    slots: Vec<u64>,
    data: Vec<u8>,
}

/// An argument of a syscall.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    Value(u64),
    Slot(usize),
}

impl Arg {
    /// The buffer that every subject has at the same address.
    pub(super) const BUFFER: Self = Self::Value((layout::BASE + layout::BUFFER) as u64);
}

/// A number, sign-extended as the ABI demands.
pub(super) const fn number(value: i64) -> Arg {
    Arg::Value(value as u64)
}

impl Program {
    /// Adds a last stop, at which a process stays.
    pub(crate) fn and_stay(mut self) -> Self {
        self.add(Origin::Preparation, layout::STOP, 0, &[]);
        self
    }

    pub(crate) fn entries(&self) -> &[[u64; layout::ENTRY]] {
        &self.entries
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    pub(crate) fn slots(&self) -> &[u64] {
        &self.slots
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The number of the slot with this name.
    pub(crate) fn slot_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The syscall number of an entry.
    pub(crate) fn syscall(&self, index: usize) -> i64 {
        self.entries.get(index).map_or(-1, |entry| entry[layout::NUMBER] as i64)
    }

    fn add(&mut self, origin: Origin, kind: u64, syscall: i64, arguments: &[Arg]) {
        let mut entry = [0; layout::ENTRY];
        entry[layout::KIND] = kind;
        entry[layout::NUMBER] = syscall as u64;
        for (at, argument) in arguments.iter().enumerate() {
            entry[layout::ARGUMENTS + at] = match argument {
                Arg::Value(value) => *value,
                Arg::Slot(slot) => {
                    entry[layout::FROM_SLOT] |= 1 << at;
                    *slot as u64
                }
            };
        }
        self.entries.push(entry);
        self.origins.push(origin);
    }
}

/// Lays steps out, one after another.
pub(super) struct Assembler<'a> {
    program: Program,
    pub(super) names: &'a Names,
    /// Performs the steps.
    pub(super) subject: &'a Subject,
    /// Index of the step that is being laid out.
    step: usize,
}

impl<'a> Assembler<'a> {
    /// An empty program with the descriptors that the subject inherits.
    pub(super) fn new(names: &'a Names, subject: &'a Subject) -> Self {
        let mut this = Self { program: Program::default(), names, subject, step: 0 };
        for (name, fd) in &names.fds {
            let slot = this.slot(name);
            this.program.slots[slot] = *fd as u64;
        }
        this
    }

    /// Attributes the entries that follow to this step.
    pub(super) fn begin(&mut self, step: usize) {
        self.step = step;
    }

    /// The program.
    ///
    /// # Errors
    ///
    /// If it has too many entries or slots.
    pub(super) fn finish(self) -> Result<Program, String> {
        let program = self.program;
        if program.entries.len() > layout::MAX_ENTRIES || program.slots.len() > layout::MAX_SLOTS {
            return Err(format!("there are {} steps", self.step + 1));
        }
        Ok(program)
    }

    /// Adds the syscall of the step.
    pub(super) fn call(&mut self, syscall: i64, arguments: &[Arg]) {
        self.call_as(layout::CALL, syscall, arguments);
    }

    /// Adds the syscall of the step, as an entry of this kind (`perfsec_subject::KIND`).
    pub(super) fn call_as(&mut self, kind: u64, syscall: i64, arguments: &[Arg]) {
        self.program.add(Origin::Step(self.step), kind, syscall, arguments);
    }

    /// Adds the stop in which the agent performs the step. A subject stops by kill(2) on itself.
    pub(super) fn stop(&mut self) {
        let syscall = nix::libc::SYS_kill;
        self.program.add(Origin::Stop(self.step), layout::STOP, syscall, &[]);
    }

    /// Puts the result of the last entry into the slot with this name.
    pub(super) fn bind(&mut self, name: &str) {
        self.bind_from(name, 0);
    }

    /// Puts the descriptor that the last entry stored at this byte offset of the region into the
    /// slot with this name.
    pub(super) fn bind_from(&mut self, name: &str, offset: u64) {
        let slot = self.slot(name) as u64;
        if let Some(entry) = self.program.entries.last_mut() {
            entry[layout::BIND] = (slot + 1) | (offset << 32);
        }
    }

    /// Skips the last entry while the slot with this name is empty: for a slot that only a
    /// structure in memory refers to.
    pub(super) fn requires(&mut self, name: &str) {
        // No syscall that takes such a structure has a sixth argument.
        const UNUSED: usize = 5;
        let slot = self.slot(name) as u64;
        if let Some(entry) = self.program.entries.last_mut() {
            entry[layout::ARGUMENTS + UNUSED] = slot;
            entry[layout::FROM_SLOT] |= 1 << UNUSED;
        }
    }

    /// Stores the value of a slot as a 32-bit word at `address` before the next entry.
    pub(super) fn store(&mut self, name: &str, address: u64) {
        let slot = self.fd(name);
        let offset = Arg::Value(address - layout::BASE as u64);
        self.program.add(Origin::Preparation, layout::STORE, 0, &[slot, offset]);
    }

    /// Stores `value` as a word of the mapping with this name before the next entry.
    pub(super) fn poke(&mut self, map: &str, offset: usize, value: u64) {
        let arguments = [self.fd(map), number(offset as i64), Arg::Value(value)];
        self.program.add(Origin::Preparation, layout::POKE, 0, &arguments);
    }

    fn slot(&mut self, name: &str) -> usize {
        self.program.slot_of(name).unwrap_or_else(|| {
            self.program.names.push(name.to_owned());
            self.program.slots.push(layout::EMPTY);
            self.program.names.len() - 1
        })
    }

    /// The descriptor, mapping or pid with this name.
    pub(super) fn fd(&mut self, name: &str) -> Arg {
        Arg::Slot(self.slot(name))
    }

    pub(super) fn task(&mut self, task: &Task) -> Arg {
        let process = |wanted: &str| {
            let found = self.names.processes.iter().find(|(name, _)| name == wanted);
            found.map(|(_, pid)| number((*pid).into()))
        };
        match task {
            Task::Caller => number(0),
            Task::Every => number(-1),
            Task::Nobody => number(NOBODY),
            Task::Named(name) => process(name).unwrap_or_else(|| self.fd(name)),
        }
    }

    /// Places bytes where every subject has them; returns their address.
    pub(super) fn place(&mut self, bytes: &[u8]) -> u64 {
        let data = &mut self.program.data;
        let at = data.len();
        data.extend(bytes);
        data.resize(data.len().next_multiple_of(8), 0);
        (layout::BASE + layout::DATA + at) as u64
    }

    /// Places words; returns the address of the first.
    pub(super) fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<_> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.place(&bytes)
    }

    /// Places a string with a NUL behind it; returns its address.
    pub(super) fn text(&mut self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.place(&bytes)
    }

    /// Places a `struct iovec` with the first `count` bytes of the buffer; returns its address.
    pub(super) fn iovec(&mut self, count: u32) -> u64 {
        let count = (count as usize).min(layout::BUFFER_ROOM);
        self.words(&[(layout::BASE + layout::BUFFER) as u64, count as u64])
    }

    /// Overwrites 32 bits of placed data.
    pub(super) fn overwrite(&mut self, address: u64, word: u32) {
        let at = address as usize - layout::BASE - layout::DATA;
        self.program.data[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
}
