//! A machine on a bench, with a console server, a power unit and something that answers like ssh to
//! its own system. Its own system is simulated. A [`Player`] plays the kernels that it starts.

mod gdb;
mod qemu;
mod scripted;

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub(crate) use gdb::hang;
pub(crate) use qemu::{CPUS, Qemu};
pub(crate) use scripted::{BANNER, Death, Scripted};

use crate::support::{Ended, Place};

/// Answers like ssh: what it is asked to do is recognised. Only commands on pstore and of the site
/// are run, in a directory of the bench.
const SSH: &str = include_str!("ssh.sh");
/// A power unit: `off` and `on` as files that the bench looks at.
pub(crate) const POWER: &str = include_str!("power.sh");
/// Printed between two systems.
const FIRMWARE: &[u8] = b"\r\nBench firmware 1\r\n";
/// Printed by the machine's own system.
const OWN: &[u8] = b"[    0.000000] Linux version own (own@bench) #1\r\n";

/// Plays the kernels that a machine starts.
pub(crate) trait Player: Send {
    /// Starts the kernel whose files are in the directory `memory` of the bench.
    fn start(&mut self, bench: &Path, console: &Console) -> Box<dyn Played>;
}

/// A kernel that runs.
pub(crate) trait Played: Send {
    /// True once it has reset the machine.
    fn has_ended(&mut self) -> bool;
    /// Its power is gone.
    fn end(&mut self);
}

/// The machine's side of the console server.
#[derive(Clone, Default)]
pub(crate) struct Console(Arc<Mutex<Option<UnixStream>>>);

impl Console {
    /// Writes to whoever is connected.
    pub(crate) fn print(&self, bytes: &[u8]) {
        if let Some(mut client) = self.stream() {
            let _ = client.write_all(bytes);
        }
    }

    /// The connection, if there is one.
    pub(crate) fn stream(&self) -> Option<UnixStream> {
        self.0.lock().expect("nobody panics").as_ref().and_then(|it| it.try_clone().ok())
    }

    /// Ends the connection.
    pub(crate) fn hang_up(&self) {
        let client = self.0.lock().expect("nobody panics").take();
        client.into_iter().for_each(|it| drop(it.shutdown(Shutdown::Both)));
    }
}

/// The bench.
pub(crate) struct Bench {
    place: Place,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bench {
    /// A bench whose machine is up.
    pub(crate) fn new(player: impl Player + 'static) -> Self {
        let place = Place::new();
        let folder = place.path().join("bench");
        for (name, script) in [("ssh", SSH), ("power", POWER)] {
            let text = script.replace("BENCH", &folder.display().to_string());
            let path = place.file(&format!("bench/{name}"), &text);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        place.file("bench/boot", "boot-0");
        place.file("bench/up", "");
        // The kernel of its own system.
        place.file("bench/vmlinuz", "own");
        fs::create_dir_all(folder.join("root/sys/fs/pstore")).expect("it is ours");
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = Arc::clone(&stop);
            let listener = UnixListener::bind(folder.join("console")).expect("a socket");
            let machine = Machine::new(folder, listener, Box::new(player));
            thread::spawn(move || machine.run(&stop))
        };
        let bench = Self { place, stop, thread: Some(thread) };
        bench.describe("power = { on = 'POWER on', off = 'POWER off', status = 'POWER status' }");
        bench
    }

    /// Writes the site file, in which these lines are about its power and its limits.
    pub(crate) fn describe(&self, lines: &str) {
        let (console, power) = (self.path("console"), self.path("power"));
        let boot = if lines.contains("boot = '") { "" } else { "boot = 'kexec'\n" };
        let text = format!(
            "[bench]\nssh = 'bench'\nconsole = 'unix:{}'\n{boot}break = '~B'\n\
             firmware = 'Bench firmware'\nparameters = ['no_timer_check', 'cryptomgr.notests']\n\
             {}\n",
            console.display(),
            lines
                .replace("POWER", &power.display().to_string())
                .replace("BENCH", &self.path("").display().to_string()),
        );
        self.place.file("config/perfsec/machines.toml", &text);
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("bench").join(name)
    }

    /// The place in which perfsec runs.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Makes something go wrong: the name is one that the bench or its scripts look for.
    pub(crate) fn mark(&self, name: &str) {
        fs::write(self.path(name), "").expect("a mark");
    }

    /// perfsec, which finds this machine and its own states.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("PATH is set");
        let mut command = self.place.command(arguments);
        command.env("PATH", format!("{}:{path}", self.path("").display()));
        command.env("XDG_STATE_HOME", self.place.path().join("state"));
        command
    }

    /// Runs it to its end.
    pub(crate) fn perfsec(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("perfsec starts"))
    }

    /// The line of the list that is about the machine.
    pub(crate) fn state(&self) -> String {
        let ended = self.perfsec(&["machines"]);
        ended.succeeds();
        ended.stdout
    }

    /// The first lines of everything that was asked of ssh and of the power unit.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// True if the machine's own system is up.
    pub(crate) fn is_home(&self) -> bool {
        self.path("up").exists()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the bench works");
        }
    }
}

struct Machine {
    place: PathBuf,
    listener: UnixListener,
    console: Console,
    player: Box<dyn Player>,
    played: Option<Box<dyn Played>>,
    boots: usize,
}

impl Machine {
    fn new(place: PathBuf, listener: UnixListener, player: Box<dyn Player>) -> Self {
        listener.set_nonblocking(true).expect("a socket");
        Self { place, listener, console: Console::default(), player, played: None, boots: 0 }
    }

    fn has(&self, name: &str) -> bool {
        self.place.join(name).exists()
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut was_off = false;
        while !stop.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
            if let Ok((client, _)) = self.listener.accept() {
                client.set_nonblocking(false).expect("a socket");
                *self.console.0.lock().expect("nobody panics") = Some(client);
            }
            if self.played.as_mut().is_some_and(|it| it.has_ended()) {
                self.played = None;
                self.come_up();
            }
            if self.has("off") {
                self.end();
                was_off = true;
            } else if was_off {
                was_off = false;
                self.come_up();
            }
            if self.has("reboot") {
                fs::remove_file(self.place.join("reboot")).expect("it is there");
                let _ = fs::remove_file(self.place.join("up"));
                self.come_up();
            }
            if self.has("start") {
                fs::remove_file(self.place.join("start")).expect("it is there");
                // A machine that never arrives keeps running its own system.
                if !self.has("never-arrive") {
                    // perfsec may have switched it off meanwhile.
                    let _ = fs::remove_file(self.place.join("up"));
                    self.played = Some(self.player.start(&self.place, &self.console));
                }
            }
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut played) = self.played.take() {
            played.end();
        }
    }

    /// Firmware starts the kernel that the site has chosen, or the machine's own system.
    fn come_up(&mut self) {
        self.console.print(FIRMWARE);
        if let Ok(armed) = fs::read_to_string(self.place.join("armed")) {
            if armed.trim() == "once" {
                fs::remove_file(self.place.join("armed")).expect("it is there");
            }
            self.played = Some(self.player.start(&self.place, &self.console));
            return;
        }
        self.console.print(OWN);
        self.boots += 1;
        fs::write(self.place.join("boot"), format!("boot-{}", self.boots)).expect("it is ours");
        if !self.has("dead") {
            fs::write(self.place.join("up"), "").expect("it is ours");
        }
    }
}
