//! The only unsafe code: raw syscalls whose result is the thing under test, shared memory, fork.
#![expect(unsafe_code, reason = "raw syscalls; each block says why it is sound")]

#[cfg(not(test))]
use std::ffi::c_char;
use std::ffi::{CStr, CString, c_int, c_void};
use std::num::NonZeroUsize;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::unistd::Pid;
use perf_event_open_sys::bindings::perf_event_attr;

/// The start of the program, instead of the one in Rust's runtime: that would look for the end of the
/// stack in `/proc/self/maps`, set up a stack for signals and poll its descriptors, once for every subject.
#[cfg(not(test))]
// SAFETY: there is no other symbol of that name; without `no_main` the compiler would make it.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(crate::start())
}

/// Lets a write to a closed channel fail instead of ending the process, as Rust's own start would.
pub(crate) fn ignore_sigpipe() {
    // SAFETY: no handler is installed.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// What a raw syscall returned, with `-errno` for a failure, as the kernel has it.
fn raw(result: c_long) -> i64 {
    if result == -1 { -i64::from(Errno::last_raw()) } else { result }
}

/// `perf_event_open(2)` of an event that is only asked for.
pub(crate) fn perf_event_open(attr: &perf_event_attr) -> i64 {
    let (attr, caller, any) = (std::ptr::from_ref(attr), 0, -1);
    // SAFETY: the kernel reads `attr.size` bytes, which is the size of the structure or nothing.
    raw(unsafe { libc::syscall(libc::SYS_perf_event_open, attr, caller, any, any, 0) })
}

/// One syscall of a program that was laid out for a subject, performed by the agent itself.
pub(crate) fn perform(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the arguments are what `Program` made: numbers, descriptors, and addresses in the region that
    // both sides have at the same place; what is mapped is never read and stays until the end.
    raw(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// The bytes that the kernel reads.
pub(crate) fn bytes_of_attr(attr: &perf_event_attr) -> &[u8] {
    let at = std::ptr::from_ref(attr).cast();
    // SAFETY: a structure of integers without padding, as long as the reference.
    unsafe { std::slice::from_raw_parts(at, size_of::<perf_event_attr>()) }
}

/// `close(2)` of a descriptor that only steps use.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: no owner of the descriptor exists in this process: it came from a step.
    unsafe { libc::close(fd) };
}

/// Starts a process that runs `child` in this process's memory, and waits until it has executed another
/// program or ended; if `child` returns, the process ends with 1.
///
/// A fork would copy page tables, fault on every page that either side touches, and tear the copy
/// down at exec; on an emulated CPU that is a third of a cell's time.
pub(crate) fn spawn<F: FnOnce()>(child: F) -> nix::Result<Pid> {
    extern "C" fn run<F: FnOnce()>(child: *mut c_void) -> c_int {
        // SAFETY: the pointer is that to the `Option<F>` below, which outlives the call because the
        // parent stands still; nobody else takes from it.
        if let Some(child) = unsafe { (*child.cast::<Option<F>>()).take() } {
            child();
        }
        1
    }
    // CLONE_VFORK: the parent, which has one thread, does not run before the child has let go of its
    // memory. Descriptors and credentials are the child's own.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let mut stack = vec![Aligned([0u8; 16]); SPAWN_STACK / 16];
    let mut child = Some(child);
    // SAFETY: the stack is aligned, grows downwards from its end, and is freed only when the child no
    // longer uses it; `run` is given the pointer that it expects.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end.cast();
        libc::clone(run::<F>, top, flags, std::ptr::from_mut(&mut child).cast())
    };
    Errno::result(pid).map(Pid::from_raw)
}

/// What a child needs before it executes another program.
const SPAWN_STACK: usize = 128 << 10;

/// The alignment that the ABI demands of a stack.
#[derive(Clone)]
#[repr(align(16))]
struct Aligned(#[expect(dead_code, reason = "only its size matters")] [u8; 16]);

/// Makes the terminal on standard input the controlling one of this session.
pub(crate) fn take_terminal() -> nix::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Memory that the agent and its subject both see: the one way to report that needs no syscall, so
/// that nothing but the steps happens in a subject.
pub(crate) struct Shared {
    start: NonNull<u8>,
    length: usize,
}

impl Shared {
    /// Maps the first `length` bytes of a memfd, at an address where nothing else is if one is given.
    pub(crate) fn map(fd: BorrowedFd<'_>, length: usize, at: Option<usize>) -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let size = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let (at, fixed) = match at.and_then(NonZeroUsize::new) {
            Some(at) => (Some(at), MapFlags::MAP_FIXED_NOREPLACE),
            None => (None, MapFlags::empty()),
        };
        // SAFETY: a fresh mapping that replaces none; it is never unmapped, and only copied from and to.
        let start = unsafe { mmap(at, size, access, MapFlags::MAP_SHARED | fixed, fd, 0) }?;
        Ok(Self { start: start.cast(), length })
    }

    /// Copies `bytes` to `offset`; what does not fit is a bug of the caller, who knows the layout.
    pub(crate) fn store(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length));
        // SAFETY: inside the mapping, as just checked; the other process is not running code that
        // reads it at the same time, because the agent waits for the subject to stop or to end.
        unsafe {
            self.start
                .add(offset)
                .copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
    }

    /// Copies from `offset` into `bytes`.
    pub(crate) fn load(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length));
        // SAFETY: as in `store`.
        unsafe {
            self.start
                .add(offset)
                .copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len());
        }
    }
}

/// `setxattr(2)`.
pub(crate) fn set_attribute(path: &Path, name: &CStr, value: &[u8]) -> std::io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both strings end with NUL, and the kernel reads `len` bytes of the value.
    let result = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Runs `hook` in the child before it executes `command`.
pub(crate) fn before_exec(
    command: &mut Command,
    hook: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the agent has one thread, so that no lock can be held by another at the fork.
    unsafe { command.pre_exec(hook) };
}
