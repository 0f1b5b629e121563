//! Boots the kernel under test in QEMU.

mod dumps;
mod snapshots;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::sys::signal::Signal;
pub use perfsec_qemu::Accel;
use perfsec_qemu::accel::{Probe, ProbeResult};
use perfsec_qemu::{ConsoleTo, Machine, Vm, VmEvent, accel, machine};
use perfsec_wire::console::ConsoleParameter;
use perfsec_wire::frame::FrameError;
use perfsec_wire::{BootMode, Message, Order, paths, window};

use dumps::{DumpError, Dumps};
use snapshots::{Saving, Snapshots};

use super::channel::Channel;
use super::shared_console::SharedConsole;
use super::{
    Blame, CannotBoot, End, Guest, GuestProgram, GuestSystem, Incident, Load, MachineError,
    Machinery, Pool, Sink, Traffic, initramfs, parameters,
};
use crate::cache::{Cache, Room};
use crate::guest::GuestImage;
use crate::kernel::Kernel;

/// The QEMU program for x86-64 guests.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Guest memory in MiB: three times what a stock kernel needs to unpack itself and run a lane.
const MEMORY_MIB: u32 = 512;

/// The same of a guest with a system of its own, whose files are in memory, and twice while they
/// are unpacked.
pub const GUEST_SYSTEM_MIB: u32 = 2048;

/// The name of the entry that remembers the results of probes.
const PROBE: &str = "probe";

/// The user's options for QEMU.
#[derive(Clone, Debug)]
pub struct QemuOptions {
    /// The program.
    pub program: PathBuf,
    /// The acceleration; probed and remembered if `None`.
    pub accel: Option<Accel>,
    /// More kernel parameters.
    pub append: Vec<String>,
    /// Programs to put into guests.
    pub programs: Vec<GuestProgram>,
    /// The system that kernels are booted with; `None` for the agent alone.
    pub guest: Option<GuestImage>,
    /// The directory for the memory of guests that die; `None` if nobody wants it.
    pub dumps: Option<PathBuf>,
    /// The socket on which gdb attaches to guests, which wait for it. One guest at a time.
    pub gdb: Option<PathBuf>,
    /// Give guests one serial port for the console and the agent, and no shared memory, as most
    /// real machines have it. Such guests are never saved.
    pub one_port: bool,
}

impl Default for QemuOptions {
    fn default() -> Self {
        let (append, programs) = (Vec::new(), Vec::new());
        Self {
            program: PathBuf::from(PROGRAM),
            accel: None,
            append,
            programs,
            guest: None,
            dumps: None,
            gdb: None,
            one_port: false,
        }
    }
}

/// As many virtual machines as memory allows.
#[derive(Debug)]
pub struct QemuPool {
    program: PathBuf,
    /// Its version, in its own words.
    version: String,
    /// Set by the user, or by the first kernel that was tried.
    accel: OnceLock<Choice>,
    append: Vec<String>,
    programs: Vec<GuestProgram>,
    guest: Option<GuestImage>,
    dumps: Option<Dumps>,
    gdb: Option<PathBuf>,
    one_port: bool,
    /// Of all guests with one port that have ended.
    traffic: Arc<Mutex<Traffic>>,
    cache: Cache,
    snapshots: Snapshots,
}

/// The accelerator of a pool.
#[derive(Clone, Copy, Debug)]
struct Choice {
    accel: Accel,
    /// True if the user did not choose it.
    probed: bool,
}

/// An error on the way to a booted virtual machine.
#[derive(Debug, thiserror::Error)]
enum QemuError {
    #[error(transparent)]
    Start(#[from] perfsec_qemu::Error),
    #[error("run {program} (`perfsec doctor` says how to install it)", program = .program.display())]
    NoProgram { program: PathBuf, source: io::Error },
    #[error("run {program}: it says {said:?}", program = .program.display())]
    BadProgram { program: PathBuf, said: String },
    #[error("boot {release} in QEMU: its image is not on this host")]
    NoImage { release: String },
    #[error(
        "use KVM, which worked before: that is forgotten now ({memory}), and the next run tries it \
         anew",
        memory = .memory.display()
    )]
    Forgotten { memory: PathBuf, source: perfsec_qemu::Error },
    #[error(
        "boot {image}: it is no longer what perfsec put into its cache, and is deleted; the next \
         run makes it again",
        image = .image.display()
    )]
    Damaged { image: PathBuf },
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error("{doing}")]
    Setup { doing: &'static str, source: io::Error },
}

