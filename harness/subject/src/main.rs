//! The subject: executed with file capabilities in a domain, it performs the syscalls that the
//! agent laid out in memory, and no others.
//!
//! It has no library and hardly any start: between exec and its first stop it maps that memory and
//! reads its credentials back. From the stop to the end it makes only the syscalls of the program:
//! any other could allocate memory, and `selinux_vm_enough_memory()` would fill the access vector
//! cache with a silent grant of sys_admin.

#![no_std]
#![no_main]
#![expect(unsafe_code, reason = "a program without a library is made of syscalls")]

use core::arch::{asm, global_asm};
use core::ptr::{read_volatile, write_volatile};

use perfsec_subject::{
    ARGUMENTS, BASE, BEGUN, BIND, CAP_DATA, CAP_HEADER, CAPABILITY_VERSION, CLONE, CLONE_EXIT,
    COMPAT, CONTEXT, CONTEXT_LENGTH, CONTEXT_ROOM, COPY, COUNT, CURRENT, DONE, EMPTY, EXEC,
    FROM_SLOT, HAND_OVER, KIND, LENGTH, NEXT, NO_HEIR, NO_MEMORY, NO_VALUE, NUMBER, PID, POKE,
    RESULT, SLOTS, STARTS, STATE, STEP, STOP, STORE, TID, UID, WORD, entry,
};

const READ: u64 = 0;
const OPEN: u64 = 2;
const CLOSE: u64 = 3;
const MMAP: u64 = 9;
const PAUSE: u64 = 34;
const GETPID: u64 = 39;
const WAIT4: u64 = 61;
const KILL: u64 = 62;
const PTRACE: u64 = 101;
const GETUID: u64 = 102;
const CAPGET: u64 = 125;
const GETTID: u64 = 186;
const TGKILL: u64 = 234;
const PRCTL: u64 = 157;
const EXIT_GROUP: u64 = 231;

const PROT_READ_WRITE: u64 = 3;
/// `MAP_SHARED | MAP_FIXED_NOREPLACE`
const MAP_SHARED_FIXED: u64 = 0x10_0001;
const SIGTRAP: u32 = 5;
const SIGKILL: u64 = 9;
const SIGSTOP: u64 = 19;
const PR_SET_PDEATHSIG: u64 = 1;
const WUNTRACED: u64 = 2;
const PTRACE_DETACH: u64 = 17;
const CLONE_THREAD: u64 = 0x1_0000;

// The kernel starts a program with this on the stack: argc, argv[0], …, a null pointer, envp[0], …
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

/// `stack` is the stack pointer at exec; envp[0] is the file descriptor of the memory.
extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: execve() puts argc, argv and envp there, and the agent passes one string in envp.
    let fd = unsafe { number(*stack.add(*stack + 2) as *const u8) };
    let map = [BASE as u64, LENGTH as u64, PROT_READ_WRITE, MAP_SHARED_FIXED, fd, 0];
    if call(MMAP, map) != BASE as i64 {
        exit(NO_MEMORY);
    }
    introduce();
    perform();
    exit(0)
}

fn number(text: *const u8) -> u64 {
    let (mut text, mut value) = (text, 0);
    loop {
        // SAFETY: the string ends with a NUL, which is not a digit.
        match unsafe { read_volatile(text) } {
            digit @ b'0'..=b'9' => value = value * 10 + u64::from(digit - b'0'),
            _ => return value,
        }
        // SAFETY: the byte before was not the last.
        text = unsafe { text.add(1) };
    }
}

/// Stores its credentials after exec, as the kernel returns them.
fn introduce() {
    // The first access is a read: the kernel then maps the pages around it too (do_fault_around()),
    // which it does not for a write.
    let next = load(NEXT) as usize;
    identify();
    store(UID, call(GETUID, [0; 6]) as u64);
    store(CAP_HEADER, CAPABILITY_VERSION);
    call(CAPGET, [address(CAP_HEADER), address(CAP_DATA), 0, 0, 0, 0]);
    let path = c"/proc/self/attr/current".as_ptr() as u64;
    let fd = call(OPEN, [path, 0, 0, 0, 0, 0]);
    let mut length = fd;
    if fd >= 0 {
        let into = (BASE + CONTEXT) as u64;
        length = call(READ, [fd as u64, into, CONTEXT_ROOM as u64, 0, 0, 0]);
        call(CLOSE, [fd as u64, 0, 0, 0, 0, 0]);
    }
    store(CONTEXT_LENGTH, length as u64);
    // The execve() that started this program has succeeded.
    if next > 0 && load(entry(next - 1, STATE)) == BEGUN {
        finish(next - 1, 0);
    }
    store(STARTS, load(STARTS) + 1);
    stop();
}

