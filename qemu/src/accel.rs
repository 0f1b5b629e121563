//! Who executes the guest's instructions, and whether KVM can be trusted with it.
//!
//! That `/dev/kvm` can be opened says little: on nested or emulated hosts it may execute a guest
//! at a crawl, hang, or stop at an instruction that it cannot emulate. So the probe boots the very
//! kernel that is to be tested up to the first system call of the first process, in limited time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{ConsoleTo, End, Error, Machine, Vm, VmEvent, initramfs, machine};

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// The host's CPU, through `/dev/kvm`.
    Kvm,
    /// QEMU's translator: works everywhere, and is many times slower.
    Tcg,
}

impl Accel {
    /// Every value, for a command line's list of choices.
    pub const ALL: [Self; 2] = [Self::Kvm, Self::Tcg];

    /// The name that QEMU and people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }

    /// The CPU model to go with it.
    pub(crate) fn cpu(self) -> &'static str {
        match self {
            // Whatever the host has, so nothing needs to be emulated.
            Self::Kvm => "host",
            // Everything the translator can do: the default, qemu64, lacks instructions that
            // user space of this decade may be compiled for.
            Self::Tcg => "max",
        }
    }
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown accelerator `{0}`: it is `kvm` or `tcg`")]
pub struct UnknownAccel(String);

impl FromStr for Accel {
    type Err = UnknownAccel;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|a| a.as_str() == s).ok_or_else(|| UnknownAccel(s.to_owned()))
    }
}

/// A choice of accelerator with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What to use on this host.
    pub accel: Accel,
    /// Why, as a clause for a person: "no /dev/kvm on this host".
    pub why: String,
}

/// A time limit for [`probe`]: a sound KVM needs less than one second on a slow laptop.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

const KVM: &str = "/dev/kvm";

/// Chooses by booting `kernel` under KVM, for at most about `limit`.
///
/// An unusable KVM is an answer; an unusable QEMU or kernel is an error. A kernel that hangs by
/// itself cannot be told from a KVM that hangs, and yields [`Accel::Tcg`].
pub fn probe(qemu: &Path, kernel: &Path, limit: Duration) -> Result<Probe, Error> {
    match may_open_kvm() {
        Ok(()) => boot_under_kvm(qemu, kernel, limit),
        Err(probe) => Ok(probe),
    }
}

/// As [`probe`], but remembers in the file `cache` what a boot has shown.
///
/// The memory holds for this host, the kernel it runs, and this QEMU binary. Whether `/dev/kvm`
/// may be opened is looked at every time. A file that cannot be read is written anew; one that
/// cannot be written costs a probe per run, and the reason says so.
pub fn probe_cached(
    qemu: &Path,
    kernel: &Path,
    cache: &Path,
    limit: Duration,
) -> Result<Probe, Error> {
    if let Err(probe) = may_open_kvm() {
        return Ok(probe);
    }
    let key = key(&host(), qemu)?;
    let mut memory = Memory::read(cache);
    if let Some(probe) = memory.probes.get(&key) {
        return Ok(probe.clone());
    }
    let mut probe = boot_under_kvm(qemu, kernel, limit)?;
    memory.probes.insert(key, probe.clone());
    if let Err(error) = memory.write(cache) {
        probe.why += &format!(" (could not be remembered in {}: {error})", cache.display());
    }
    Ok(probe)
}

fn may_open_kvm() -> Result<(), Probe> {
    let why = match OpenOptions::new().read(true).write(true).open(KVM) {
        Ok(_) => return Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => format!("no {KVM} on this host"),
            io::ErrorKind::PermissionDenied => {
                format!("no permission to open {KVM} (join its group, usually `kvm`)")
            }
            _ => format!("{KVM} cannot be opened: {error}"),
        },
    };
    Err(Probe { accel: Accel::Tcg, why })
}

fn boot_under_kvm(qemu: &Path, kernel: &Path, limit: Duration) -> Result<Probe, Error> {
    let machine = Machine {
        qemu: qemu.to_owned(),
        accel: Accel::Kvm,
        kernel: kernel.to_owned(),
        initramfs: power_off_at_once()?,
        append: {
            let mut parameters = machine::kernel_parameters(Accel::Kvm);
            parameters.push("quiet".into());
            parameters
        },
        memory_mib: 256,
        window: None,
        console: ConsoleTo::Events,
    };
    let (ended, end) = mpsc::channel();
    let sink = move |event| {
        if let VmEvent::Ended(end) = event {
            // The receiver is gone once the limit has passed.
            let _ = ended.send(end);
        }
    };
    let began = std::time::Instant::now();
    let vm = match Vm::start(&machine, sink) {
        Ok(vm) => vm,
        Err(Error::NoAccelerator { said, .. }) => {
            return Ok(Probe { accel: Accel::Tcg, why: format!("KVM refuses: {}", said.trim()) });
        }
        Err(error) => return Err(error),
    };
    let end = end.recv_timeout(limit.saturating_sub(began.elapsed()));
    drop(vm);
    Ok(judge(end.ok(), began.elapsed(), limit))
}

