//! The life and death of a virtual machine as its owner sees it, and that nothing is left behind.
//!
//! Needs QEMU on the search path. PERFSEC_TEST_KERNEL must name a kernel image with initramfs, 8250
//! console and ACPI: any distribution's will do.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use perfsec_qemu::accel;
use perfsec_qemu::{Accel, ConsoleTo, End, Error, Machine, Vm, VmEvent};

use support::{QEMU, console_until, installed_script, kernel, machine, start};

fn life(act: &str) -> (String, End) {
    let (_vm, events) = start(&machine(act));
    let (console, end) = console_until(&events, "");
    (console, end.expect("an end"))
}

/// True if the process exists and is not a zombie.
fn is_alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.starts_with(" Z")))
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn powering_off_is_seen_on_a_real_kernel() {
    let (console, end) = life("off");
    assert!(matches!(end, End::PoweredOff), "{end:?}");
    assert!(console.contains("guest is up"), "{console}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_reboot_is_seen_on_a_real_kernel() {
    let (console, end) = life("reboot");
    assert!(matches!(end, End::Reset), "{end:?}: {console}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_silent_reset_is_seen_on_a_real_kernel() {
    let (console, end) = life("sysrq-b");
    assert!(matches!(end, End::Reset), "{end:?}");
    assert!(!console.contains("panic"), "{console}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_panic_is_a_reset_with_its_message_on_a_real_kernel() {
    let (console, end) = life("exit");
    assert!(matches!(end, End::Reset), "{end:?}");
    assert!(console.contains("Attempted to kill init! exitcode=0x00000700"), "{console}");
    assert!(console.contains("Kernel Offset:"), "the last line is missing: {console}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn the_channel_carries_bytes_both_ways_on_a_real_kernel() {
    let (mut vm, events) = start(&machine("answer"));
    let mut channel = vm.channel().expect("the channel");
    assert!(vm.channel().is_none(), "the channel was there twice");
    let mut lines = BufReader::new(channel.try_clone().expect("two ends")).lines();
    let mut next = || lines.next().expect("a line").expect("readable").trim().to_owned();
    assert_eq!(next(), "ready");
    channel.write_all(b"abc\n").expect("a line goes in");
    // The guest keeps its line discipline, which echoes.
    assert_eq!([next(), next()], ["abc", "cba"]);
    vm.kill();
    vm.kill();
    let (_, end) = console_until(&events, "");
    assert!(matches!(end, Some(End::Killed)), "{end:?}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_qemu_killed_by_someone_else_is_a_crash_on_a_real_kernel() {
    let (vm, events) = start(&machine("wait"));
    let (_, end) = console_until(&events, "guest is up");
    assert!(end.is_none(), "{end:?}");
    let pid = vm.pid().expect("a process");
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
    assert!(killed.expect("kill starts").success());
    match console_until(&events, "").1 {
        Some(End::Crashed { status, .. }) => assert_eq!(status.signal(), Some(9)),
        other => panic!("{other:?}"),
    }
    assert_eq!(vm.pid(), None);
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_dropped_vm_leaves_no_process_on_a_real_kernel() {
    let (vm, events) = start(&machine("wait"));
    let pid = vm.pid().expect("a process");
    assert!(is_alive(pid));
    drop(vm);
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it was not reaped");
    let (_, end) = console_until(&events, "");
    assert!(matches!(end, Some(End::Killed)), "{end:?}");
}

/// The header of an ELF core, and how many MiB it has.
fn core(file: &Path) -> ([u8; 4], u64) {
    let mut magic = [0; 4];
    let mut core = fs::File::open(file).expect("the memory");
    core.read_exact(&mut magic).expect("a header");
    (magic, core.metadata().expect("its length").len() >> 20)
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn the_memory_of_a_guest_that_panics_is_kept_on_a_real_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcore");
    let (_vm, events) = start(&Machine { dump: Some(file.clone()), ..machine("exit") });
    let seen: Vec<VmEvent> = events.iter().collect();
    let [.., VmEvent::Dumped(Ok(())), VmEvent::Ended(End::Reset)] = &seen[..] else {
        panic!("{:?}", seen.last_chunk::<2>());
    };
    let (magic, mebibytes) = core(&file);
    assert_eq!(&magic, b"\x7fELF");
    assert!((256..300).contains(&mebibytes), "{mebibytes} MiB");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_guest_that_powers_off_leaves_no_memory_on_a_real_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcore");
    let (_vm, events) = start(&Machine { dump: Some(file.clone()), ..machine("off") });
    let (_, end) = console_until(&events, "");
    assert!(matches!(end, Some(End::PoweredOff)), "{end:?}");
    assert!(!file.exists());
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn the_memory_of_a_guest_that_hangs_is_kept_on_a_real_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmcore");
    let (mut vm, events) = start(&machine("wait"));
    let (_, end) = console_until(&events, "guest is up");
    assert!(end.is_none(), "{end:?}");
    vm.dump(&file).expect("the memory is written");
    assert_eq!(&core(&file).0, b"\x7fELF");
    let nowhere = folder.path().join("missing/vmcore");
    let refused = vm.dump(&nowhere).expect_err("no such directory");
    assert!(refused.contains("missing") || refused.contains("open"), "{refused}");
    vm.kill();
    let (_, end) = console_until(&events, "");
    assert!(matches!(end, Some(End::Killed)), "{end:?}");
}

/// Not a test: the parent that the next test kills.
#[test]
#[ignore = "run by a_killed_parent_leaves_no_qemu_on_a_real_kernel"]
fn parent_to_be_killed() {
    if std::env::var_os("PERFSEC_TEST_PARENT").is_some() {
        let (vm, events) = start(&machine("wait"));
        console_until(&events, "guest is up");
        println!("qemu={}", vm.pid().expect("a process"));
        console_until(&events, "");
    }
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_killed_parent_leaves_no_qemu_on_a_real_kernel() {
    let mut parent = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "parent_to_be_killed", "--ignored", "--nocapture"])
        .env("PERFSEC_TEST_PARENT", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the parent starts");
    let mut lines = BufReader::new(parent.stdout.take().expect("its output")).lines();
    let qemu = lines.find_map(|line| line.ok()?.split_once("qemu=")?.1.parse::<u32>().ok());
    let qemu = qemu.expect("the parent's QEMU");
    assert!(is_alive(qemu));
    parent.kill().expect("SIGKILL");
    parent.wait().expect("the parent is reaped");
    // It dies asynchronously, and its new parent may be slow to reap it.
    let gone = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        !is_alive(qemu)
    });
    assert!(gone, "QEMU {qemu} is still running");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn kvm_is_probed_and_remembered_on_a_real_kernel() {
    let mut memory = accel::Memory::default();
    let mut probe = || {
        accel::probe(Path::new(QEMU), &kernel(), &mut memory, accel::TIME_LIMIT).expect("a result")
    };
    let first = probe();
    assert!(first.is_new);
    println!("{}: {}", first.probe.accel, first.probe.why);
    let began = std::time::Instant::now();
    let second = probe();
    assert_eq!((second.probe, second.is_new), (first.probe, false));
    assert!(began.elapsed() < Duration::from_millis(100), "the second call probed again");
}

/// The error of starting a changed machine, which must fail.
fn refused(change: impl FnOnce(&mut Machine)) -> Error {
    let mut machine = Machine {
        qemu: QEMU.into(),
        accel: Accel::Tcg,
        kernel: "/dev/null".into(),
        base: None,
        initramfs: Vec::new().into(),
        append: Vec::new(),
        memory_mib: 64,
        window: None,
        dump: None,
        gdb: None,
        console: ConsoleTo::Events,
    };
    change(&mut machine);
    Vm::start(&machine, |_| {}).expect_err("no machine")
}

#[test]
fn a_missing_qemu_is_named() {
    let error = refused(|m| m.qemu = "/no/such/qemu".into());
    assert!(matches!(error, Error::NoProgram { .. }), "{error:?}");
    assert_eq!(error.to_string(), "start QEMU: no program `/no/such/qemu`");
}

#[test]
fn a_qemu_that_may_not_be_executed_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a file that is not executable");
    let error = refused(|m| m.qemu = file.path().into());
    assert!(matches!(error, Error::NotExecutable { .. }), "{error:?}");
}

#[test]
fn a_program_that_is_not_qemu_ends_at_once() {
    let error = refused(|m| m.qemu = "false".into());
    assert!(matches!(error, Error::EndedAtOnce { .. }), "{error:?}");
    assert!(error.to_string().ends_with("it said nothing"), "{error}");
}

#[test]
fn a_qemu_that_lacks_the_window_is_started_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = "-device ivshmem-plain: 'ivshmem-plain' is not a valid device model name";
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in\n*ivshmem-plain*) echo \"{refusal}\" ;;\n\
         *) echo \"started without the window\" ;;\nesac >&2\nexit 1\n"
    );
    let qemu = installed_script(folder.path(), &script);
    let error = refused(|m| (m.qemu, m.window) = (qemu.clone(), Some(1 << 20)));
    assert!(error.to_string().ends_with("started without the window"), "{error}");
}

#[test]
#[ignore = "needs QEMU"]
fn a_real_qemu_refuses_a_file_that_is_not_a_kernel() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), vec![b'x'; 4096]).expect("a written file");
    let error = refused(|m| m.kernel = file.path().into());
    assert!(matches!(error, Error::KernelRejected { .. }), "{error:?}");
    let error = refused(|m| m.kernel = "/no/such/kernel".into());
    assert!(matches!(error, Error::KernelRejected { .. }), "{error:?}");
}

#[test]
#[ignore = "needs QEMU"]
fn a_real_qemu_refuses_a_machine_with_too_much_memory() {
    let error = refused(|m| m.memory_mib = 1 << 30);
    assert!(matches!(error, Error::EndedAtOnce { .. }), "{error:?}");
    assert!(!error.to_string().contains("it said nothing"), "{error}");
}
