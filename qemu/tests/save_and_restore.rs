//! Guests that continue from a saved state, as their owner sees them.
//!
//! Needs QEMU on the search path, and PERFSEC_TEST_KERNEL as life_and_death.rs does.
//! PERFSEC_TEST_QEMU may name another QEMU.

mod support;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Lines, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use perfsec_qemu::{End, Error, Machine, SaveError, Vm, VmEvent};

use support::{QEMU, console_until, installed_script, machine, start};

fn answering() -> Machine {
    let qemu = std::env::var_os("PERFSEC_TEST_QEMU").unwrap_or(QEMU.into()).into();
    Machine { qemu, window: Some(1 << 20), memory_mib: 512, ..machine("answer") }
}

/// A guest that answers each line with the same line, reversed.
struct Guest {
    vm: Vm,
    events: Receiver<VmEvent>,
    port: UnixStream,
    lines: Lines<BufReader<UnixStream>>,
}

impl Guest {
    fn new((mut vm, events): (Vm, Receiver<VmEvent>)) -> Self {
        let port = vm.channel().expect("the channel");
        let patience = Some(support::PATIENCE);
        port.set_read_timeout(patience).expect("a time limit");
        let lines = BufReader::new(port.try_clone().expect("two ends")).lines();
        Self { vm, events, port, lines }
    }

    fn booted(machine: &Machine) -> Self {
        let mut guest = Self::new(start(machine));
        assert_eq!(guest.line(), "ready");
        guest
    }

    fn restored(state: &Path) -> Self {
        let (sink, events) = channel();
        let state = File::open(state).expect("the state");
        let vm = Vm::restore(&answering(), state, move |event| drop(sink.send(event)));
        Self::new((vm.expect("the guest is restored"), events))
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").expect("readable").trim().to_owned()
    }

    fn answers(&mut self, question: &str) {
        writeln!(self.port, "{question}").expect("a line goes in");
        // The guest keeps its line discipline, which echoes.
        let reversed: String = question.chars().rev().collect();
        assert_eq!([self.line(), self.line()], [question, &reversed]);
    }

    fn powers_off(mut self) {
        self.port.write_all(b"off\n").expect("a line goes in");
        let (console, end) = console_until(&self.events, "");
        assert!(matches!(end, Some(End::PoweredOff)), "{end:?}: {console}");
    }
}