fn judge(end: Option<End>, took: Duration, limit: Duration) -> Probe {
    let (accel, why) = match end {
        // A kernel that reaches its own reset, say by a panic, has executed enough to trust KVM.
        Some(End::PoweredOff | End::Reset) => {
            (Accel::Kvm, format!("KVM booted a kernel in {:.1} s", took.as_secs_f64()))
        }
        Some(End::Crashed { said, .. }) => {
            let said = said.lines().next().unwrap_or("QEMU died");
            (Accel::Tcg, format!("{KVM} exists, but a boot under it failed: {said}"))
        }
        Some(End::Killed) => (Accel::Tcg, "the probe of KVM was interrupted".into()),
        None => {
            let limit = limit.as_secs_f64();
            (Accel::Tcg, format!("{KVM} exists, but a boot under it took more than {limit:.1} s"))
        }
    };
    Probe { accel, why }
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

/// What the cache file holds. A version that this program does not know is forgotten.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    version: u32,
    /// By [`key`]: a home directory may be shared by several hosts.
    probes: BTreeMap<String, Probe>,
}

impl Memory {
    const VERSION: u32 = 1;

    fn read(path: &Path) -> Self {
        fs::read(path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|memory| memory.version == Self::VERSION)
            .unwrap_or(Self { version: Self::VERSION, probes: BTreeMap::new() })
    }

    /// In one step, because a second perfsec may read or write it at the same time.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.persist(path)?;
        Ok(())
    }
}

/// This host, its kernel and its CPU.
fn host() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let cpu = cpuinfo.lines().find_map(|line| line.strip_prefix("model name\t: "));
    // Clones of an image share the machine id, containers of a host its kernel: together they
    // say enough.
    [
        read("/etc/machine-id").trim(),
        read("/proc/sys/kernel/hostname").trim(),
        read("/proc/sys/kernel/osrelease").trim(),
        cpu.unwrap_or_default(),
    ]
    .join(" ")
}

/// A QEMU is its file: asking it for its version would cost more than reading the cache saves.
fn key(host: &str, qemu: &Path) -> Result<String, Error> {
    let file = find(qemu)?;
    let meta = File::open(&file).and_then(|file| file.metadata());
    let meta = meta.map_err(|_| Error::NotExecutable { path: file.clone() })?;
    let changed = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    let changed = changed.unwrap_or_default().as_nanos();
    Ok(format!("{host} {} {} {changed}", file.display(), meta.len()))
}

/// Where the program is, by the rules of execvp(3).
fn find(program: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::NoProgram { path: program.to_owned() };
    if program.components().count() > 1 {
        return program.canonicalize().map_err(|_| missing());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .and_then(|file| file.canonicalize().ok())
        .ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("kvm", Ok(Accel::Kvm))]
    #[case("tcg", Ok(Accel::Tcg))]
    #[case("KVM", Err(UnknownAccel("KVM".into())))]
    #[case("", Err(UnknownAccel("".into())))]
    fn an_accelerator_is_known_by_its_name(
        #[case] name: &str,
        #[case] expected: Result<Accel, UnknownAccel>,
    ) {
        assert_eq!(name.parse(), expected);
    }

    #[rstest]
    #[case(Some(End::PoweredOff), Accel::Kvm, "KVM booted a kernel in 0.7 s")]
    #[case(Some(End::Reset), Accel::Kvm, "KVM booted a kernel in 0.7 s")]
    #[case(None, Accel::Tcg, "/dev/kvm exists, but a boot under it took more than 5.0 s")]
    #[case(
        Some(End::Crashed { status: ExitStatus::from_raw(0), said: "KVM internal error. Suberror: 1\nRAX=0".into() }),
        Accel::Tcg,
        "/dev/kvm exists, but a boot under it failed: KVM internal error. Suberror: 1"
    )]
    fn a_boot_under_kvm_decides(#[case] end: Option<End>, #[case] accel: Accel, #[case] why: &str) {
        let probe = judge(end, Duration::from_millis(700), Duration::from_secs(5));
        assert_eq!(probe, Probe { accel, why: why.into() });
    }

    #[test]
    fn what_was_written_is_remembered_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("not/yet/there.json");
        let probe = Probe { accel: Accel::Tcg, why: "because".into() };
        let mut memory = Memory::read(&file);
        memory.probes.insert("here".into(), probe.clone());
        memory.write(&file).expect("a written file");

        assert_eq!(Memory::read(&file).probes.get("here"), Some(&probe));
        assert_eq!(Memory::read(&file).probes.get("there"), None);
        let left = fs::read_dir(file.parent().expect("a parent")).expect("the folder").count();
        assert_eq!(left, 1, "temporary files stayed behind");
    }

    #[rstest]
    #[case("")]
    #[case("{")]
    #[case(r#"{"version":2,"probes":{"here":{"accel":"kvm","why":"later"}}}"#)]
    #[case(r#"{"version":1,"probes":{"here":{"accel":"hvf","why":"elsewhere"}}}"#)]
    fn a_file_of_another_kind_is_forgotten(#[case] content: &str) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), content).expect("a written file");
        assert_eq!(Memory::read(file.path()).probes, BTreeMap::new());
    }

    #[test]
    fn another_host_or_another_qemu_is_another_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let qemu = folder.path().join("qemu");
        fs::write(&qemu, "1").expect("a written file");
        let first = key("here", &qemu).expect("a key");
        assert_eq!(key("here", &qemu).expect("a key"), first);
        assert_ne!(key("there", &qemu).expect("a key"), first);
        fs::write(&qemu, "22").expect("a written file");
        assert_ne!(key("here", &qemu).expect("a key"), first);
    }

    #[rstest]
    #[case("no-such-program-of-perfsec")]
    #[case("/no/such/folder/qemu")]
    fn a_missing_qemu_is_an_error_and_not_a_choice(#[case] qemu: &str) {
        let error = key("here", Path::new(qemu));
        assert!(matches!(error, Err(Error::NoProgram { .. })), "{error:?}");
    }
}
