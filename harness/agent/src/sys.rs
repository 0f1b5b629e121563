//! The only unsafe code: raw syscalls whose result is the thing under test, shared memory, fork.
#![expect(unsafe_code, reason = "raw syscalls; each block says why it is sound")]

#[cfg(not(test))]
use std::ffi::c_char;
use std::ffi::{CStr, CString, c_int, c_void};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
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

/// `perf_event_open(2)` without flags: the descriptor must survive exec.
pub(crate) fn perf_event_open(attr: &perf_event_attr, pid: i32, cpu: i32, group: RawFd) -> i64 {
    // SAFETY: the kernel reads `attr.size` bytes, which is the size of the structure.
    raw(unsafe {
        libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(attr), pid, cpu, group, 0)
    })
}

/// `read(2)`.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> i64 {
    // SAFETY: the kernel writes at most `len` bytes into the buffer.
    raw(unsafe { libc::syscall(libc::SYS_read, fd, buffer.as_mut_ptr(), buffer.len()) })
}

/// `mmap(2)` at offset 0, readable and writable, at an address of the kernel's choice. Nothing is ever
/// read through the mapping, and it stays until the process ends.
pub(crate) fn map(fd: RawFd, length: usize, private: bool) -> i64 {
    let sharing = if private { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: without MAP_FIXED no existing mapping is replaced.
    raw(unsafe { libc::syscall(libc::SYS_mmap, 0, length, access, sharing, fd, 0) })
}

/// `ioctl(2)` whose argument is a number.
pub(crate) fn ioctl_number(fd: RawFd, request: u64, arg: u64) -> i64 {
    // SAFETY: used only with perf requests whose argument is not a pointer.
    raw(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, arg) })
}

/// `ioctl(2)` that stores a number.
pub(crate) fn ioctl_stores(fd: RawFd, request: u64, into: &mut u64) -> i64 {
    // SAFETY: used only with PERF_EVENT_IOC_ID, which stores one u64.
    raw(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, std::ptr::from_mut(into)) })
}

/// `close(2)` of a descriptor that only steps use.
pub(crate) fn close(fd: RawFd) -> i64 {
    // SAFETY: no owner of the descriptor exists in this process: it came from a step.
    raw(unsafe { libc::syscall(libc::SYS_close, fd) })
}

/// The structure as the kernel reads it.
#[cfg(test)]
pub(crate) fn words(attr: perf_event_attr) -> [u64; 18] {
    // SAFETY: of one size, without padding, and every pattern of bits is a number.
    unsafe { std::mem::transmute(attr) }
}

/// Leaves the process at once, with no more syscalls than that one.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: nothing of this process needs to run any more.
    unsafe { libc::_exit(code) }
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

/// Takes over a descriptor that this process inherited under a number that it was told.
pub(crate) fn inherited(fd: RawFd) -> OwnedFd {
    // SAFETY: the parent opened it for this program and nothing else here owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Lets `fd` survive an exec.
pub(crate) fn keep_across_exec(fd: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: changes a flag of a descriptor that is open for as long as the borrow.
    Errno::result(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, 0) }).map(drop)
}

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
    /// Maps the first `length` bytes of a memfd.
    pub(crate) fn map(fd: BorrowedFd<'_>, length: NonZeroUsize) -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping; it is never unmapped, and only copied from and to below.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self { start: start.cast(), length: length.get() })
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
