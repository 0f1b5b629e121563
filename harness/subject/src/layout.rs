//! The memory shared by the agent and a subject: the agent stores a program of raw syscalls, the
//! subject stores their results.
//!
//! The agent resolves every name and lays out every argument before the subject exists. So a step
//! is exactly one syscall, and the subject is a few hundred instructions: an emulated CPU executes
//! it anew for each cell. Everything is 64-bit words at fixed offsets of one page-aligned region,
//! which both sides map at [`BASE`], so pointers are valid on both.
#![no_std]

/// Address of the region, in the agent and in every subject: above any heap, which x86 places up to
/// 1 GiB behind a program at a fixed address (`arch_randomize_brk()`), and below 4 GiB, so that a
/// syscall of a 32-bit program reaches it.
pub const BASE: usize = 0xc000_0000;
/// Its length in bytes. Nothing is mapped behind it.
pub const LENGTH: usize = 148 << 10;
/// Bytes of a word.
pub const WORD: usize = 8;

/// Address of eight zero bytes that a subject cannot write: in the header of its file, which
/// `subject.ld` maps, behind `EI_OSABI`.
pub const READ_ONLY: usize = 0x20_0008;

/// Word of the header: the entry to perform next.
pub const NEXT: usize = 0;
/// Word of the header: the number of entries.
pub const COUNT: usize = 1;
/// Word of the header: the subject's process id, which it stores itself.
pub const PID: usize = 2;
/// Word of the header: its real user id.
pub const UID: usize = 3;
/// Word of the header: the number of programs that reached their first stop.
pub const STARTS: usize = 4;
/// Word of the header: the length of the context at [`CONTEXT`], or `-errno`.
pub const CONTEXT_LENGTH: usize = 5;
/// `_LINUX_CAPABILITY_VERSION_3` of include/uapi/linux/capability.h, for `capget(2)` and
/// `capset(2)`.
pub const CAPABILITY_VERSION: u64 = 0x2008_0522;
/// Words of the header: `struct __user_cap_header_struct`, which `capget(2)` reads.
pub const CAP_HEADER: usize = 6;
/// Words of the header: two `struct __user_cap_data_struct`, which `capget(2)` fills.
pub const CAP_DATA: usize = 8;
/// Word of the header: the thread id of the task that performs the program, in its own namespace.
pub const TID: usize = 11;
/// Word of the header: the [`STEP`] of the syscall that comes next. Nobody reads it: it is for a
/// debugger, which watches it.
pub const CURRENT: usize = 12;
/// Length of the header in words.
pub const HEADER: usize = 16;

/// Word of the first slot. A slot holds a file descriptor, an address or a pid; before, [`EMPTY`].
pub const SLOTS: usize = HEADER;
/// Number of slots.
pub const MAX_SLOTS: usize = 64;
/// A slot without a value.
pub const EMPTY: u64 = u64::MAX;

/// Word of the first entry.
pub const ENTRIES: usize = SLOTS + MAX_SLOTS;
/// Length of an entry in words.
pub const ENTRY: usize = 13;
/// Largest number of entries.
pub const MAX_ENTRIES: usize = 128;

/// Byte offset of the context that the subject read.
pub const CONTEXT: usize = 14 << 10;
/// Longest context in bytes.
pub const CONTEXT_ROOM: usize = 1 << 10;
/// Byte offset of the buffer that `read` fills.
pub const BUFFER: usize = 16 << 10;
/// Its size in bytes.
pub const BUFFER_ROOM: usize = 4096;
/// Byte offset of the data that arguments point to.
pub const DATA: usize = BUFFER + BUFFER_ROOM;

/// Byte offset behind the data: stacks of tasks to which a `clone(2)` hands over.
pub const STACKS: usize = 128 << 10;
/// Bytes of a stack.
pub const STACK: usize = 4096;
/// The most tasks to which a program can hand over.
pub const MAX_HEIRS: usize = 4;

