//! A machine whose own system is a real Debian with SELinux, auditd and sshd, which QEMU plays: a
//! disk, a network card, a serial port, a power unit, and firmware that starts Debian.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use perfsec_qemu::initramfs;

use crate::bench::POWER;
use crate::support::{Ended, Place};

/// Starts what the packed system lacks.
const START: &[u8] = include_bytes!("start.sh");
/// Gives it an address.
const NETWORK: &[u8] = include_bytes!("network.pl");
/// Starts the script.
const SERVICE: &[u8] = b"[Service]\nExecStart=/usr/lib/desk/start\n";
/// Wants the service, as a link would that an archive of ours cannot have.
const WANTS: &[u8] = b"[Unit]\nWants=desk.service\n";
/// Bytes of the disk.
const DISK: usize = 8 << 20;

/// A machine that is on.
pub(crate) struct Desk {
    place: Place,
    /// The port of this host that is the machine's port of ssh.
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Desk {
    /// Packs Debian with the kernel in the package `PERFSEC_TEST_PACKAGE` and with the programs in
    /// the archive `PERFSEC_TEST_SSH`, and switches the machine on.
    pub(crate) fn new() -> Self {
        let place = Place::new();
        let folder = place.path().join("desk");
        let script =
            place.file("desk/power", &POWER.replace("BENCH", &folder.display().to_string()));
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let bytes: Vec<u8> = (0..DISK).map(|at| (at % 251) as u8).collect();
        fs::write(folder.join("disk"), bytes).expect("it is ours");
        let port = free_port();
        let mut desk = Self { place, port, stop: Arc::default(), thread: None };
        desk.install();
        desk.describe();
        let stop = Arc::clone(&desk.stop);
        desk.thread = Some(thread::spawn(move || power(&folder, port, &stop)));
        desk
    }

    /// Makes its kernel and its system.
    fn install(&self) {
        let path = |name| self.path(name).display().to_string();
        let given = |name: &str| {
            std::env::var(name).unwrap_or_else(|_| panic!("{name} is the path of a file"))
        };
        let package = given("PERFSEC_TEST_PACKAGE");
        self.perfsec(&["kernel", &package, "--shipped", &path("vmlinuz")]).succeeds();
        let packed = self.perfsec(&["guest", "pack", "debian:trixie", &path("packed")]);
        packed.succeeds();
        fs::write(self.path("parameters"), &packed.stdout).expect("it is ours");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &path("key")])
            .status();
        assert!(made.is_ok_and(|status| status.success()), "ssh-keygen");
        let read = |path: &Path| fs::read(path).unwrap_or_else(|it| panic!("{path:?}: {it}"));
        let vmlinuz = read(&self.path("vmlinuz"));
        let own = format!("/boot/vmlinuz-{}", release(&vmlinuz));
        let files: [(&str, u32, Vec<u8>); 10] = [
            ("/usr/lib/desk/start", 0o755, START.to_vec()),
            ("/usr/lib/desk/network.pl", 0o644, NETWORK.to_vec()),
            ("/usr/lib/desk/e1000.ko.xz", 0o644, module(&package, "e1000")),
            ("/usr/lib/desk/virtio_blk.ko.xz", 0o644, module(&package, "virtio_blk")),
            ("/usr/lib/desk/ssh.tar.gz", 0o644, read(Path::new(&given("PERFSEC_TEST_SSH")))),
            ("/usr/lib/desk/key", 0o600, read(&self.path("key.pub"))),
            ("/etc/systemd/system/desk.service", 0o644, SERVICE.to_vec()),
            ("/etc/systemd/system/multi-user.target.d/desk.conf", 0o644, WANTS.to_vec()),
            // The positive control starts it.
            (&own, 0o644, vmlinuz),
            ("/etc/hostname", 0o644, b"desk\n".to_vec()),
        ];
        let archive = files.into_iter().fold(initramfs::Builder::new(), |archive, file| {
            archive.file(file.0, file.1, file.2).expect("an archive")
        });
        let packed = fs::File::open(self.path("packed")).expect("it was packed");
        let output = fs::File::create(self.path("initramfs")).expect("it is ours");
        archive.build().and_then(|it| Ok(it.write_behind(packed, output)?)).expect("it is written");
        fs::remove_file(self.path("packed")).expect("it is ours");
    }

    /// Writes the site file.
    fn describe(&self) {
        let path = |name| self.path(name).display().to_string();
        let (ssh, console, power) = (self.ssh(), path("console"), path("power"));
        let text = format!(
            "[desk]\nssh = '{ssh}'\nconsole = 'unix:{console}'\nboot = 'kexec'\nfirmware = 'SeaBIOS'\n\
             parameters = ['no_timer_check', 'cryptomgr.notests']\n\
             power = {{ on = '{power} on', off = '{power} off', status = '{power} status' }}\n\
             limits = {{ system = 900, kexec = 600 }}\n"
        );
        self.place.file("config/perfsec/machines.toml", &text);
    }

    /// The arguments of ssh.
    fn ssh(&self) -> String {
        format!(
            "-p {} -i {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             -o LogLevel=ERROR root@127.0.0.1",
            self.port,
            self.path("key").display()
        )
    }

    /// True if its system is up.
    pub(crate) fn answers(&self) -> bool {
        let mut ssh = Command::new("ssh");
        ssh.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]).args(self.ssh().split(' '));
        ssh.arg("true").status().is_ok_and(|status| status.success())
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("desk").join(name)
    }

    /// Runs perfsec, with the kernels, policies and systems that this host's cache has.
    pub(crate) fn perfsec(&self, arguments: &[&str]) -> Ended {
        let mut command = self.place.command(arguments);
        command.env_remove("PERFSEC_CACHE_DIR");
        command.env("XDG_STATE_HOME", self.place.path().join("state"));
        let ended = Ended::of(command.output().expect("perfsec starts"));
        println!("{}{}", ended.stdout, ended.stderr);
        ended
    }

    /// True if no byte of the disk has changed.
    pub(crate) fn has_its_disk(&self) -> bool {
        let bytes = fs::read(self.path("disk")).expect("the disk");
        bytes.len() == DISK && bytes.iter().enumerate().all(|(at, byte)| *byte == (at % 251) as u8)
    }

    /// Everything that was asked of the power unit.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "the desk works");
        }
    }
}

