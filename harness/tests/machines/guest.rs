//! A guest system that plays the machine: commands are typed on its console.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use crate::support::kernel;

/// The time until the guest asks who logs in. An emulated one that is alone on its host needs one
/// minute, and one beside others a quarter of an hour.
const BOOT: Duration = Duration::from_secs(1800);
/// The time of a command. A run of cells that takes two minutes takes twenty there.
const COMMAND: Duration = Duration::from_secs(3600);

/// A guest system, with a shell of root on its console.
pub(crate) struct Guest {
    perfsec: Child,
    keyboard: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
    commands: usize,
}

impl Guest {
    /// Boots a guest system that has these static programs in /usr/bin, and logs in.
    pub(crate) fn boot(programs: &[&str]) -> Self {
        let mut perfsec = Command::new(env!("CARGO_BIN_EXE_perfsec"))
            .args(["shell", "--guest", "debian:trixie", "--kernel", &kernel()])
            .args(["--accel", "tcg"])
            .args(programs.iter().flat_map(|program| ["--program", program]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("perfsec starts");
        let keyboard = perfsec.stdin.take().expect("it is piped");
        let mut stdout = perfsec.stdout.take().expect("it is piped");
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = stdout.read(&mut buffer) {
                if sender.send(buffer[..got].to_vec()).is_err() {
                    break;
                }
            }
        });
        let mut guest = Self { perfsec, keyboard, screen, seen: String::new(), commands: 0 };
        guest.wait_for("login: ", BOOT);
        guest.type_line("root");
        guest.wait_for("# ", COMMAND);
        // What is typed is not answered, and the prompt is no part of an answer.
        guest.run("stty -echo; PS1=; PS2=; bind 'set enable-bracketed-paste off'");
        guest
    }

    /// Runs a command; returns its output and its exit code.
    pub(crate) fn ask(&mut self, command: &str) -> (String, i32) {
        self.ask_within(COMMAND, command)
    }

    /// The same with a command that takes this long at most.
    pub(crate) fn ask_within(&mut self, limit: Duration, command: &str) -> (String, i32) {
        self.commands += 1;
        let mark = format!("perfsec-{}-", self.commands);
        // In two parts, so that the echo of the command is not taken for its end.
        self.type_line(&format!("{command}\necho perfsec''-{}-$?", self.commands));
        let mut output = self.wait_for(&mark, limit);
        output.truncate(output.len() - mark.len());
        let code = self.wait_for("\n", COMMAND);
        (output.trim().to_owned(), code.trim().parse().expect("an exit code"))
    }

    /// Runs a command that succeeds.
    #[track_caller]
    pub(crate) fn run(&mut self, command: &str) -> String {
        let (output, code) = self.ask(command);
        assert_eq!(code, 0, "{command}: {output}");
        output
    }

    fn type_line(&mut self, text: &str) {
        // A terminal's line has a limit, and the serial port is slow.
        for line in text.lines() {
            writeln!(self.keyboard, "{line}").expect("the guest runs");
            self.keyboard.flush().expect("the guest runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything on the screen until these words.
    fn wait_for(&mut self, words: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.seen.find(words) {
                let rest = self.seen.split_off(at + words.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => {
                    self.seen.push_str(&String::from_utf8_lossy(&bytes).replace('\r', ""));
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{words}` in:\n{}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("the guest ended:\n{}", self.seen),
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // QEMU dies with perfsec.
        let _ = self.perfsec.kill();
        let _ = self.perfsec.wait();
    }
}