impl From<QemuError> for MachineError {
    fn from(error: QemuError) -> Self {
        use perfsec_qemu::Error;

        let blame = match &error {
            QemuError::Start(Error::KernelRejected { .. }) => Blame::Kernel,
            QemuError::Start(Error::EndedAtOnce { .. } | Error::NoAnswer { .. }) => Blame::Machine,
            _ => Blame::Host,
        };
        Self::new(blame, error)
    }
}

/// A virtual machine that runs.
struct Running {
    // Declared first, so dropped first: the machine has ended when a snapshot is completed.
    vm: Vm,
    channel: Line,
    sink: Sink,
    /// The file for its memory, if that is wanted.
    dump: Option<PathBuf>,
    snapshots: Snapshots,
    /// The key of the snapshot that it was restored from, or can be saved as.
    key: String,
    restored: bool,
    saving: Option<Saving>,
}

/// The channel to a guest's agent.
enum Line {
    Own(Channel),
    Console { console: SharedConsole, total: Arc<Mutex<Traffic>> },
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Console { console, total } = self {
            let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
            *total = total.plus(console.traffic());
        }
    }
}

impl QemuPool {
    /// Looks for the program.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn open(options: QemuOptions, cache: &Cache) -> Result<Self, MachineError> {
        let QemuOptions { program, accel, append, programs, guest, dumps, gdb, one_port } = options;
        let version = version(&program)?;
        let dumps = dumps.as_deref().map(Dumps::open).transpose().map_err(QemuError::from)?;
        let given = accel.map(|accel| Choice { accel, probed: false });
        let accel = given.map(OnceLock::from).unwrap_or_default();
        let snapshots = Snapshots::new(cache.clone(), &version);
        let cache = cache.clone();
        Ok(Self {
            program,
            version,
            accel,
            append,
            programs,
            guest,
            dumps,
            gdb,
            one_port,
            traffic: Arc::default(),
            cache,
            snapshots,
        })
    }

    /// The amount of data on the consoles of all guests with one port that have ended.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        *self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accel(&self) -> Accel {
        self.accel.get().map_or(Accel::Tcg, |choice| choice.accel)
    }

    /// The error of a machine that did not start. If KVM is to blame, although it worked before,
    /// that is forgotten.
    fn refused(&self, error: perfsec_qemu::Error) -> QemuError {
        use perfsec_qemu::Error::{EndedAtOnce, NoAccelerator, NoAnswer};

        let probed = self.accel.get().is_some_and(|it| it.probed && it.accel == Accel::Kvm);
        if !probed || !matches!(error, NoAccelerator { .. } | EndedAtOnce { .. } | NoAnswer { .. })
        {
            return error.into();
        }
        let mut memory = probe_memory(&self.cache);
        accel::forget(&self.program, &mut memory);
        // Otherwise KVM is doubted in some minutes.
        let _ = self.cache.publish(Room::ACCEL, PROBE, memory.text().as_bytes());
        QemuError::Forgotten { memory: self.cache.file(Room::ACCEL, PROBE), source: error }
    }

    fn parameters(&self, mode: BootMode) -> Vec<String> {
        let mut parameters = machine::kernel_parameters(self.accel());
        parameters.extend(parameters::of_lane(mode));
        parameters.extend(self.guest.iter().flat_map(|_| parameters::of_system()));
        parameters.extend(self.append.iter().cloned());
        parameters
    }

    /// The kernel's image. One in the cache must still be what was put there.
    fn image<'a>(&self, kernel: &'a Kernel) -> Result<&'a Path, QemuError> {
        let missing = || QemuError::NoImage { release: kernel.release.clone() };
        let image = kernel.image.as_ref().map(|image| image.path.as_path()).ok_or_else(missing)?;
        if self.cache.vouches_for(image) {
            Ok(image)
        } else {
            Err(QemuError::Damaged { image: image.to_owned() })
        }
    }

    /// The archive of the guest system, if there is one. It must still be what was put in the
    /// cache.
    fn base(&self) -> Result<Option<PathBuf>, QemuError> {
        let Some(GuestImage { archive, .. }) = &self.guest else { return Ok(None) };
        match self.cache.vouches_for(archive) {
            true => Ok(Some(archive.clone())),
            false => Err(QemuError::Damaged { image: archive.clone() }),
        }
    }

    /// The accelerator for guests on this host: probed by booting `kernel`, and remembered. `say`
    /// gets the notice of emulation if it is new.
    fn probe(&self, kernel: &Kernel, say: &dyn Fn(&str)) -> Result<Accel, QemuError> {
        let before = probe_memory(&self.cache);
        let mut memory = before.clone();
        let image = self.image(kernel)?;
        let answer = accel::probe(&self.program, image, &mut memory, accel::TIME_LIMIT)?;
        if let Some(notice) = emulation_notice(&answer) {
            say(&notice);
        }
        if memory != before {
            // Without the memory, the next run probes again.
            let _ = self.cache.publish(Room::ACCEL, PROBE, memory.text().as_bytes());
        }
        Ok(answer.probe.accel)
    }

    fn machine(
        &self,
        kernel: &Kernel,
        mode: BootMode,
        load: &Load,
        shell: Option<Vec<u8>>,
    ) -> Result<Machine, QemuError> {
        let programs = self.programs.iter().map(|it| (it.path(), it.content()));
        let shell = shell.as_deref().map(|content| (paths::SHELL.to_owned(), content));
        let initramfs = initramfs::pack(load, programs.chain(shell))
            .map_err(|source| QemuError::Setup { doing: "write the initramfs", source })?;
        Ok(Machine {
            qemu: self.program.clone(),
            accel: self.accel(),
            kernel: self.image(kernel)?.to_owned(),
            base: self.base()?,
            initramfs,
            append: [self.parameters(mode), kernel.parameters.clone()].concat(),
            memory_mib: if self.guest.is_some() { GUEST_SYSTEM_MIB } else { MEMORY_MIB },
            window: Some(window::SIZE as u64),
            dump: None,
            gdb: None,
            console: ConsoleTo::Events,
        })
    }
}