/// Runs QEMU, and obeys the power unit. The console outlives the power, as that of a lab does, so
/// QEMU goes on: CPUs that are stopped and then reset are as good as off.
fn power(folder: &Path, port: u16, stop: &AtomicBool) {
    let mut qemu = Running(qemu(folder, port).spawn().expect("QEMU starts"));
    let mut is_off = false;
    while !stop.load(Ordering::SeqCst) {
        assert!(qemu.0.try_wait().is_ok_and(|it| it.is_none()), "QEMU ended");
        let wanted = folder.join("off").exists();
        if wanted != is_off {
            is_off = wanted;
            let commands: &[&str] = if is_off { &["stop"] } else { &["system_reset", "cont"] };
            order(&folder.join("monitor"), commands);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// QEMU, which ends with its machine.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends commands to QEMU's monitor (QMP), and waits until each is done.
fn order(monitor: &Path, commands: &[&str]) {
    let mut stream = UnixStream::connect(monitor).expect("QEMU listens");
    let mut answers = BufReader::new(stream.try_clone().expect("a socket")).lines();
    for command in [&["qmp_capabilities"], commands].concat() {
        writeln!(stream, "{{\"execute\": \"{command}\"}}").expect("QEMU reads");
        let done = answers.by_ref().any(|line| line.expect("QEMU answers").contains("\"return\""));
        assert!(done, "{command}");
    }
}

fn qemu(folder: &Path, port: u16) -> Command {
    let path = |name| folder.join(name).display().to_string();
    let parameters = fs::read_to_string(folder.join("parameters")).expect("it is ours");
    // A kernel that panics returns through the firmware, as on a machine.
    let parameters = format!("{} no_timer_check cryptomgr.notests", parameters.trim());
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-no-user-config", "-nodefaults", "-display", "none", "-machine", "pc"])
        .args(["-accel", "tcg,thread=single", "-smp", "2", "-m", "3072M"])
        .args(["-cpu", "max,erms=off,fsrm=off,level-func7=0"])
        .args(["-kernel", &path("vmlinuz"), "-initrd", &path("initramfs")])
        .args(["-append", &parameters, "-serial"])
        .arg(format!("unix:{},server=on,wait=off", path("console")))
        .arg("-qmp")
        .arg(format!("unix:{},server=on,wait=off", path("monitor")))
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=raw", path("disk")))
        .arg("-nic")
        .arg(format!("user,model=e1000,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22"));
    qemu
}

/// A module of a kernel package.
fn module(package: &str, name: &str) -> Vec<u8> {
    let script = r#"dpkg-deb --fsys-tarfile "$0" | tar --extract --to-stdout --wildcards "*/$1""#;
    let file = format!("{name}.ko.xz");
    let output = Command::new("sh").args(["-c", script, package, &file]).output();
    let output = output.expect("sh starts");
    assert!(output.status.success() && !output.stdout.is_empty(), "{package} has no {file}");
    output.stdout
}

/// A port of this host that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

/// The release that the header of a bzImage names (`Documentation/arch/x86/boot.rst`,
/// `kernel_version`).
fn release(image: &[u8]) -> String {
    let at = usize::from(u16::from_le_bytes([image[0x20e], image[0x20f]])) + 0x200;
    let text: Vec<u8> = image[at..].iter().copied().take_while(|it| !b" \0".contains(it)).collect();
    String::from_utf8(text).expect("a release is text")
}
