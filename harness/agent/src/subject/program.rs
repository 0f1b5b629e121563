//! A subject's program: raw syscalls, and the memory that their arguments point to. All of it is
//! laid out before the subject exists.

use perfsec_subject as layout;
use perfsec_wire::Subject;
use perfsec_wire::step::{NOBODY, Task};

use super::names::Names;
use super::output::{Output, OutputForm};

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
    outputs: Vec<Output>,
    heirs: Vec<PlannedHeir>,
}

/// A task to which an entry will hand over.
pub(crate) struct PlannedHeir {
    /// The name that the step gives to it.
    pub(crate) name: String,
    /// Index of the entry, whose result is its thread id.
    pub(crate) entry: usize,
    /// True if it belongs to the thread group of its creator.
    pub(crate) thread: bool,
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

    /// Marks its steps as those of this cell, for a debugger.
    pub(crate) fn of_cell(mut self, cell: u32) -> Self {
        for (entry, origin) in self.entries.iter_mut().zip(&self.origins) {
            if let Origin::Step(step) = origin {
                entry[layout::STEP] = layout::step(cell, *step);
            }
        }
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

    /// The tasks to which entries hand over, in order.
    pub(crate) fn heirs(&self) -> &[PlannedHeir] {
        &self.heirs
    }

    /// The result of a step, if it is a text.
    pub(crate) fn output(&self, step: usize) -> Option<&Output> {
        self.outputs.iter().find(|output| output.step == step)
    }

    /// The number of the slot with this name.
    pub(crate) fn slot_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The syscall number of an entry.
    pub(crate) fn syscall(&self, index: usize) -> i64 {
        self.entries.get(index).map_or(-1, |entry| entry[layout::NUMBER] as i64)
    }

    /// True for a syscall as a 32-bit program makes it.
    pub(crate) fn is_compat(&self, index: usize) -> bool {
        self.entries.get(index).is_some_and(|entry| entry[layout::KIND] == layout::COMPAT)
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
    /// Address of the last `struct perf_event_attr`.
    attr: Option<u64>,
}

impl<'a> Assembler<'a> {
    /// An empty program with the descriptors that the subject inherits.
    pub(super) fn new(names: &'a Names, subject: &'a Subject) -> Self {
        let mut this = Self { program: Program::default(), names, subject, step: 0, attr: None };
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
    /// If it has too many entries or slots, or hands over too often.
    pub(super) fn finish(self) -> Result<Program, String> {
        let program = self.program;
        if program.entries.len() > layout::MAX_ENTRIES || program.slots.len() > layout::MAX_SLOTS {
            return Err(format!("there are {} steps", self.step + 1));
        }
        if program.heirs.len() > layout::MAX_HEIRS {
            return Err(format!("they hand over {} times", program.heirs.len()));
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

    /// Adds the `clone(2)` of a task that performs the steps that follow.
    pub(super) fn hand_over(&mut self, flags: i32, name: &str) {
        let thread = flags & nix::libc::CLONE_THREAD != 0;
        let entry = self.program.entries.len();
        self.program.heirs.push(PlannedHeir { name: name.to_owned(), entry, thread });
        // Stacks grow downwards.
        let stack = layout::BASE + layout::STACKS + self.program.heirs.len() * layout::STACK;
        let flags = number((flags | nix::libc::CLONE_PARENT_SETTID).into());
        let id = Arg::Value(self.words(&[0]));
        self.call_as(
            layout::HAND_OVER,
            nix::libc::SYS_clone,
            &[flags, Arg::Value(stack as u64), id],
        );
    }

    /// Adds the stop in which the agent performs the step. A subject stops by tgkill(2) on itself.
    pub(super) fn stop(&mut self) {
        let syscall = nix::libc::SYS_tgkill;
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
            Task::First => number(1),
            Task::Nobody => number(NOBODY),
            Task::Named(name) => process(name).unwrap_or_else(|| self.fd(name)),
        }
    }

    /// Stores the pid of a task as a 32-bit word at `address`, and adds a syscall that reads it.
    pub(super) fn call_with_task(&mut self, task: &Task, address: u64, call: i64, args: &[Arg]) {
        match (self.task(task), task) {
            (Arg::Slot(_), Task::Named(name)) => {
                self.store(name, address);
                self.call(call, args);
                self.requires(name);
            }
            (Arg::Slot(_), _) => {}
            (Arg::Value(pid), _) => {
                self.overwrite(address, pid as u32);
                self.call(call, args);
            }
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

    /// Places bytes so that only the first `mapped` of them are mapped, once the next entry is
    /// reached; returns their address.
    pub(super) fn place_at_edge(&mut self, bytes: &[u8], mapped: usize) -> u64 {
        let mapped = mapped.min(bytes.len()).min(layout::LENGTH - layout::EDGE);
        let from = self.place(&bytes[..mapped]) - layout::BASE as u64;
        let to = (layout::LENGTH - mapped) as u64;
        let arguments = [Arg::Value(from), Arg::Value(to), number(mapped as i64)];
        self.program.add(Origin::Preparation, layout::COPY, 0, &arguments);
        layout::BASE as u64 + to
    }

    /// Remembers the address of a `struct perf_event_attr`.
    pub(super) fn placed_attr(&mut self, address: u64) {
        self.attr = Some(address);
    }

    /// Address of the last `struct perf_event_attr`.
    pub(super) fn last_attr(&self) -> Option<u64> {
        self.attr
    }

    /// Places room for a result that is a text; returns its address.
    pub(super) fn output(&mut self, form: OutputForm, length: usize) -> u64 {
        let address = self.place(&vec![0; length]);
        let offset = address as usize - layout::BASE;
        self.program.outputs.push(Output { step: self.step, offset, form });
        address
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