/// Stores its own ids. The agent recognises the end of a new task's start by getpid(2).
fn identify() {
    store(TID, call(GETTID, [0; 6]) as u64);
    store(PID, call(GETPID, [0; 6]) as u64);
}

/// Stops the process. A signal to the process could reach another thread, and this one would run on
/// until that one is scheduled.
fn stop() {
    call(TGKILL, [load(PID), load(TID), SIGSTOP, 0, 0, 0]);
}

fn perform() {
    let count = load(COUNT) as usize;
    loop {
        let index = load(NEXT) as usize;
        if index >= count {
            return;
        }
        store(NEXT, index as u64 + 1);
        let kind = load(entry(index, KIND));
        if kind == STOP {
            stop();
            continue;
        }
        let mut arguments = [0; 6];
        let mut possible = true;
        let from_slot = load(entry(index, FROM_SLOT));
        let mut at = 0;
        while at < 6 {
            let mut value = load(entry(index, ARGUMENTS + at));
            if from_slot >> at & 1 == 1 {
                value = load(SLOTS + value as usize);
                possible &= value != EMPTY;
            }
            arguments[at] = value;
            store(entry(index, ARGUMENTS + at), value);
            at += 1;
        }
        if !possible {
            continue;
        }
        if kind == STORE {
            // SAFETY: the agent passes an aligned offset inside the region.
            unsafe {
                write_volatile((BASE + arguments[1] as usize) as *mut u32, arguments[0] as u32)
            };
            continue;
        }
        if kind == POKE {
            // SAFETY: the agent passes a mapping of the subject and an aligned offset inside it.
            unsafe { write_volatile((arguments[0] + arguments[1]) as *mut u64, arguments[2]) };
            continue;
        }
        if kind == COPY {
            copy(arguments);
            continue;
        }
        let number = load(entry(index, NUMBER));
        store(CURRENT, load(entry(index, STEP)));
        store(entry(index, STATE), BEGUN);
        let result = match kind {
            CLONE => clone(arguments),
            CLONE_EXIT => clone_exit(arguments),
            HAND_OVER => hand_over(index, arguments),
            COMPAT => compat(number, arguments),
            _ => call(number, arguments),
        };
        // Only a failed execve() returns.
        debug_assert!(kind != EXEC || result < 0);
        finish(index, result);
    }
}

/// Stores a result, also in its slot if it has one.
fn finish(index: usize, result: i64) {
    store(entry(index, RESULT), result as u64);
    store(entry(index, STATE), DONE);
    let bind = load(entry(index, BIND));
    let (slot, place) = (bind as u32 as usize, (bind >> 32) as usize);
    if slot == 0 || result < 0 {
        return;
    }
    let value = match place {
        0 => result as u64,
        // SAFETY: the agent passes an aligned offset inside the region.
        place => match unsafe { read_volatile((BASE + place) as *const u32) } {
            NO_VALUE => return,
            value => u64::from(value),
        },
    };
    store(SLOTS + slot - 1, value);
}

fn copy([from, to, count, ..]: [u64; 6]) {
    let mut at = 0;
    while at < count as usize {
        // SAFETY: the agent passes offsets and a count inside the region.
        unsafe {
            let byte = read_volatile((BASE + from as usize + at) as *const u8);
            write_volatile((BASE + to as usize + at) as *mut u8, byte);
        }
        at += 1;
    }
}

fn address(word: usize) -> u64 {
    (BASE + word * WORD) as u64
}

fn load(word: usize) -> u64 {
    // SAFETY: the region is mapped there, and every word of the layout is inside.
    unsafe { read_volatile((BASE as *const u64).add(word)) }
}

