//! The only unsafe code: raw syscalls whose result is the thing under test, shared memory, fork.
#![expect(unsafe_code, reason = "raw syscalls; each block says why it is sound")]

use std::ffi::{CStr, CString};
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
use nix::unistd::{ForkResult, Pid};
use perf_event_open_sys::bindings::perf_event_attr;

/// What a raw syscall returned, with `-errno` for a failure, as the kernel has it.
fn raw(result: c_long) -> i64 {
    if result == -1 { -i64::from(Errno::last_raw()) } else { result }
}

/// `perf_event_open(2)` without flags: the descriptor must survive exec.
pub(crate) fn perf_event_open(
    attr: &perf_event_attr,
    pid: i32,
    cpu: i32,
    group: RawFd,
) -> i64 {
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

/// Leaves the process at once, with no more syscalls than that one.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: nothing of this process needs to run any more.
    unsafe { libc::_exit(code) }
}

/// Forks; the child runs `child` and leaves with 1 if that returns.
pub(crate) fn fork(child: impl FnOnce()) -> nix::Result<Pid> {
    // SAFETY: the agent has one thread, so the child may do anything.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            child();
            exit_now(1)
        }
    }
}

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
            self.start.add(offset).copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
    }

    /// Copies from `offset` into `bytes`.
    pub(crate) fn load(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length));
        // SAFETY: as in `store`.
        unsafe {
            self.start.add(offset).copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len());
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
