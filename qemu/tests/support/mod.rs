//! What the tests with real guests share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use perfsec_qemu::{Accel, ConsoleTo, End, Initramfs, Machine, Vm, VmEvent, initramfs, machine};

pub(crate) const QEMU: &str = "qemu-system-x86_64";

/// Many times the slowest emulated boot seen so far.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn kernel() -> PathBuf {
    let kernel = std::env::var_os("PERFSEC_TEST_KERNEL");
    kernel.expect("PERFSEC_TEST_KERNEL must name a kernel image").into()
}

/// An initramfs with the guest's program, compiled once per process. The program must be static,
/// and Cargo cannot link a single target statically.
fn guest() -> Initramfs {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("init");
        let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--edition=2024", "-Copt-level=s", "-Cpanic=abort", "-Cstrip=symbols"])
            .arg("-Ctarget-feature=+crt-static")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/init.rs"))
            .arg("-o")
            .arg(&program)
            .status();
        assert!(compiled.expect("rustc starts").success(), "the guest's program compiles");
        fs::read(program).expect("the program")
    });
    let archive = initramfs::Builder::new()
        .file("init", 0o755, program.clone())
        .and_then(|archive| archive.character_device("dev/ttyS1", 0o600, 4, 65));
    archive.and_then(|archive| archive.build()).expect("an initramfs")
}

pub(crate) fn machine(act: &str) -> Machine {
    let mut append = machine::kernel_parameters(Accel::Tcg);
    append.extend(["quiet".into(), format!("act={act}")]);
    Machine {
        qemu: QEMU.into(),
        accel: Accel::Tcg,
        kernel: kernel(),
        base: None,
        initramfs: guest(),
        append,
        memory_mib: 256,
        window: None,
        dump: None,
        gdb: None,
        console: ConsoleTo::Events,
    }
}

pub(crate) fn start(machine: &Machine) -> (Vm, Receiver<VmEvent>) {
    let (sink, events) = channel();
    let vm = Vm::start(machine, move |event| drop(sink.send(event)));
    (vm.expect("the machine starts"), events)
}

/// Collects the console until `enough` appears or the machine ends.
pub(crate) fn console_until(events: &Receiver<VmEvent>, enough: &str) -> (String, Option<End>) {
    let mut console = String::new();
    while enough.is_empty() || !console.contains(enough) {
        match events.recv_timeout(PATIENCE) {
            Ok(VmEvent::Dumped(result)) => panic!("memory that nobody wanted: {result:?}"),
            Ok(VmEvent::Console(bytes)) => console += &String::from_utf8_lossy(&bytes),
            Ok(VmEvent::Ended(end)) => return (console, Some(end)),
            Err(RecvTimeoutError::Timeout) => panic!("no more events after: {console}"),
            Err(RecvTimeoutError::Disconnected) => panic!("no end after: {console}"),
        }
    }
    (console, None)
}

/// An executable script in `folder`.
pub(crate) fn installed_script(folder: &Path, script: &str) -> PathBuf {
    // Another process writes the program: a descriptor that a fork of this one still had open
    // would make exec fail with ETXTBSY.
    let [text, program] = ["script", "program"].map(|name| folder.join(name));
    fs::write(&text, script).expect("a script");
    let installed = Command::new("install").arg("-m755").args([&text, &program]).status();
    assert!(installed.expect("install starts").success());
    program
}
