//! The memory that the agent and a subject share: a program of raw syscalls goes in, their results
//! come out.
//!
//! The agent resolves every name and lays every argument out before the subject exists, so that a step
//! is one syscall of the subject and nothing besides, and the subject can be a few hundred instructions:
//! an emulated CPU executes one anew for each cell. Everything is 64-bit words at fixed offsets of one
//! page-aligned region, which both sides map at [`BASE`], so that pointers mean the same to both.
#![no_std]

/// Where the region is mapped, in the agent and in every subject: above any heap, which x86 puts up to 1 GiB
/// behind a program at a fixed address (`arch_randomize_brk()`), and below libraries and stacks.
pub const BASE: usize = 0x1000_0000_0000;
/// Its length in bytes.
pub const LENGTH: usize = 128 << 10;
/// Bytes of a word.
pub const WORD: usize = 8;

/// Word of the header: the entry to perform next.
pub const NEXT: usize = 0;
/// Word of the header: the number of entries.
pub const COUNT: usize = 1;
/// Word of the header: the subject's process id, which it stores itself.
pub const PID: usize = 2;
/// Word of the header: its real user id.
pub const UID: usize = 3;
/// Word of the header: how often a program of it came as far as its first stop.
pub const STARTS: usize = 4;
/// Word of the header: the length of the context at [`CONTEXT`], or `-errno`.
pub const CONTEXT_LENGTH: usize = 5;
/// `_LINUX_CAPABILITY_VERSION_3` (include/uapi/linux/capability.h), with which `capget(2)` and `capset(2)` are called.
pub const CAPABILITY_VERSION: u64 = 0x2008_0522;
/// Words of the header: `struct __user_cap_header_struct`, which `capget(2)` reads.
pub const CAP_HEADER: usize = 6;
/// Words of the header: two `struct __user_cap_data_struct`, which `capget(2)` fills.
pub const CAP_DATA: usize = 8;
/// Words of the header.
pub const HEADER: usize = 16;

/// Word of the first slot. A slot holds a file descriptor or a thread's number, [`EMPTY`] until there is one.
pub const SLOTS: usize = HEADER;
/// How many slots there are.
pub const MAX_SLOTS: usize = 64;
/// A slot without a value.
pub const EMPTY: u64 = u64::MAX;

/// Word of the first entry.
pub const ENTRIES: usize = SLOTS + MAX_SLOTS;
/// Words of an entry.
pub const ENTRY: usize = 12;
/// How many entries there can be.
pub const MAX_ENTRIES: usize = 128;

/// Byte offset of the subject's context, as it read it.
pub const CONTEXT: usize = 14 << 10;
/// Longest context in bytes.
pub const CONTEXT_ROOM: usize = 1 << 10;
/// Byte offset of the buffer that `read` fills.
pub const BUFFER: usize = 16 << 10;
/// Its size in bytes.
pub const BUFFER_ROOM: usize = 4096;
/// Byte offset of what arguments point to.
pub const DATA: usize = BUFFER + BUFFER_ROOM;

const _: () = assert!((ENTRIES + ENTRY * MAX_ENTRIES) * WORD <= CONTEXT);

/// Word of an entry: what it is, one of [`CALL`], [`STOP`], [`EXEC`], [`CLONE`], [`STORE`],
/// [`COMPAT`], [`POKE`].
pub const KIND: usize = 0;
/// Word of an entry: the syscall's number.
pub const NUMBER: usize = 1;
/// Words of an entry: six arguments.
pub const ARGUMENTS: usize = 2;
/// Word of an entry: a bit for each argument that is the number of a slot.
pub const FROM_SLOT: usize = 8;
/// Word of an entry: one more than the slot that a result of at least zero goes to, or 0. The high half: one
/// more than a byte offset from [`BASE`] of a 32-bit word to take in place of the result, or 0.
pub const BIND: usize = 9;
/// Word of an entry: one of [`UNTOUCHED`], [`BEGUN`], [`DONE`].
pub const STATE: usize = 10;
/// Word of an entry: what the syscall returned, `-errno` on failure.
pub const RESULT: usize = 11;

/// A syscall.
pub const CALL: u64 = 0;
/// Stand still until the agent has done something.
pub const STOP: u64 = 1;
/// An `execve(2)`: on success the new program marks it as done.
pub const EXEC: u64 = 2;
/// A `clone(2)`: what it makes waits for the end of its parent.
pub const CLONE: u64 = 3;

/// No syscall: the first argument, a slot, is stored as a 32-bit word at the byte offset from [`BASE`] that the
/// second argument is, for structures that hold a descriptor.
pub const STORE: u64 = 4;

/// A syscall through `int 0x80`, as a 32-bit program makes it: its number is one of theirs, and it has three
/// arguments of 32 bits.
pub const COMPAT: u64 = 5;

/// No syscall: at the address that the first argument, a slot, holds, and as many bytes further as the second
/// says, the third is stored as a word, for what a caller writes to a mapping.
pub const POKE: u64 = 6;

/// Not reached, or left out because a slot that it needs is empty.
pub const UNTOUCHED: u64 = 0;
/// The syscall was made and has not returned.
pub const BEGUN: u64 = 1;
/// The result is there.
pub const DONE: u64 = 2;

/// What stands where a syscall was to put a descriptor, and put none.
pub const NO_VALUE: u32 = u32::MAX;

/// Exit code of a program that could not even map the region.
pub const NO_MEMORY: i32 = 2;

/// Word of entry `index`.
#[must_use]
pub const fn entry(index: usize, word: usize) -> usize {
    ENTRIES + index * ENTRY + word
}
