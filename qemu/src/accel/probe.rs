//! Finds out whether KVM can run a guest on this host.
//!
//! Being able to open `/dev/kvm` says little: on nested or emulated hosts KVM may execute a guest
//! at a crawl, hang, make QEMU abort, or stop at an instruction that it cannot emulate. So the
//! probe boots the very kernel that is to be tested up to the first system call of the first
//! process, in limited time.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::memory::{self, Memory};
use crate::{Accel, ConsoleTo, End, Error, Machine, Vm, VmEvent, initramfs, machine};

/// A choice of accelerator with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The accelerator to use on this host.
    pub accel: Accel,
    /// The reason in one line, as a clause: "no /dev/kvm on this host".
    pub why: String,
    /// QEMU's own words and how it ended, where it failed under KVM. Any number of lines.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The result of [`probe()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeResult {
    /// The choice.
    pub probe: Probe,
    /// True if the choice is new, false if an earlier call has remembered it.
    pub is_new: bool,
    /// A remembered choice that no longer holds, and that this one replaces.
    pub replaced: Option<Accel>,
}

/// A time limit for [`probe()`]: a sound KVM needs less than one second on a slow laptop.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

const KVM: &str = "/dev/kvm";

/// Chooses by booting `kernel` under KVM, for at most about `limit`, and remembers the choice.
///
/// An unusable KVM is a result; an unusable QEMU or kernel is an error. A kernel that hangs by
/// itself looks like a KVM that hangs, and yields [`Accel::Tcg`].
///
/// The result holds for this boot of this host, this `/dev/kvm` and this QEMU program, and for a
/// week. If KVM was not used for some minutes, it has to start a guest before it is believed to
/// work still, which takes a tenth of a second.
pub fn probe(
    qemu: &Path,
    kernel: &Path,
    memory: &mut Memory,
    limit: Duration,
) -> Result<ProbeResult, Error> {
    choose(&Device::at(Path::new(KVM)), qemu, kernel, memory, limit)
}

/// The choice that [`probe()`] remembers for a user who may open `/dev/kvm`, if it still holds.
/// Boots nothing and does not open the device.
pub fn remembered(qemu: &Path, memory: &Memory) -> Option<Probe> {
    let key = memory::key(&identity(Path::new(KVM), None), qemu).ok()?;
    memory.get(&key, SystemTime::now())
}

/// Forgets the choice that [`probe()`] remembers, so that the next call chooses anew.
pub fn forget(qemu: &Path, memory: &mut Memory) {
    if let Ok(key) = memory::key(&Device::at(Path::new(KVM)).identity, qemu) {
        memory.forget(&key);
    }
}

fn choose(
    device: &Device,
    qemu: &Path,
    kernel: &Path,
    memory: &mut Memory,
    limit: Duration,
) -> Result<ProbeResult, Error> {
    let key = memory::key(&device.identity, qemu)?;
    let now = SystemTime::now();
    if memory.is_doubtful(&key, now) {
        match Vm::start(&machine_under_kvm(qemu, kernel)?, drop) {
            Ok(_) => memory.confirm(&key, now),
            Err(_) => return choose_again(device, qemu, kernel, memory, limit),
        }
    }
    if let Some(probe) = memory.get(&key, now) {
        return Ok(ProbeResult { probe, is_new: false, replaced: None });
    }
    let (probe, holds) = match &device.refusal {
        Some(why) => (Probe { accel: Accel::Tcg, why: why.clone(), detail: None }, true),
        None => boot_under_kvm(qemu, kernel, limit)?,
    };
    if holds {
        memory.insert(key, probe.clone(), now);
    }
    Ok(ProbeResult { probe, is_new: true, replaced: None })
}

/// Chooses without the remembered choice, which no longer holds.
fn choose_again(
    device: &Device,
    qemu: &Path,
    kernel: &Path,
    memory: &mut Memory,
    limit: Duration,
) -> Result<ProbeResult, Error> {
    let forgotten = memory.forget(&memory::key(&device.identity, qemu)?);
    let chosen = choose(device, qemu, kernel, memory, limit)?;
    let differs = |accel: &Accel| *accel != chosen.probe.accel;
    Ok(ProbeResult { replaced: forgotten.map(|it| it.accel).filter(differs), ..chosen })
}

/// `/dev/kvm` as this user finds it.
struct Device {
    /// Changes with the device, and with what this user may do with it.
    identity: String,
    /// Why it cannot be opened.
    refusal: Option<String>,
}

