//! A machine on a bench: QEMU plays it, with a console server, a power unit and something that
//! answers like ssh to its own system. Its own system is simulated; kexec is not: the agent runs as
//! process 1 of the machine's own kernel and loads the kernel under test by `kexec_file_load(2)`.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use perfsec::machines::site::{Site, Sites};
use perfsec_qemu::initramfs;
use perfsec_wire::takeover;
use tempfile::TempDir;

/// Answers like ssh: what it is asked to do is recognised, and never run.
const SSH: &str = r#"#!/bin/sh
bench=BENCH
for command; do :; done
echo "$command" | head -n 1 >>"$bench/log"
[ -e "$bench/up" ] || exit 255
case "$command" in
    *boot_id*)
        echo "boot=$(cat "$bench/boot")"
        printf 'release=own\nmachine=x86_64\nuid=0\ndisabled=0\nlockdown=[none]\nfirmware=bench 1\n'
        ;;
    *mktemp*)
        rm -rf "$bench/memory" && mkdir "$bench/memory" && tar -xf - -C "$bench/memory" || exit 1
        echo /dev/shm/perfsec-bench
        ;;
    *kexec-load*)
        case "$command" in *vmlinuz*) cp "$bench/vmlinuz" "$bench/memory/kernel" || exit 1 ;; esac
        if [ -e "$bench/refuse" ]; then
            echo 'could not load the kernel by kexec: Exec format error' >&2
            exit 1
        fi
        ;;
    *kexec-start*) touch "$bench/start"; echo going ;;
    *) ;;
esac
"#;

/// A power unit: `off` and `on` as files that the bench looks at.
const POWER: &str = r#"#!/bin/sh
bench=BENCH
echo "power $1" >>"$bench/log"
case "$1" in
    status) [ -e "$bench/off" ] && echo off || echo on ;;
    off) touch "$bench/off"; rm -f "$bench/up" ;;
    on) rm -f "$bench/off" ;;
esac
"#;

/// Printed between two systems.
const FIRMWARE: &[u8] =
    b"\r\nBench firmware 1\r\n[    0.000000] Linux version own (own@bench) #1\r\n";

/// The bench.
pub(crate) struct Bench {
    folder: TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The machine's side of the console server.
type Console = Arc<Mutex<Option<UnixStream>>>;

impl Bench {
    /// A bench whose machine runs this bzImage, and is up.
    pub(crate) fn new(vmlinuz: Option<&[u8]>) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let place = folder.path().to_owned();
        for (name, script) in [("ssh", SSH), ("power", POWER)] {
            let path = place.join(name);
            let text = script.replace("BENCH", &place.display().to_string());
            fs::write(&path, text).expect("the script is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        fs::write(place.join("boot"), "boot-0").expect("it is ours");
        fs::write(place.join("up"), "").expect("it is ours");
        if let Some(vmlinuz) = vmlinuz {
            fs::write(place.join("vmlinuz"), vmlinuz).expect("it is ours");
        }
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            let listener = UnixListener::bind(place.join("console")).expect("a socket");
            thread::spawn(move || Machine::new(place, listener).run(&stop))
        };
        Self { folder, stop, thread: Some(thread) }
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its description, as the user would write it.
    pub(crate) fn site(&self) -> Site {
        let (console, power) = (self.path("console"), self.path("power"));
        let (console, power) = (console.display(), power.display());
        let text = format!(
            "[bench]\nssh = 'bench'\nconsole = 'unix:{console}'\nboot = 'kexec'\n\
             power = {{ on = '{power} on', off = '{power} off', status = '{power} status' }}\n\
             parameters = ['no_timer_check', 'cryptomgr.notests']\n\
             limits = {{ system = 60, kexec = 300, power = 10 }}\n"
        );
        let sites = Sites::read(Path::new("machines.toml"), &text).expect("it is right");
        let site = sites.machines.into_values().next().expect("it has one");
        Site { program: self.path("ssh"), ..site }
    }

    /// The first lines of everything that was asked of ssh and of the power unit.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the bench works");
        }
    }
}

struct Machine {
    place: PathBuf,
    listener: UnixListener,
    console: Console,
    qemu: Option<Child>,
    boots: usize,
}

