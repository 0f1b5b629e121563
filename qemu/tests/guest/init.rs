//! The first process of a test's guest. Acts as the kernel parameter `act=` requests: the kernel
//! passes parameters that it does not know to the first process as environment variables.

#![deny(unsafe_code)]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

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

/// The first page of the memory that the guest shares with the host.
struct Window(*mut u8);

impl Window {
    #[expect(unsafe_code, reason = "a system call")]
    fn open() -> Self {
        fs::create_dir_all("/sys").expect("a folder");
        mount(c"sysfs", c"/sys");
        let devices = fs::read_dir("/sys/bus/pci/devices").expect("a PCI bus");
        let device = devices
            .map(|device| device.expect("a device").path())
            .find(|path| fs::read_to_string(path.join("device")).is_ok_and(|id| id == "0x1110\n"))
            .expect("the device");
        fs::write(device.join("enable"), "1").expect("it decodes addresses");
        let file = OpenOptions::new().read(true).write(true).open(device.join("resource2"));
        let file = file.expect("its memory");
        let address: i64;
        // SAFETY: the kernel chooses where to map one page, shared, to read (1) and write (2).
        unsafe {
            std::arch::asm!(
                "syscall",
                inlateout("rax") 9i64 => address,
                in("rdi") 0,
                in("rsi") 4096,
                in("rdx") 3,
                in("r10") 1,
                in("r8") file.as_raw_fd(),
                in("r9") 0,
                out("rcx") _,
                out("r11") _,
            );
        }
        assert!(address > 0, "mmap: {address}");
        Self(address as *mut u8)
    }

    #[expect(unsafe_code, reason = "memory that the host reads as well")]
    fn store(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= 4096);
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: the address is within the page that open() mapped.
            unsafe { self.0.add(i).write_volatile(*byte) };
        }
    }
}

/// Answers every line on the second serial port with the same line, reversed, until the line
/// `off`. Prints a line that starts with `print`, and stores each line in the window from the first
/// that starts with `window` on.
fn answer() {
    let mut window = None;
    let mut port = OpenOptions::new().read(true).write(true).open("/dev/ttyS1").expect("the port");
    port.write_all(b"ready\n").expect("a byte goes out");
    let mut line = Vec::new();
    let mut byte = [0];
    while port.read(&mut byte).expect("a byte comes in") == 1 {
        if byte[0] == b'\n' {
            if line == b"off" {
                return;
            }
            if line.starts_with(b"print") {
                println!("{}", String::from_utf8_lossy(&line));
            }
            if line.starts_with(b"window") {
                window.get_or_insert_with(Window::open);
            }
            if let Some(window) = &mut window {
                window.store(&line);
            }
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