/// The state of a guest that has mapped its window, saved once per process.
fn state() -> &'static Path {
    static STATE: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = STATE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let mut guest = Guest::booted(&answering());
        guest.answers("window 1");
        let began = Instant::now();
        guest.vm.save(&mut File::create(&path).expect("a file")).expect("the state is saved");
        let size = fs::metadata(&path).expect("the file").len() >> 20;
        println!("saved {size} MiB in {:?}", began.elapsed());
        guest.answers("after the save");
        guest.powers_off();
        (folder, path)
    });
    path
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn one_state_continues_twenty_times_on_a_real_kernel() {
    let state = state();
    for i in 0..20 {
        let began = Instant::now();
        let mut guest = Guest::restored(state);
        let running = began.elapsed();
        guest.answers(&format!("guest {i}"));
        println!("running after {running:?}, answered after {:?}", began.elapsed());
        guest.powers_off();
    }
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn four_guests_of_one_state_have_a_life_of_their_own_on_a_real_kernel() {
    let state = state();
    let talk = |i: usize| {
        let mut guest = Guest::restored(state);
        let window = guest.vm.window().expect("the window");
        for j in 0..10 {
            let question = format!("window of {i}, {j}");
            guest.answers(&question);
            let mut stored = vec![0; question.len()];
            window.read_exact_at(&mut stored, 0).expect("the window's first bytes");
            assert_eq!(stored, question.as_bytes());
        }
        guest.powers_off();
    };
    thread::scope(|threads| {
        for i in 0..4 {
            threads.spawn(move || talk(i));
        }
    });
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn the_console_and_a_kill_are_seen_after_a_restore_on_a_real_kernel() {
    let mut guest = Guest::restored(state());
    guest.answers("print to the console");
    let (console, end) = console_until(&guest.events, "print to the console");
    assert!(end.is_none(), "{end:?}: {console}");
    guest.vm.kill();
    let (_, end) = console_until(&guest.events, "");
    assert!(matches!(end, Some(End::Killed)), "{end:?}");
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_restored_guest_can_be_saved_again_on_a_real_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let again = folder.path().join("again");
    let mut guest = Guest::restored(state());
    for _ in 0..2 {
        guest.vm.save(&mut File::create(&again).expect("a file")).expect("saved again");
        guest.answers("still here");
    }
    Guest::restored(&again).powers_off();
    guest.powers_off();
}

fn not_restored(machine: &Machine, state: &Path) -> String {
    let (sink, events) = channel();
    let state = File::open(state).expect("a file");
    let began = Instant::now();
    let error = Vm::restore(machine, state, move |event| drop(sink.send(event)));
    let error = error.expect_err("no guest");
    assert!(began.elapsed() < Duration::from_secs(10), "{error} after {:?}", began.elapsed());
    let ended = events.iter().any(|event| matches!(event, VmEvent::Ended(_)));
    assert!(!ended, "a machine that did not start has ended");
    assert!(matches!(error, Error::NotRestored { .. }), "{error:?}");
    println!("{error}");
    error.to_string()
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_state_that_does_not_fit_is_refused_in_the_words_of_qemu_on_a_real_kernel() {
    let whole = fs::read(state()).expect("the state");
    let file = tempfile::NamedTempFile::new().expect("a file");
    // The last 100 kB describe the state for debuggers; QEMU does not miss them.
    for length in [0, 100, whole.len() / 2, whole.len() - 120_000] {
        fs::write(file.path(), &whole[..length]).expect("a part of it");
        not_restored(&answering(), file.path());
    }
    fs::write(file.path(), b"not a state").expect("a written file");
    let error = not_restored(&answering(), file.path());
    assert!(error.contains("Not a migration stream"), "{error}");
    let error = not_restored(&Machine { memory_mib: 256, ..answering() }, state());
    assert!(error.contains("pc.ram"), "{error}");
    let error = not_restored(&Machine { window: None, ..answering() }, state());
    assert!(error.contains("window") || error.contains("ivshmem"), "{error}");
}

/// Fails after so many bytes.
struct FullDisk(usize);

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_guest_survives_a_full_disk_on_a_real_kernel() {
    let mut guest = Guest::restored(state());
    for room in [0, 10 << 20] {
        match guest.vm.save(&mut FullDisk(room)) {
            Err(SaveError::Write(error)) => {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
        guest.answers("not saved, but here");
    }
    guest.vm.save(&mut io::sink()).expect("a later attempt succeeds");
    guest.powers_off();
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_guest_whose_devices_forbid_saving_goes_on_on_a_real_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = answering();
    let peer =
        "-object memory-backend-ram,id=peer,size=1M,share=on -device ivshmem-plain,memdev=peer";
    let script = format!("#!/bin/sh\nexec {} \"$@\" {peer}\n", plain.qemu.display());
    let qemu = installed_script(folder.path(), &script);
    let mut guest = Guest::booted(&Machine { qemu, ..plain });
    match guest.vm.save(&mut io::sink()) {
        Err(SaveError::Refused { said }) => assert!(said.contains("peer mode"), "{said}"),
        other => panic!("{other:?}"),
    }
    guest.answers("not saved, but here");
    guest.powers_off();
}

#[test]
#[ignore = "needs QEMU and PERFSEC_TEST_KERNEL"]
fn a_machine_that_has_ended_cannot_be_saved_on_a_real_kernel() {
    let mut guest = Guest::restored(state());
    guest.vm.kill();
    let saved = guest.vm.save(&mut io::sink());
    assert!(matches!(saved, Err(SaveError::Ended)), "{saved:?}");
}