impl Device {
    fn at(path: &Path) -> Self {
        let path_text = path.display();
        let refusal = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(_) => None,
            Err(error) => Some(match error.kind() {
                io::ErrorKind::NotFound => format!("no {path_text} on this host"),
                io::ErrorKind::PermissionDenied => {
                    format!("no permission to open {path_text} (join its group, usually `kvm`)")
                }
                _ => format!("cannot open {path_text}: {error}"),
            }),
        };
        Self { identity: identity(path, refusal.as_deref()), refusal }
    }
}

fn identity(device: &Path, refusal: Option<&str>) -> String {
    // devtmpfs makes a new inode when the KVM module is loaded again.
    let node = fs::metadata(device)
        .map_or(String::new(), |meta| format!("{}:{}:{}", meta.dev(), meta.ino(), meta.rdev()));
    format!("{} {node} {}", device.display(), refusal.unwrap_or_default()).trim_end().to_owned()
}

/// The choice that a boot under KVM leads to, and whether it is worth remembering.
fn boot_under_kvm(qemu: &Path, kernel: &Path, limit: Duration) -> Result<(Probe, bool), Error> {
    let machine = machine_under_kvm(qemu, kernel)?;
    let (ended, end) = mpsc::channel();
    let sink = move |event| {
        if let VmEvent::Ended(end) = event {
            // The receiver is gone once the limit has passed.
            let _ = ended.send(end);
        }
    };
    let began = Instant::now();
    let vm = match Vm::start(&machine, sink) {
        Ok(vm) => vm,
        Err(error) => return judge_refusal(error).map(|probe| (probe, true)),
    };
    let end = end.recv_timeout(limit.saturating_sub(began.elapsed()));
    drop(vm);
    // Someone at the keyboard ended the probe, which says nothing about KVM.
    let holds = !matches!(end, Ok(End::Killed));
    Ok((judge(end.ok(), began.elapsed(), limit), holds))
}

/// A machine whose guest powers off as soon as it reaches user space.
fn machine_under_kvm(qemu: &Path, kernel: &Path) -> Result<Machine, Error> {
    Ok(Machine {
        qemu: qemu.to_owned(),
        accel: Accel::Kvm,
        kernel: kernel.to_owned(),
        base: None,
        initramfs: power_off_at_once()?,
        append: {
            let mut parameters = machine::kernel_parameters(Accel::Kvm);
            parameters.push("quiet".into());
            parameters
        },
        memory_mib: 256,
        window: None,
        dump: None,
        gdb: None,
        console: ConsoleTo::Events,
    })
}

/// The choice after a QEMU that did not start. An error that KVM cannot have caused is passed on.
fn judge_refusal(error: Error) -> Result<Probe, Error> {
    let (how, detail) = match error {
        Error::NoAccelerator { status, said, .. } => match death(status) {
            Some(died) => (format!("QEMU {died} while starting"), words(status, &said)),
            None => ("QEMU refuses to use it".to_owned(), words(status, &said)),
        },
        // An assertion need not mention KVM. If it has nothing to do with it, QEMU fails again
        // without KVM, and that is reported.
        Error::EndedAtOnce { status, said, path } => match death(status) {
            Some(died) => (format!("QEMU {died} while starting"), words(status, &said)),
            None => return Err(Error::EndedAtOnce { status, said, path }),
        },
        // The ioctls of a KVM that hangs keep QEMU from answering.
        Error::NoAnswer { waited, .. } => {
            (format!("QEMU gave no answer for {} s", waited.as_secs()), None)
        }
        error => return Err(error),
    };
    Ok(unusable(&how, detail))
}

fn judge(end: Option<End>, took: Duration, limit: Duration) -> Probe {
    match end {
        // A kernel that reaches its own reset, say by a panic, has executed enough to trust KVM.
        Some(End::PoweredOff | End::Reset) => {
            let why = format!("KVM booted a kernel in {:.1} s", took.as_secs_f64());
            Probe { accel: Accel::Kvm, why, detail: None }
        }
        Some(End::Crashed { status, said }) => {
            let how = match death(status) {
                Some(died) => format!("QEMU {died} during a boot"),
                None => "QEMU gave up on it during a boot".to_owned(),
            };
            unusable(&how, words(status, &said))
        }
        Some(End::Killed) => {
            let why = "the probe of KVM was interrupted".to_owned();
            Probe { accel: Accel::Tcg, why, detail: None }
        }
        None => unusable(&format!("a boot took more than {:.1} s", limit.as_secs_f64()), None),
    }
}

fn unusable(how: &str, detail: Option<String>) -> Probe {
    let why = format!("KVM is there but cannot run a guest ({how})");
    Probe { accel: Accel::Tcg, why, detail }
}

/// How a signal ended QEMU, as a verb.
fn death(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(match Signal::try_from(number) {
        Ok(Signal::SIGABRT) => "aborted".to_owned(),
        Ok(signal) => format!("died of {signal}"),
        Err(_) => format!("died of signal {number}"),
    })
}

