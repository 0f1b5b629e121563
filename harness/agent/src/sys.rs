//! The only unsafe code: raw syscalls whose result is under test, shared memory, clone, CPUID.
#![expect(unsafe_code, reason = "raw syscalls; each block says why it is sound")]

use std::arch::asm;
#[cfg(not(test))]
use std::ffi::c_char;
use std::ffi::{CStr, CString, c_int, c_void};
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::unistd::Pid;
use perf_event_open_sys::bindings::perf_event_attr;

/// The entry point, instead of that of Rust's runtime, which would look for the end of the stack in
/// `/proc/self/maps`, set up a signal stack and poll its descriptors.
#[cfg(not(test))]
// SAFETY: no other symbol has this name: `no_main` keeps the compiler from making one.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(crate::start())
}

/// The result of a raw syscall as the kernel returns it: `-errno` on failure.
fn raw(result: c_long) -> i64 {
    if result == -1 { -i64::from(Errno::last_raw()) } else { result }
}

/// `perf_event_open(2)` of an event on the caller, on any CPU.
pub(crate) fn perf_event_open(attr: &perf_event_attr) -> i64 {
    let (attr, caller, any) = (std::ptr::from_ref(attr), 0, -1);
    // SAFETY: the kernel reads `attr.size` bytes, at most the size of the structure; for 0 it reads
    // PERF_ATTR_SIZE_VER0, which is less.
    raw(unsafe { libc::syscall(libc::SYS_perf_event_open, attr, caller, any, any, 0) })
}