impl QemuPool {
    /// Boots a guest whose agent shares the console with its kernel.
    fn boot_with_one_port(&self, machine: Machine, sink: Sink) -> Result<Running, QemuError> {
        let parameter = ConsoleParameter { device: "ttyS0".to_owned(), session: fastrand::u32(..) };
        let mut machine = Machine { window: None, console: ConsoleTo::Channel, ..machine };
        machine.append.push(parameter.to_string());
        let dump = machine.dump.clone();
        let vm = Vm::start(&machine, teller(&sink, dump.as_deref()));
        let mut vm = vm.map_err(|error| self.refused(error))?;
        let setup = |source| QemuError::Setup { doing: "talk to the agent", source };
        let gone = || io::Error::other("the channel is in use");
        let port = vm.channel().ok_or_else(gone).map_err(setup)?;
        let output = port.try_clone().map_err(setup)?;
        let (screen, reports) = (sink.clone(), sink.clone());
        let channel = SharedConsole::open(
            port,
            output,
            parameter.session,
            move |text| screen.print(text),
            move |incident| reports.report(incident),
        );
        let console = channel.map_err(setup)?;
        let channel = Line::Console { console, total: Arc::clone(&self.traffic) };
        let (snapshots, key) = (self.snapshots.clone(), String::new());
        let (restored, saving) = (false, None);
        Ok(Running { vm, channel, sink, dump, snapshots, key, restored, saving })
    }
}

/// Passes on the events of a machine, whose memory goes to the file `dump`.
fn teller(sink: &Sink, dump: Option<&Path>) -> impl Fn(VmEvent) + Send + Clone + 'static {
    let (events, file) = (sink.clone(), dump.map(Path::to_owned).unwrap_or_default());
    move |event| match event {
        VmEvent::Console(bytes) => events.print(&bytes),
        VmEvent::Dumped(result) => drop(events.report(dumps::incident(&file, result))),
        // Whoever no longer listens drops the machine next.
        VmEvent::Ended(end) => drop(events.report(Incident::Ended(convert_end(end)))),
    }
}

impl Pool for QemuPool {
    fn prepare(&self, kernel: &Kernel, say: &dyn Fn(&str)) -> Result<(), MachineError> {
        if self.accel.get().is_none() {
            let accel = self.probe(kernel, say)?;
            // Another thread that was faster found the same.
            let _ = self.accel.set(Choice { accel, probed: true });
        }
        Ok(())
    }

