//! The first process of a test's guest. Acts as the kernel parameter `act=` requests: the kernel
//! passes parameters that it does not know to the first process as environment variables.

#![deny(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};

/// `reboot(2)`, which the standard library lacks.
#[expect(unsafe_code, reason = "a system call")]
fn reboot(command: u32) {
    // SAFETY: the system call takes four numbers and reads no memory of this process.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") 169i64 => _,
            in("rdi") 0xfee1_deadu32,
            in("rsi") 0x2812_1969u32,
            in("rdx") command,
            in("r10") 0,
            out("rcx") _,
            out("r11") _,
        );
    }
}

#[expect(unsafe_code, reason = "a system call")]
fn mount(kind: &std::ffi::CStr, on: &std::ffi::CStr) {
    // SAFETY: the kernel reads three NUL-terminated strings, which outlive the call.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") 165i64 => _,
            in("rdi") kind.as_ptr(),
            in("rsi") on.as_ptr(),
            in("rdx") kind.as_ptr(),
            in("r10") 0,
            in("r8") 0,
            out("rcx") _,
            out("r11") _,
        );
    }
}

fn power_off() {
    reboot(0x4321_fedc);
}

/// Answers every line on the second serial port with the same line, reversed.
fn answer() {
    let mut port = OpenOptions::new().read(true).write(true).open("/dev/ttyS1").expect("the port");
    port.write_all(b"ready\n").expect("a byte goes out");
    let mut line = Vec::new();
    let mut byte = [0];
    while port.read(&mut byte).expect("a byte comes in") == 1 {
        if byte[0] == b'\n' {
            line.reverse();
            line.push(b'\n');
            port.write_all(&line).expect("a line goes out");
            line.clear();
        } else {
            line.push(byte[0]);
        }
    }
}

fn sysrq(keys: &str) {
    fs::create_dir_all("/proc").expect("a folder");
    mount(c"proc", c"/proc");
    fs::write("/proc/sys/kernel/sysrq", "1").expect("sysrq allowed");
    for key in keys.chars() {
        fs::write("/proc/sysrq-trigger", key.to_string()).expect("sysrq done");
    }
}

fn main() {
    println!("guest is up");
    match std::env::var("act").as_deref() {
        Ok("reboot") => reboot(0x0123_4567),
        Ok("exit") => std::process::exit(7),
        Ok("wait") => loop {
            std::thread::park();
        },
        Ok("answer") => answer(),
        Ok(keys) if keys.starts_with("sysrq-") => sysrq(&keys["sysrq-".len()..]),
        _ => {}
    }
    power_off();
}