/// Performs one syscall of a program in the agent.
pub(crate) fn perform(number: i64, arguments: [u64; 6]) -> i64 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the arguments come from `Program`: numbers, descriptors, and addresses in the region,
    // which the agent maps at the same address as a subject. New mappings are never read, and stay.
    raw(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// `kexec_file_load(2)`
pub(crate) fn kexec_file_load(
    kernel: BorrowedFd<'_>,
    initramfs: BorrowedFd<'_>,
    parameters: &CStr,
) -> nix::Result<()> {
    let (kernel, initramfs) = (kernel.as_raw_fd(), initramfs.as_raw_fd());
    let (length, no_flags) = (parameters.count_bytes() + 1, 0);
    let number = libc::SYS_kexec_file_load;
    // SAFETY: the kernel reads the two files and `length` bytes of the string.
    let result =
        unsafe { libc::syscall(number, kernel, initramfs, length, parameters.as_ptr(), no_flags) };
    Errno::result(result).map(drop)
}

/// The structure as bytes.
pub(crate) fn bytes_of_attr(attr: &perf_event_attr) -> &[u8] {
    let at = std::ptr::from_ref(attr).cast();
    // SAFETY: the structure consists of integers without padding, and outlives the reference.
    unsafe { std::slice::from_raw_parts(at, size_of::<perf_event_attr>()) }
}

/// `CPUID`: ebx, ecx and edx of a leaf.
pub(crate) fn cpuid(leaf: u32) -> [u32; 3] {
    let (ebx, ecx, edx): (u64, u32, u32);
    // SAFETY: the instruction changes four registers and nothing else. The compiler reserves rbx,
    // so it is saved and restored.
    unsafe {
        asm!(
            "xchg {ebx}, rbx",
            "cpuid",
            "xchg {ebx}, rbx",
            ebx = inout(reg) 0_u64 => ebx,
            inout("eax") leaf => _,
            inout("ecx") 0 => ecx,
            out("edx") edx,
            options(nomem, nostack, preserves_flags),
        );
    }
    [ebx as u32, ecx, edx]
}

/// `close(2)` of a descriptor that nothing owns.
pub(crate) fn close(fd: RawFd) {
    // SAFETY: nothing in this process owns the descriptor: it is the result of a raw syscall.
    unsafe { libc::close(fd) };
}

/// Starts a process that runs `child` in the memory of this one, and waits until it executes
/// another program or ends. If `child` returns, the process exits with 1.
///
/// A fork would copy page tables, fault on every page that either side touches, and free the copy
/// at exec: on an emulated CPU a third of a cell's time.
pub(crate) fn spawn<F: FnOnce()>(child: F) -> nix::Result<Pid> {
    extern "C" fn run<F: FnOnce()>(child: *mut c_void) -> c_int {
        // SAFETY: the pointer is to the `Option<F>` below, which outlives the call because the
        // parent waits; nothing else accesses it meanwhile.
        if let Some(child) = unsafe { (*child.cast::<Option<F>>()).take() } {
            child();
        }
        1
    }
    // CLONE_VFORK: the parent, which has one thread, does not run before the child has released
    // its memory. The child has its own descriptors and credentials.
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // Left uninitialised: to clear it would cost as much as the rest of the call.
    let mut stack = Vec::<Aligned>::with_capacity(SPAWN_STACK / size_of::<Aligned>());
    let mut child = Some(child);
    // SAFETY: the stack is aligned, grows downwards from its end, and is freed only after the child
    // has left it; `run` gets the pointer that it expects.
    let pid = unsafe {
        let top = stack.spare_capacity_mut().as_mut_ptr_range().end.cast();
        libc::clone(run::<F>, top, flags, std::ptr::from_mut(&mut child).cast())
    };
    Errno::result(pid).map(Pid::from_raw)
}

/// Blocks no signal and ignores none, as in a process that a login starts. Both outlive an exec: the
/// agent reads SIGCHLD from a descriptor, and perf waits for it forever when it records all CPUs.
pub(crate) fn reset_signals() -> nix::Result<()> {
    // On a machine's own kernel the agent is in perfsec, and Rust's runtime ignores SIGPIPE there.
    // SAFETY: the default action is no function.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// Stack of a child before it executes another program, in bytes.
const SPAWN_STACK: usize = 64 << 10;

/// The stack alignment of the ABI.
#[repr(align(16))]
struct Aligned(#[expect(dead_code, reason = "only its size matters")] [u8; 16]);

/// Makes the terminal on standard input the controlling one of this session.
pub(crate) fn take_terminal() -> nix::Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Sets the seconds after which a watchdog resets the machine. Returns those that its driver chose.
pub(crate) fn set_watchdog_timeout(watchdog: BorrowedFd<'_>, seconds: i32) -> nix::Result<i32> {
    /// `WDIOC_SETTIMEOUT`, `_IOWR('W', 6, int)` of `include/uapi/linux/watchdog.h`.
    const SET_TIMEOUT: libc::c_ulong = nix::request_code_readwrite!(b'W', 6, size_of::<i32>());
    let mut seconds = seconds;
    // SAFETY: the kernel reads and writes an int through the pointer, which outlives the call.
    let result = unsafe { libc::ioctl(watchdog.as_raw_fd(), SET_TIMEOUT, &raw mut seconds) };
    Errno::result(result).map(|_| seconds)
}

/// Memory shared by the agent and its subject: a subject can report through it without a syscall,
/// so its steps are the only syscalls that it makes.
pub(crate) struct Shared {
    start: NonNull<u8>,
    length: usize,
}

impl Shared {
    /// Maps the first `length` bytes of a file, at the address `at` if it is given and free.
    pub(crate) fn map(fd: BorrowedFd<'_>, length: usize, at: Option<usize>) -> nix::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let size = NonZeroUsize::new(length).ok_or(Errno::EINVAL)?;
        let (at, fixed) = match at.and_then(NonZeroUsize::new) {
            Some(at) => (Some(at), MapFlags::MAP_FIXED_NOREPLACE),
            None => (None, MapFlags::empty()),
        };
        // SAFETY: a new mapping that replaces none. It is never unmapped, and only copied from and
        // to.
        let start = unsafe { mmap(at, size, access, MapFlags::MAP_SHARED | fixed, fd, 0) }?;
        Ok(Self { start: start.cast(), length })
    }

    /// Copies `bytes` to `offset`. Panics if they do not fit, which is a bug of the caller.
    pub(crate) fn store(&self, offset: usize, bytes: &[u8]) {
        assert!(offset.checked_add(bytes.len()).is_some_and(|end| end <= self.length));
        // SAFETY: inside the mapping, as just checked; no other process reads it at the same time,
        // because the agent waits for the subject to stop or to end.
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
    // SAFETY: both strings end with a NUL, and the kernel reads `len` bytes of the value.
    let result = unsafe {
        libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// `getxattr(2)`, of at most 256 bytes; `None` if the file lacks the attribute.
pub(crate) fn attribute(path: &Path, name: &CStr) -> std::io::Result<Option<Vec<u8>>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = vec![0; 256];
    // SAFETY: both strings end with a NUL, and the kernel writes at most `len` bytes.
    let got = unsafe {
        libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    if got < 0 {
        let error = std::io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ENODATA) { Ok(None) } else { Err(error) };
    }
    value.truncate(got as usize);
    Ok(Some(value))
}

/// `removexattr(2)`; a file without the attribute stays as it is.
pub(crate) fn remove_attribute(path: &Path, name: &CStr) -> std::io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both strings end with a NUL.
    let result = unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) };
    match std::io::Error::last_os_error() {
        error if result != 0 && error.raw_os_error() != Some(libc::ENODATA) => Err(error),
        _ => Ok(()),
    }
}

/// `lsetxattr(2)`, which sets the attribute of a symbolic link itself.
pub(crate) fn set_own_attribute(path: &Path, name: &CStr, value: &[u8]) -> std::io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: as in `set_attribute`.
    let result = unsafe {
        libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Gives this process the resource limits of kthreadd, process 2, which are those of the first
/// process at its start (`INIT_RLIMITS`).
pub(crate) fn take_limits_of_kthreadd() -> nix::Result<()> {
    const KTHREADD: libc::pid_t = 2;
    // Numbered without gaps; RLIMIT_RTTIME is the last.
    for resource in 0..=libc::RLIMIT_RTTIME {
        let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel writes one structure in the first call and reads it in the second.
        let result = unsafe {
            match libc::prlimit64(KTHREADD, resource, std::ptr::null(), &raw mut limit) {
                0 => libc::prlimit64(0, resource, &raw const limit, std::ptr::null_mut()),
                failed => failed,
            }
        };
        Errno::result(result)?;
    }
    Ok(())
}

/// Runs `hook` in the child before it executes `command`.
pub(crate) fn before_exec(
    command: &mut Command,
    hook: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: the agent has one thread, so no other can hold a lock at the fork.
    unsafe { command.pre_exec(hook) };
}