/// Byte offset behind the stacks: a page for structures that begin at the region's end and continue
/// behind it.
pub const EDGE: usize = STACKS + MAX_HEIRS * STACK;

const _: () = assert!(EDGE < LENGTH && LENGTH.is_multiple_of(4096));
const _: () = assert!((ENTRIES + ENTRY * MAX_ENTRIES) * WORD <= CONTEXT);

/// Word of an entry: its kind, one of [`CALL`], [`STOP`], [`EXEC`], [`CLONE`], [`STORE`],
/// [`COMPAT`], [`POKE`], [`HAND_OVER`], [`COPY`],
/// [`CLONE_EXIT`].
pub const KIND: usize = 0;
/// Word of an entry: the syscall number.
pub const NUMBER: usize = 1;
/// Words of an entry: six arguments. The subject replaces the number of a slot by its value when it
/// comes to the entry.
pub const ARGUMENTS: usize = 2;
/// Word of an entry: a bit for each argument that is the number of a slot.
pub const FROM_SLOT: usize = 8;
/// Word of an entry. Low half: one more than the slot that receives a result of at least zero, or
/// 0. High half: the byte offset from [`BASE`] of a 32-bit word to store instead of the result, or
/// 0.
pub const BIND: usize = 9;
/// Word of an entry: one of [`UNTOUCHED`], [`BEGUN`], [`DONE`].
pub const STATE: usize = 10;
/// Word of an entry: the result, `-errno` on failure.
pub const RESULT: usize = 11;
/// Word of an entry: which step of which cell it is, as [`step`] encodes it, or 0.
pub const STEP: usize = 12;

/// A syscall.
pub const CALL: u64 = 0;
/// Stop until the agent has performed an action.
pub const STOP: u64 = 1;
/// An `execve(2)`: on success the new program stores the result.
pub const EXEC: u64 = 2;
/// A `clone(2)`: the new task waits until its parent ends.
pub const CLONE: u64 = 3;

/// Not a syscall: stores the first argument, a slot, as a 32-bit word at the byte offset from
/// [`BASE`] in the second, for structures that contain a descriptor.
pub const STORE: u64 = 4;

/// A syscall through `int 0x80`, as a 32-bit program makes it, with a number of its syscall table
/// and three arguments of 32 bits.
pub const COMPAT: u64 = 5;

/// Not a syscall: stores the third argument as a word at the address in the first, a slot, plus the
/// second in bytes, as a caller writes to a mapping.
pub const POKE: u64 = 6;

/// A `clone(2)` whose new task performs the remaining entries on the stack that the second argument
/// points to, while its creator waits. The third argument points to the new task's id, which the
/// kernel stores before that task runs (`CLONE_PARENT_SETTID`).
pub const HAND_OVER: u64 = 7;

/// Not a syscall: copies bytes inside the region, from the byte offset in the first argument to the
/// one in the second, as many as the third says.
pub const COPY: u64 = 8;

/// A `clone(2)`: the new task ends at once.
pub const CLONE_EXIT: u64 = 9;

/// Not reached, or skipped because a slot that it needs is empty.
pub const UNTOUCHED: u64 = 0;
/// The syscall was entered and has not returned.
pub const BEGUN: u64 = 1;
/// The result is stored.
pub const DONE: u64 = 2;

/// The value of a descriptor in memory that no syscall has stored.
pub const NO_VALUE: u32 = u32::MAX;

/// Exit code of a program that could not map the region.
pub const NO_MEMORY: i32 = 2;
/// Exit code of a program that lost the task to which it handed over.
pub const NO_HEIR: i32 = 3;

/// Encodes a step of a cell, both counted from 0.
#[must_use]
pub const fn step(cell: u32, step: usize) -> u64 {
    ((cell as u64 + 1) << 32) | (step as u64 + 1)
}

/// Word of entry `index`.
#[must_use]
pub const fn entry(index: usize, word: usize) -> usize {
    ENTRIES + index * ENTRY + word
}