    fn describe(&self, mode: BootMode) -> Machinery {
        Machinery {
            machine: self.version.clone(),
            accel: self.accel().to_string(),
            parameters: self.parameters(mode).join(" "),
            system: self.guest.as_ref().map(|image| GuestSystem {
                name: image.name.clone(),
                sha256: image.sha256.clone(),
            }),
            host: None,
        }
    }

    fn has_system(&self) -> bool {
        self.guest.is_some()
    }

    fn can(&self, mode: BootMode) -> Result<(), CannotBoot> {
        let why = match (mode, &self.guest) {
            (_, None) | (BootMode::Selinux | BootMode::NoFileCaps, Some(_)) => return Ok(()),
            (BootMode::NoPolicy | BootMode::NoSelinux, _) => "loads a policy",
            (BootMode::NoAudit | BootMode::AuditUnset, _) => "enables audit",
        };
        Err(CannotBoot(format!("runs a system that {why}")))
    }

    fn boot(
        &self,
        kernel: &Kernel,
        mode: BootMode,
        load: &Load,
        cold: bool,
        sink: Sink,
    ) -> Result<Box<dyn Guest>, MachineError> {
        let mut machine = self.machine(kernel, mode, load, None)?;
        machine.dump = self.dumps.as_ref().map(|dumps| dumps.next(&kernel.release));
        machine.gdb.clone_from(&self.gdb);
        let dump = machine.dump.clone();
        if self.one_port {
            return Ok(Box::new(self.boot_with_one_port(machine, sink)?));
        }
        let key = self.snapshots.key(kernel.identity(), self.guest.as_ref(), &machine);
        let saved = if cold { None } else { self.snapshots.open(&key) };
        let tell = teller(&sink, dump.as_deref());
        let restored = saved.and_then(|state| {
            let vm = Vm::restore(&machine, state, tell.clone());
            // The next boot saves another.
            vm.inspect_err(|_| self.snapshots.remove(&key)).ok()
        });
        let (mut vm, restored) = match restored {
            Some(vm) => (vm, true),
            None => (Vm::start(&machine, tell).map_err(|error| self.refused(error))?, false),
        };
        let reports = sink.clone();
        let channel = open_channel(&mut vm, move |incident| reports.report(incident))?;
        let (snapshots, saving) = (self.snapshots.clone(), None);
        let channel = Line::Own(channel);
        Ok(Box::new(Running { vm, channel, sink, dump, snapshots, key, restored, saving }))
    }

    fn shell(
        &self,
        kernel: &Kernel,
        load: &Load,
        shell: Option<Vec<u8>>,
        listener: Box<dyn Fn(Message) + Send>,
    ) -> Result<End, MachineError> {
        let mut machine = self.machine(kernel, load.lane.boot, load, shell)?;
        machine.console = ConsoleTo::Terminal;
        let (sink, events) = std::sync::mpsc::channel();
        let vm = Vm::start(&machine, move |event| drop(sink.send(event)));
        let mut vm = vm.map_err(|error| self.refused(error))?;
        let lane = load.lane.clone();
        let (asks, asked) = std::sync::mpsc::channel();
        let mut channel = open_channel(&mut vm, move |incident| {
            let Incident::Message(message) = incident else { return true };
            let order = match &message {
                Message::Parked => {
                    Some(Order::Begin { lane: lane.clone(), nonce: 0, kernel_config: false })
                }
                Message::Ready { .. } => Some(Order::Shell),
                _ => None,
            };
            listener(message);
            order.into_iter().for_each(|order| drop(asks.send(order)));
            true
        })?;
        // The thread that reads the channel drops its end when the machine ends.
        for order in asked {
            // A machine that cannot be reached is ending, which the events tell.
            let _ = channel.send(&order);
        }
        let end = events.iter().find_map(|event| match event {
            VmEvent::Ended(end) => Some(end),
            VmEvent::Console(_) | VmEvent::Dumped(_) => None,
        });
        Ok(end.map_or(End::Killed, convert_end))
    }
}