/// QEMU's exit and words.
fn words(status: ExitStatus, said: &str) -> Option<String> {
    Some(format!("{status}\n{}", said.trim()).trim().to_owned())
}

/// An initramfs whose `/init` is the smallest program that proves user space runs: it calls
/// `reboot(LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF)`.
fn power_off_at_once() -> Result<initramfs::Initramfs, Error> {
    #[rustfmt::skip]
    const CODE: [u8; 24] = [
        0xb8, 0xa9, 0x00, 0x00, 0x00, // mov eax, 169 (reboot)
        0xbf, 0xad, 0xde, 0xe1, 0xfe, // mov edi, 0xfee1dead
        0xbe, 0x69, 0x19, 0x12, 0x28, // mov esi, 0x28121969
        0xba, 0xdc, 0xfe, 0x21, 0x43, // mov edx, 0x4321fedc
        0x0f, 0x05, // syscall
        0xeb, 0xfe, // jmp to itself: the call does not return
    ];
    const BASE: u64 = 0x40_0000;
    const HEADERS: u16 = 64 + 56;
    let size = u64::from(HEADERS) + CODE.len() as u64;

    let mut elf = Vec::new();
    elf.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // 64 bits, little-endian
    elf.extend([2u16, 62].map(u16::to_le_bytes).concat()); // ET_EXEC, EM_X86_64
    elf.extend(1u32.to_le_bytes());
    elf.extend([BASE + u64::from(HEADERS), 64, 0].map(u64::to_le_bytes).concat()); // entry, phoff
    elf.extend(0u32.to_le_bytes());
    elf.extend([64u16, 56, 1, 0, 0, 0].map(u16::to_le_bytes).concat()); // one program header
    elf.extend([1u32, 5].map(u32::to_le_bytes).concat()); // PT_LOAD, read and execute
    elf.extend([0, BASE, BASE, size, size, 0x1000].map(u64::to_le_bytes).concat());
    elf.extend(CODE);

    initramfs::Builder::new().file("init", 0o755, elf).and_then(|archive| archive.build()).map_err(
        |error| Error::Setup { what: "write an initramfs", source: io::Error::other(error) },
    )
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;
    use std::process::Command;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    /// The wait status of a process that SIGABRT killed.
    const ABORTED: i32 = 6;

    fn crashed(status: i32, said: &str) -> Option<End> {
        Some(End::Crashed { status: ExitStatus::from_raw(status), said: said.into() })
    }

    #[rstest]
    #[case(Some(End::PoweredOff), Accel::Kvm, "KVM booted a kernel in 0.7 s")]
    #[case(Some(End::Reset), Accel::Kvm, "KVM booted a kernel in 0.7 s")]
    #[case(None, Accel::Tcg, "KVM is there but cannot run a guest (a boot took more than 5.0 s)")]
    #[case(
        crashed(0, "KVM internal error. Suberror: 1\nRAX=0"),
        Accel::Tcg,
        "KVM is there but cannot run a guest (QEMU gave up on it during a boot)"
    )]
    #[case(
        crashed(ABORTED, "kvm_buf_set_msrs: Assertion failed."),
        Accel::Tcg,
        "KVM is there but cannot run a guest (QEMU aborted during a boot)"
    )]
    #[case(Some(End::Killed), Accel::Tcg, "the probe of KVM was interrupted")]
    fn a_boot_under_kvm_decides(#[case] end: Option<End>, #[case] accel: Accel, #[case] why: &str) {
        let probe = judge(end, Duration::from_millis(700), Duration::from_secs(5));
        assert_eq!((probe.accel, probe.why.as_str()), (accel, why));
    }

    /// A program in QEMU's place that counts its starts and then ends as `ending` says.
    struct FakeQemu {
        folder: TempDir,
        memory: RefCell<Memory>,
    }

    impl FakeQemu {
        fn new(ending: &str) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let this = Self { folder, memory: RefCell::default() };
            fs::write(this.device(), "").expect("a file in the device's place");
            this.replace(ending);
            this
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn device(&self) -> PathBuf {
            self.path("kvm")
        }

        /// Installs it, as an upgrade of QEMU does. Another process writes the program: a
        /// descriptor that a fork of this one still had open would make exec fail with ETXTBSY.
        fn replace(&self, ending: &str) {
            let starts = self.path("starts");
            let script = format!("#!/bin/sh\necho . >> {}\n{ending}\n", starts.display());
            fs::write(self.path("script"), script).expect("a script");
            let mut install = Command::new("install");
            install.arg("-m755").args([self.path("script"), self.path("qemu")]);
            assert!(install.status().expect("install starts").success());
        }

        fn starts(&self) -> usize {
            fs::read_to_string(self.path("starts")).unwrap_or_default().lines().count()
        }

        fn choose(&self) -> Result<ProbeResult, Error> {
            let (device, qemu) = (Device::at(&self.device()), self.path("qemu"));
            let mut memory = self.memory.borrow_mut();
            choose(&device, &qemu, Path::new("kernel"), &mut memory, TIME_LIMIT)
        }

        /// Remembers that KVM worked this long ago.
        fn worked(&self, ago: Duration) {
            let key = memory::key(&Device::at(&self.device()).identity, &self.path("qemu"));
            let probe = Probe { accel: Accel::Kvm, why: "it worked".to_owned(), detail: None };
            let mut memory = self.memory.borrow_mut();
            memory.insert(key.expect("a key"), probe, SystemTime::now() - ago);
        }
    }

    const ABORT: &str = "echo 'x.c:1: kvm_set_msrs: Assertion failed.' >&2\nkill -ABRT $$";

    #[test]
    fn an_abort_is_one_line_and_is_remembered() {
        let qemu = FakeQemu::new(ABORT);
        let first = qemu.choose().expect("a result");
        assert_eq!(
            first.probe.why,
            "KVM is there but cannot run a guest (QEMU aborted while starting)"
        );
        assert!(first.probe.detail.as_ref().is_some_and(|text| text.contains("Assertion failed")));
        assert!(first.is_new);
        let second = qemu.choose().expect("a result");
        assert_eq!(second, ProbeResult { is_new: false, ..first });
        assert_eq!(qemu.starts(), 1);
    }

    #[test]
    fn another_qemu_is_probed_again() {
        let qemu = FakeQemu::new(ABORT);
        assert!(qemu.choose().expect("a result").is_new);
        qemu.replace("echo 'could not access KVM kernel module' >&2\nexit 1");
        let answer = qemu.choose().expect("a result");
        assert_eq!(
            (answer.is_new, answer.probe.why.as_str()),
            (true, "KVM is there but cannot run a guest (QEMU refuses to use it)")
        );
        assert_eq!(qemu.starts(), 2);
    }

    #[test]
    fn another_device_is_probed_again() {
        let qemu = FakeQemu::new(ABORT);
        assert!(qemu.choose().expect("a result").is_new);
        // The old one keeps its inode, as a device node in use does.
        fs::rename(qemu.device(), qemu.path("old")).expect("a renamed file");
        fs::write(qemu.device(), "").expect("a file in the device's place");
        assert!(qemu.choose().expect("a result").is_new);
        assert_eq!(qemu.starts(), 2);
    }

    #[test]
    fn a_missing_device_starts_nothing_and_is_new_once() {
        let qemu = FakeQemu::new(ABORT);
        fs::remove_file(qemu.device()).expect("a removed file");
        let answer = qemu.choose().expect("a result");
        assert!(answer.is_new && answer.probe.why.starts_with("no /"), "{answer:?}");
        assert!(!qemu.choose().expect("a result").is_new);
        assert_eq!(qemu.starts(), 0);
        fs::write(qemu.device(), "").expect("a file in the device's place");
        assert!(qemu.choose().expect("a result").is_new);
        assert_eq!(qemu.starts(), 1);
    }

    #[test]
    fn a_kvm_that_worked_lately_is_believed() {
        let qemu = FakeQemu::new(ABORT);
        qemu.worked(Duration::from_secs(1));
        let answer = qemu.choose().expect("a result");
        assert_eq!((answer.is_new, answer.probe.accel), (false, Accel::Kvm));
        assert_eq!(qemu.starts(), 0);
    }

    #[test]
    fn a_kvm_that_no_longer_works_is_found_out_and_the_result_is_remembered() {
        let qemu = FakeQemu::new(ABORT);
        qemu.worked(Duration::from_secs(60 * 60));
        let answer = qemu.choose().expect("a result");
        assert_eq!((answer.is_new, answer.probe.accel), (true, Accel::Tcg));
        assert_eq!(answer.replaced, Some(Accel::Kvm));
        let starts = qemu.starts();
        let answer = qemu.choose().expect("a result");
        assert_eq!((answer.is_new, answer.probe.accel), (false, Accel::Tcg));
        assert_eq!(qemu.starts(), starts);
    }

    #[test]
    fn a_qemu_that_fails_without_kvms_help_is_an_error() {
        let qemu = FakeQemu::new("echo 'no such machine' >&2\nexit 1");
        let error = qemu.choose().expect_err("no result");
        assert!(matches!(error, Error::EndedAtOnce { .. }), "{error:?}");
        assert_eq!(*qemu.memory.borrow(), Memory::default());
    }
}
