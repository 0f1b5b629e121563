//! Runs programs in guests that have a policy, a C library, and nothing of perfsec.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use perfsec::kernel::Image;
use perfsec_qemu::{Accel, ConsoleTo, Machine, Vm, VmEvent, initramfs, machine};
use tempfile::TempDir;

use crate::programs::{file_name, of_each_case, programs, write};
use crate::support::minimal;

/// Many times what a program takes on an emulated CPU.
const PATIENCE: Duration = Duration::from_secs(300);

/// Programs in one guest: their files are in its memory.
const IN_ONE_GUEST: usize = 150;

/// The C library, which the programs share.
const LIBRARIES: [&str; 2] = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];

/// The end of a program, with its output unless it is 0.
#[derive(Debug)]
struct Ended {
    name: String,
    code: i32,
    text: String,
}

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set")).into()
}

fn run(command: &mut Command) {
    let output = command.output().expect("a program of the host starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Compiles a file.
fn compile(from: &Path, to: &Path) -> Vec<u8> {
    run(Command::new("cc").args(["-Wall", "-Werror", "-o"]).arg(to).arg(from));
    fs::read(to).expect("the compiled program")
}

/// The policy `minimal`, compiled.
fn policy(directory: &Path) -> Vec<u8> {
    let (source, binary) = (directory.join("minimal.cil"), directory.join("policy"));
    fs::write(&source, minimal()).expect("the policy's source");
    run(Command::new("secilc")
        .args(["-c", "33", "-f", "/dev/null", "-o"])
        .arg(&binary)
        .arg(source));
    fs::read(binary).expect("the policy")
}

/// Boots a kernel, and lets the guest run the programs in the order of their names.
fn boot(kernel: &Path, parameters: &[String], programs: &[(&str, &str)]) -> Vec<Ended> {
    let directory = TempDir::new().expect("a directory");
    let place = directory.path();
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reproduce/init.c");
    let mut archive = initramfs::Builder::new()
        .file("init", 0o755, compile(&init, &place.join("init")))
        .and_then(|archive| archive.file("policy", 0o644, policy(place)))
        .expect("an initramfs");
    for library in LIBRARIES {
        let content = fs::read(library).expect("the C library");
        archive = archive.file(library, 0o755, content).expect("an initramfs");
    }
    for (source, (cell, _)) in std::iter::zip(write(place, programs), programs) {
        let content = compile(&source, &place.join("program"));
        let path = format!("programs/{}", file_name(cell));
        archive = archive.file(&path, 0o755, content).expect("an initramfs");
    }
    let mut append = machine::kernel_parameters(Accel::Tcg);
    let own =
        ["quiet", "rdinit=/init", "security=selinux", "selinux=1", "audit_backlog_limit=8192"];
    append.extend(own.map(str::to_owned));
    append.extend_from_slice(parameters);
    let machine = Machine {
        base: None,
        qemu: "qemu-system-x86_64".into(),
        accel: Accel::Tcg,
        kernel: kernel.to_owned(),
        initramfs: archive.build().expect("an initramfs"),
        append,
        memory_mib: 768,
        window: None,
        dump: None,
        gdb: None,
        console: ConsoleTo::Events,
    };
    let (sink, events) = channel();
    let _vm = Vm::start(&machine, move |event| drop(sink.send(event))).expect("QEMU starts");
    let mut console = String::new();
    while let Ok(VmEvent::Console(bytes)) = events.recv_timeout(PATIENCE) {
        console += &String::from_utf8_lossy(&bytes);
    }
    results(&console)
}

fn results(console: &str) -> Vec<Ended> {
    let mut results: Vec<Ended> = Vec::new();
    for line in console.lines() {
        match line.strip_prefix("ENDED ").and_then(|rest| rest.split_once(' ')) {
            Some((code, name)) => {
                let code = code.parse().expect("an exit code");
                results.push(Ended { name: name.to_owned(), code, text: String::new() });
            }
            None => {
                if let Some(last) = results.last_mut() {
                    last.text += line;
                    last.text.push('\n');
                }
            }
        }
    }
    results
}

/// `PERFSEC_TEST_KERNEL` names the image of a Debian kernel; with `PERFSEC_TEST_CELLS`, only cells
/// whose names contain this run.
#[test]
#[ignore = "boots a guest for each 150 programs, each some minutes on an emulated CPU"]
fn on_an_intact_kernel_every_program_sees_what_is_expected() {
    let kernel = variable("PERFSEC_TEST_KERNEL");
    let wanted = std::env::var("PERFSEC_TEST_CELLS").unwrap_or_default();
    let image = fs::read(&kernel).expect("the image");
    let programs = programs(Image::parse(&image).expect("a kernel").version);
    let mut chosen = of_each_case(&programs);
    chosen.retain(|(cell, _)| cell.contains(&wanted));
    assert!(!chosen.is_empty(), "no cell contains {wanted}");
    for batch in chosen.chunks(IN_ONE_GUEST) {
        let ended = boot(&kernel, &[], batch);
        let others: Vec<_> = ended.iter().filter(|one| one.code != 0).collect();
        assert!(others.is_empty(), "{others:#?}");
        assert_eq!(ended.len(), batch.len(), "after {:?}", ended.last().map(|one| &one.name));
    }
}

/// `PERFSEC_TEST_SWITCHED` names the kernel that `perfsec selfcheck --generate` builds of
/// `tree:debian:6.1`, and `PERFSEC_TEST_MUTANTS` a file of lines `NUMBER CELL`: a mutant of that
/// kernel, and a cell that notices it.
#[test]
#[ignore = "boots a guest for each mutant"]
fn on_a_broken_kernel_the_program_of_a_cell_that_notices_sees_a_difference() {
    let kernel = variable("PERFSEC_TEST_SWITCHED");
    let mutants = fs::read_to_string(variable("PERFSEC_TEST_MUTANTS")).expect("the mutants");
    let programs = programs(perfsec::kernel::KernelVersion::new(6, 1, 192));
    let mut unseen = Vec::new();
    for line in mutants.lines() {
        let (number, cell) = line.split_once(' ').expect("NUMBER CELL");
        let program = programs.iter().find(|program| program.cell == cell).expect("a cell");
        let text = program.text.as_ref().expect("a program");
        for (number, code) in [("0", 0), (number, 1)] {
            let parameter = format!("perfsec_mutant={number}");
            let ended = boot(&kernel, &[parameter], &[(cell, text)]);
            if ended.first().map(|one| one.code) != Some(code) {
                unseen.push(format!("{number} {cell}: {ended:?}"));
            }
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}