/// The first line of what a QEMU program prints for `--version`.
fn version(program: &Path) -> Result<String, QemuError> {
    let missing = |source| QemuError::NoProgram { program: program.to_owned(), source };
    let output = Command::new(program).arg("--version").output().map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().filter(|_| output.status.success());
    first.map(str::to_owned).ok_or_else(|| QemuError::BadProgram {
        program: program.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// The result of an earlier probe that still holds. Starts nothing.
#[must_use]
pub fn remembered_probe(program: &Path, cache: &Cache) -> Option<Probe> {
    accel::remembered(program, &probe_memory(cache))
}

/// The line that tells the user about emulation, unless an earlier run printed it.
fn emulation_notice(answer: &ProbeResult) -> Option<String> {
    let probe = &answer.probe;
    let more = probe.detail.as_ref().map_or("", |_| " (details: `perfsec doctor`)");
    let change = answer.replaced.map_or("", |_| ", which worked before");
    (answer.is_new && probe.accel == Accel::Tcg)
        .then(|| format!("{}{change}; using emulation{more}", probe.why))
}

/// The reason why this QEMU could not save a guest on this host, if it tried.
#[must_use]
pub fn refusal(program: &Path, cache: &Cache) -> Option<String> {
    snapshots::refusal(cache, &version(program).ok()?)
}

/// The results of earlier probes; none if the entry is damaged.
fn probe_memory(cache: &Cache) -> accel::Memory {
    let text = cache.read(Room::ACCEL, PROBE).unwrap_or_default();
    accel::Memory::parse(&text)
}

impl Guest for Running {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        match &mut self.channel {
            Line::Own(channel) => channel.send(order),
            Line::Console { console, .. } => console.send(order),
        }
    }

    fn snapshot(&self) -> Option<String> {
        self.restored.then(|| snapshots::display(&self.key))
    }

    fn save(&mut self) {
        if let Line::Own(_) = self.channel {
            self.saving = self.snapshots.save(&self.key, &self.vm);
        }
    }

    fn discard_snapshot(&mut self) {
        self.snapshots.remove(&self.key);
    }

    fn examine(&mut self) {
        if let Some(file) = &self.dump {
            self.sink.report(dumps::incident(file, self.vm.dump(file)));
        }
    }

    fn kill(&mut self) {
        self.vm.kill();
    }
}

fn open_channel(
    vm: &mut Vm,
    tell: impl Fn(Incident) -> bool + Send + 'static,
) -> Result<Channel, QemuError> {
    let setup = |source| QemuError::Setup { doing: "talk to the agent", source };
    let gone = || io::Error::other("the channel is in use");
    let port = vm.channel().ok_or_else(gone).map_err(setup)?;
    Channel::open(port, vm.window(), tell).map_err(setup)
}

fn convert_end(end: perfsec_qemu::End) -> End {
    match end {
        perfsec_qemu::End::PoweredOff => End::PoweredOff,
        perfsec_qemu::End::Reset => End::Rebooted,
        perfsec_qemu::End::Crashed { status, said } => {
            End::Crashed { detail: describe(status), said: said.trim().to_owned() }
        }
        perfsec_qemu::End::Killed => End::Killed,
    }
}

/// Describes QEMU's exit status, as a clause.
fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(number), _) => {
            let name = Signal::try_from(number).map_or("", |signal| signal.as_str());
            let separator = if name.is_empty() { "" } else { ", " };
            format!("QEMU was killed by a signal ({number}{separator}{name})")
        }
        // It says why.
        (None, Some(0) | None) => "QEMU failed".to_owned(),
        (None, Some(code)) => format!("QEMU exited with status {code}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;
    use crate::cache::spoil;
    use crate::kernel::{Arch, EntryPoint, KernelImage, KernelVersion, Origin};

    /// A pool whose QEMU ends at once, and which remembers what a probe found.
    fn pool(choice: Choice) -> (TempDir, QemuPool) {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let (script, program) = (directory.path().join("script"), directory.path().join("qemu"));
        let text = "#!/bin/sh\n[ \"$1\" = --version ] && echo QEMU 7.2 && exit\nkill -ABRT $$\n";
        std::fs::write(&script, text).unwrap();
        // Another process writes the program: exec of one that a fork still has open fails.
        let install = Command::new("install").arg("-m755").args([&script, &program]).status();
        assert!(install.unwrap().success());
        let mut memory = accel::Memory::default();
        accel::probe(&program, Path::new("kernel"), &mut memory, accel::TIME_LIMIT).unwrap();
        cache.publish(Room::ACCEL, PROBE, memory.text().as_bytes()).unwrap();
        let options = QemuOptions { program, ..QemuOptions::default() };
        let pool = QemuPool::open(options, &cache).unwrap();
        pool.accel.set(choice).unwrap();
        (directory, pool)
    }

    #[rstest]
    #[case::probed(Accel::Kvm, true, true)]
    #[case::the_users_choice(Accel::Kvm, false, false)]
    #[case::emulation(Accel::Tcg, true, false)]
    fn a_probed_kvm_that_starts_nothing_is_forgotten(
        #[case] accel: Accel,
        #[case] probed: bool,
        #[case] is_forgotten: bool,
    ) {
        let (_directory, pool) = pool(Choice { accel, probed });
        let waited = Duration::from_secs(1);
        let error = pool.refused(perfsec_qemu::Error::NoAnswer { path: PROGRAM.into(), waited });
        assert_eq!(probe_memory(&pool.cache) == accel::Memory::default(), is_forgotten);
        let names_the_file = error.to_string().contains("accel/probe");
        assert_eq!(names_the_file, is_forgotten, "{error}");
    }

    #[test]
    fn a_kernel_that_was_changed_in_the_cache_is_not_booted() {
        let (_directory, pool) = pool(Choice { accel: Accel::Tcg, probed: false });
        let path = pool.cache.publish(Room::KERNEL, "a.vmlinux", b"kernel").unwrap();
        let sha256 = String::new();
        let kernel = Kernel {
            image: Some(KernelImage { path: path.clone(), entry: EntryPoint::Pvh, sha256 }),
            arch: Arch::default(),
            release: "6.1.0".to_owned(),
            version: KernelVersion::new(6, 1, 0),
            banner: String::new(),
            distribution: None,
            origin: Origin::File { path: path.clone() },
            config: None,
            parameters: Vec::new(),
        };
        assert_eq!(pool.image(&kernel).unwrap(), path);
        std::fs::write(&path, "k3rnel").unwrap();
        assert!(matches!(pool.image(&kernel), Err(QemuError::Damaged { .. })));
    }

    #[test]
    fn a_damaged_memory_of_probes_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let entry = r#"{"at":1,"confirmed":1,"accel":"kvm","why":"it worked"}"#;
        let text = format!(r#"{{"version":3,"probes":{{"here":{entry}}}}}"#);
        let remember = || drop(cache.publish(Room::ACCEL, PROBE, text.as_bytes()).unwrap());
        let is_believed = || probe_memory(&cache) != accel::Memory::default();
        spoil::is_never_believed(&cache, Room::ACCEL, remember, is_believed);
    }

    #[rstest]
    #[case::killed(9, "QEMU was killed by a signal (9, SIGKILL)")]
    #[case::dumped(0x80 | 11, "QEMU was killed by a signal (11, SIGSEGV)")]
    #[case::real_time(40, "QEMU was killed by a signal (40)")]
    #[case::status(1 << 8, "QEMU exited with status 1")]
    #[case::says_why(0, "QEMU failed")]
    fn an_end_of_qemu_is_described(#[case] status: i32, #[case] words: &str) {
        assert_eq!(describe(ExitStatus::from_raw(status)), words);
    }

    #[rstest]
    #[case::new(
        Accel::Tcg,
        Some("it\naborted"),
        true,
        None,
        Some("broken; using emulation (details: `perfsec doctor`)")
    )]
    #[case::without_details(Accel::Tcg, None, true, None, Some("broken; using emulation"))]
    #[case::changed(
        Accel::Tcg,
        None,
        true,
        Some(Accel::Kvm),
        Some("broken, which worked before; using emulation")
    )]
    #[case::remembered(Accel::Tcg, Some("it\naborted"), false, None, None)]
    #[case::kvm(Accel::Kvm, None, true, None, None)]
    fn emulation_is_announced_once_and_in_one_line(
        #[case] accel: Accel,
        #[case] detail: Option<&str>,
        #[case] is_new: bool,
        #[case] replaced: Option<Accel>,
        #[case] notice: Option<&str>,
    ) {
        let detail = detail.map(str::to_owned);
        let probe = Probe { accel, why: "broken".to_owned(), detail };
        let answer = ProbeResult { probe, is_new, replaced };
        assert_eq!(emulation_notice(&answer).as_deref(), notice);
    }
}