impl Machine {
    fn new(place: PathBuf, listener: UnixListener) -> Self {
        listener.set_nonblocking(true).expect("a socket");
        Self { place, listener, console: Console::default(), qemu: None, boots: 0 }
    }

    fn has(&self, name: &str) -> bool {
        self.place.join(name).exists()
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut was_off = false;
        while !stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
            if let Ok((client, _)) = self.listener.accept() {
                client.set_nonblocking(false).expect("a socket");
                *self.console.lock().expect("nobody panics") = Some(client);
            }
            if self.has("hang-up") {
                let client = self.console.lock().expect("nobody panics").take();
                client.into_iter().for_each(|it| drop(it.shutdown(std::net::Shutdown::Both)));
            }
            let ended =
                self.qemu.as_mut().is_some_and(|qemu| qemu.try_wait().is_ok_and(|it| it.is_some()));
            if ended {
                self.qemu = None;
                self.come_up();
            }
            if self.has("off") {
                self.end();
                was_off = true;
            } else if was_off {
                was_off = false;
                self.come_up();
            }
            if self.has("start") {
                fs::remove_file(self.place.join("start")).expect("it is there");
                // A machine that never arrives keeps running its own system.
                if !self.has("never-arrive") {
                    fs::remove_file(self.place.join("up")).expect("it is up");
                    self.start();
                }
            }
        }
        self.end();
    }

    /// The machine's own kernel, with the agent as process 1, which starts the kernel under test.
    fn start(&mut self) {
        let read = |name| fs::read(self.place.join("memory").join(name)).expect("it was sent");
        let agent = read(takeover::AGENT);
        let files = initramfs::Builder::new().file("/agent", 0o755, agent);
        let names = [takeover::KERNEL, takeover::INITRAMFS, takeover::PARAMETERS];
        let files = names.into_iter().fold(files, |files, name| {
            let path = format!("/payload/{name}");
            files.and_then(|files| files.file(&path, 0o600, read(name)))
        });
        let archive = files.and_then(|files| files.build()).expect("an archive");
        let path = self.place.join("own-initramfs");
        fs::write(&path, archive.as_bytes()).expect("it is ours");
        let append = format!(
            "panic=-1 no_timer_check cryptomgr.notests rdinit=/agent -- {} /payload",
            takeover::START
        );
        let mut qemu = Command::new("qemu-system-x86_64")
            .args(["-no-user-config", "-nodefaults", "-display", "none", "-machine", "pc"])
            .args([
                "-accel",
                "tcg,thread=multi",
                "-cpu",
                "max,erms=off,fsrm=off,level-func7=0",
                "-smp",
                "2",
            ])
            .args(["-m", "1024M", "-no-reboot", "-serial", "stdio", "-append", &append])
            .arg("-kernel")
            .arg(self.place.join("vmlinuz"))
            .arg("-initrd")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU starts");
        let mut screen = qemu.stdout.take().expect("it is piped");
        let mut keyboard = qemu.stdin.take().expect("it is piped");
        let console = Arc::clone(&self.console);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = screen.read(&mut buffer) {
                let client =
                    console.lock().expect("nobody panics").as_ref().map(UnixStream::try_clone);
                if let Some(Ok(mut client)) = client {
                    let _ = client.write_all(&buffer[..got]);
                }
            }
        });
        let client =
            self.console.lock().expect("nobody panics").as_ref().map(UnixStream::try_clone);
        if let Some(Ok(mut client)) = client {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(got @ 1..) = client.read(&mut buffer) {
                    if keyboard.write_all(&buffer[..got]).and_then(|()| keyboard.flush()).is_err() {
                        break;
                    }
                }
            });
        }
        self.qemu = Some(qemu);
    }

    fn end(&mut self) {
        if let Some(mut qemu) = self.qemu.take() {
            let _ = qemu.kill();
            let _ = qemu.wait();
        }
    }

    /// Firmware starts the machine's own system.
    fn come_up(&mut self) {
        if let Some(client) = self.console.lock().expect("nobody panics").as_mut() {
            let _ = client.write_all(FIRMWARE);
        }
        self.boots += 1;
        fs::write(self.place.join("boot"), format!("boot-{}", self.boots)).expect("it is ours");
        if !self.has("dead") {
            fs::write(self.place.join("up"), "").expect("it is ours");
        }
    }
}