fn store(word: usize, value: u64) {
    // SAFETY: as in `load`.
    unsafe { write_volatile((BASE as *mut u64).add(word), value) }
}

fn call(number: u64, arguments: [u64; 6]) -> i64 {
    let result;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the agent passes only addresses in the region, so a syscall changes only the region
    // and new mappings.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as i64 => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// A syscall as a 32-bit program makes it.
fn compat(number: u64, arguments: [u64; 6]) -> i64 {
    let result: i64;
    let [a, b, c, ..] = arguments;
    // SAFETY: as in `call`; the compiler reserves rbx, so it is saved and restored.
    unsafe {
        asm!(
            "xchg {first}, rbx",
            "int 0x80",
            "xchg {first}, rbx",
            first = inout(reg) a => _,
            inlateout("rax") number as i64 => result,
            in("rcx") b, in("rdx") c,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    // The kernel returns 32 bits.
    i64::from(result as i32)
}

/// `clone(2)`. The new task uses no stack, so a thread needs none: it arranges to be killed when
/// its parent ends, and waits.
fn clone(arguments: [u64; 6]) -> i64 {
    let result;
    let [a, b, c, d, e, _] = arguments;
    // SAFETY: the new task never leaves the block.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 3f",
            // prctl(PR_SET_PDEATHSIG, SIGKILL)
            "mov eax, 157",
            "mov edi, 1",
            "mov esi, 9",
            "syscall",
            "2:",
            // pause()
            "mov eax, 34",
            "syscall",
            "jmp 2b",
            "3:",
            inlateout("rax") 56_i64 => result,
            inout("rdi") a => _, inout("rsi") b => _, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// `clone(2)` of a process that ends at once.
fn clone_exit(arguments: [u64; 6]) -> i64 {
    let result;
    let [a, b, c, d, e, _] = arguments;
    // SAFETY: the new process never leaves the block.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // exit_group(0)
            "mov eax, 231",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            inlateout("rax") 56_i64 => result,
            inout("rdi") a => _, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// `clone(2)` of a task that continues in [`take_over`]. Returns only if it fails: on success this
/// task waits and then ends as the new one did.
fn hand_over(index: usize, arguments: [u64; 6]) -> i64 {
    let result: i64;
    let [a, b, c, d, e, _] = arguments;
    // SAFETY: the new task has a stack of its own and never returns from `take_over`.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, r9",
            "call {take_over}",
            "ud2",
            "2:",
            take_over = sym take_over,
            inlateout("rax") 56_i64 => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") index,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    match result {
        failed @ ..0 => failed,
        _ if a & CLONE_THREAD != 0 => loop {
            call(PAUSE, [0; 6]);
        },
        task => follow(task as u64),
    }
}

/// Performs the remaining entries in the new task, which arranges to be killed when its parent
/// ends.
extern "C" fn take_over(index: usize) -> ! {
    call(PRCTL, [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0]);
    // SAFETY: the agent passes an aligned address in the region.
    let task = unsafe { read_volatile(load(entry(index, ARGUMENTS + 2)) as *const u32) };
    finish(index, task.into());
    identify();
    perform();
    exit(0)
}

/// Stops and ends whenever a child does, because the agent waits for this process.
fn follow(child: u64) -> ! {
    let mut status = 0_u32;
    loop {
        let to = &raw mut status as u64;
        if call(WAIT4, [child, to, WUNTRACED, 0, 0, 0]) < 0 {
            exit(NO_HEIR);
        }
        let own = call(GETPID, [0; 6]) as u64;
        match status & 0x7f {
            0 => exit((status >> 8 & 0xff) as i32),
            // The child asked to be traced and has executed a program (ptrace_event()).
            0x7f if status >> 8 & 0xff == SIGTRAP => {
                call(PTRACE, [PTRACE_DETACH, child, 0, 0, 0, 0])
            }
            0x7f => call(KILL, [own, SIGSTOP, 0, 0, 0, 0]),
            signal => call(KILL, [own, signal.into(), 0, 0, 0, 0]),
        };
    }
}

fn exit(code: i32) -> ! {
    loop {
        call(EXIT_GROUP, [code as u64, 0, 0, 0, 0, 0]);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(NO_MEMORY)
}
