//! A connection: the user's own ssh, and the relay at its other end.
//!
//! Each is one process of ssh. One that serves several sessions (`ControlMaster`) would be a
//! process and a socket to clean up, and a session that it opens says nothing about the network.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use perfsec_wire::frame::{FrameError, Reader, Writer};
use perfsec_wire::relay::{BEAT, Demand, Hello, Report};

use super::Destination;
use super::error::SshError;
use super::script::{self, BEGINS, REFUSES};
use crate::foreign::{self, Limit, Line};
use crate::interrupt::Interrupt;
use crate::machines::{CannotRun, MachineName};

/// The time until the relay has begun: ssh logs in, and sends the agent.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
/// The time in which ssh ends after its input has.
const END_LIMIT: Duration = Duration::from_secs(5);
/// Lines of ssh's own that are kept.
const LINES: usize = 20;
/// Bytes that a login may print in front of the relay's reports.
const CHATTER: u64 = 64 << 10;

/// The options of ssh. The user's configuration has the rest: names, keys, jumps.
const OPTIONS: [&str; 12] = [
    // Nobody is asked for a password in the middle of a run.
    "BatchMode=yes",
    // Not the user's own connection, which ends when the user wants.
    "ControlMaster=no",
    "ControlPath=none",
    "ConnectTimeout=10",
    // A network that is gone is noticed after 30 seconds.
    "ServerAliveInterval=10",
    "ServerAliveCountMax=3",
    // The user's forwardings would fail where the user's own connection has them.
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    // ssh tells at this level that the server does not respond.
    "LogLevel=INFO",
];

/// A connection to a relay.
pub(super) struct Connection {
    ssh: Child,
    reports: Reader<BufReader<ChildStdout>>,
    demands: Demands,
    /// Reads what ssh prints on standard error; gone once that was asked for.
    said: Option<JoinHandle<VecDeque<String>>>,
    /// Ends the thread that sends beats.
    beats: Option<(Sender<()>, JoinHandle<()>)>,
    pub(super) hello: Hello,
    /// The number of the last record of the kernel's log.
    pub(super) record: u64,
}

/// The way for demands.
#[derive(Clone)]
pub(super) struct Demands(Arc<Mutex<Option<Writer<ChildStdin>>>>);

/// A connection that has ended.
#[derive(Debug)]
pub(super) struct Lost;

impl Connection {
    /// Logs in, and starts a relay.
    pub(super) fn open(machine: &Destination, interrupt: &Interrupt) -> Result<Self, SshError> {
        let mut command = Command::new("ssh");
        command.args(OPTIONS.iter().flat_map(|option| ["-o", *option]));
        // The terminal's SIGINT must not reach it: the machine is put back over it.
        command.args(["-T", "--"]).arg(machine.to_string()).process_group(0);
        command.arg(script::command(crate::AGENT));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut ssh = command.spawn().map_err(SshError::NoProgram)?;
        let (Some(input), Some(output), Some(errors)) =
            (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take())
        else {
            return Err(SshError::NoProgram(io::Error::other("its streams are missing")));
        };
        let pid = Pid::from_raw(i32::try_from(ssh.id()).unwrap_or_default());
        let opening = Arc::new(Mutex::new(Some(pid)));
        let give_up = {
            let opening = Arc::clone(&opening);
            move || end_process(&opening)
        };
        interrupt.on_raise(give_up.clone());
        let said = thread::spawn(move || last_lines(errors));
        let demands = Demands(Arc::new(Mutex::new(None)));
        let (sender, stop) = channel::<()>();
        let beat = demands.clone();
        let beats = thread::spawn(move || {
            let deadline = Instant::now() + OPEN_LIMIT;
            loop {
                match stop.recv_timeout(Duration::from_secs(BEAT)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
                if !beat.is_open() {
                    if Instant::now() > deadline {
                        give_up();
                    }
                } else if beat.send(&Demand::Beat).is_err() {
                    return;
                }
            }
        });
        let begun = begin(input, output, &demands);
        opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let beats = Some((sender, beats));
        match begun {
            Ok((reports, hello)) => {
                let said = Some(said);
                let record = hello.record;
                Ok(Self { ssh, reports, demands, said, beats, hello, record })
            }
            Err(error) => {
                drop(beats);
                demands.close();
                let ended = ssh.wait();
                let lines = said.join().unwrap_or_default();
                if interrupt.is_raised() {
                    return Err(SshError::Interrupted);
                }
                let code = ended.ok().and_then(|status| status.code());
                Err(refusal(machine, &lines, code, &error))
            }
        }
    }

    /// The way for demands, for other threads.
    pub(super) fn demands(&self) -> Demands {
        self.demands.clone()
    }

    /// Sends a demand.
    pub(super) fn demand(&self, demand: &Demand) -> Result<(), Lost> {
        self.demands.send(demand).map_err(|_| Lost)
    }

    /// The next report.
    pub(super) fn report(&mut self) -> Result<Report, Lost> {
        match self.reports.read() {
            Ok(Some(report)) => {
                if let Report::Log(record) = &report {
                    self.record = number(record).unwrap_or(self.record);
                }
                Ok(report)
            }
            Ok(None) | Err(_) => Err(Lost),
        }
    }

    /// The next report that is not about the kernel's log, nor printed by a guardian.
    pub(super) fn answer(&mut self) -> Result<Report, Lost> {
        loop {
            match self.report()? {
                Report::Log(_) | Report::Said(_) => {}
                other => return Ok(other),
            }
        }
    }

    /// Reads a regular file.
    pub(super) fn read(&mut self, path: &str, limit: &'static Limit) -> io::Result<Vec<u8>> {
        let lost = |Lost| io::Error::other("the connection was lost");
        self.demand(&Demand::Read(path.to_owned())).map_err(lost)?;
        let mut content = Vec::new();
        loop {
            match self.answer().map_err(lost)? {
                // What exceeds the limit is still to be read.
                Report::Piece(piece) if content.len() as u64 <= limit.bytes => {
                    content.extend(piece);
                }
                Report::Piece(_) => {}
                Report::Read(Ok(())) if content.len() as u64 > limit.bytes => {
                    return Err(limit.exceeded());
                }
                Report::Read(Ok(())) => return Ok(content),
                Report::Read(Err(errno)) => return Err(io::Error::from_raw_os_error(errno)),
                other => {
                    return Err(io::Error::other(format!("the relay answers with {other:?}")));
                }
            }
        }
    }

    /// The regular files in a directory and below it.
    pub(super) fn list(&mut self, directory: &str) -> Result<Vec<String>, Lost> {
        self.demand(&Demand::List(directory.to_owned()))?;
        match self.answer()? {
            Report::Listed(files) => Ok(files),
            _ => Err(Lost),
        }
    }

    /// Ends the connection; returns the last words of ssh.
    pub(super) fn end(mut self) -> String {
        self.close();
        let said = self.said.take().and_then(|said| said.join().ok());
        last_words(&said.unwrap_or_default())
    }

    fn close(&mut self) {
        if let Some((sender, beats)) = self.beats.take() {
            drop(sender);
            let _ = beats.join();
        }
        self.demands.close();
        let deadline = Instant::now() + END_LIMIT;
        while matches!(self.ssh.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.ssh.kill();
                let _ = self.ssh.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("hello", &self.hello).finish_non_exhaustive()
    }
}

impl Demands {
    /// Sends a demand.
    pub(super) fn send(&self, demand: &Demand) -> Result<(), FrameError> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = || FrameError::Io(io::ErrorKind::BrokenPipe.into());
        writer.as_mut().ok_or_else(closed)?.write(demand)
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn open(&self, input: ChildStdin) {
        let writer = Some(Writer::plain(input));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = writer;
    }

    fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Sends the agent, and waits until its relay says hello.
fn begin(
    mut input: ChildStdin,
    output: ChildStdout,
    demands: &Demands,
) -> Result<(Reader<BufReader<ChildStdout>>, Hello), String> {
    // A machine that refuses does not read it, and says why.
    let sent = input.write_all(crate::AGENT).and_then(|()| input.flush());
    demands.open(input);
    let mut output = BufReader::new(output);
    skip_chatter(&mut output).map_err(|error| error.to_string())?;
    sent.map_err(|error| error.to_string())?;
    let mut reports = Reader::new(output);
    match reports.read() {
        Ok(Some(Report::Hello(hello))) => Ok((reports, hello)),
        Ok(Some(other)) => Err(format!("its relay begins with {other:?}")),
        Ok(None) => Err("its relay ended".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Skips the lines in front of the relay's.
fn skip_chatter(output: &mut impl BufRead) -> io::Result<()> {
    let mut line = Vec::new();
    let mut left = CHATTER;
    loop {
        line.clear();
        let got = output.by_ref().take(left).read_until(b'\n', &mut line)?;
        if line.strip_suffix(b"\n") == Some(BEGINS.as_bytes()) {
            return Ok(());
        }
        left = left.saturating_sub(got as u64);
        if got == 0 || left == 0 {
            return Err(io::Error::other("it does not run the command that starts the agent"));
        }
    }
}

/// The last lines of a program's errors, once it has ended.
fn last_lines(errors: ChildStderr) -> VecDeque<String> {
    let (mut errors, mut line) = (BufReader::new(errors), Vec::new());
    let mut kept = VecDeque::new();
    loop {
        match foreign::read_line(&mut errors, &mut line, foreign::OUTPUT_LINE.length()) {
            Ok(Line::End) | Err(_) => return kept,
            Ok(Line::Whole) => {}
            Ok(Line::Long) => {
                if foreign::skip_line(&mut errors).is_err() {
                    return kept;
                }
            }
        }
        let text = String::from_utf8_lossy(&line).trim().to_owned();
        // The frame of the warning about a changed key.
        if !text.is_empty() && !text.starts_with('@') {
            kept.push_back(text);
        }
        if kept.len() > LINES {
            kept.pop_front();
        }
    }
}

/// The last words of ssh: one line, and the one before, which has the reason where the last names
/// the consequence.
fn last_words(lines: &VecDeque<String>) -> String {
    let from = lines.len().saturating_sub(2);
    let last: Vec<_> = lines.iter().skip(from).map(|line| line.trim_end_matches('.')).collect();
    match last.as_slice() {
        [] => "nothing".to_owned(),
        lines => lines.join("; "),
    }
}

/// The reason why there is no relay.
fn refusal(
    machine: &Destination,
    lines: &VecDeque<String>,
    code: Option<i32>,
    error: &str,
) -> SshError {
    let name = MachineName::Ssh(machine.clone()).to_string();
    if let Some(missing) = lines.iter().find_map(|line| line.strip_prefix(REFUSES)) {
        return CannotRun::new(&name, missing).into();
    }
    let said = last_words(lines);
    match code {
        // Of ssh itself; of a command, it has the command's.
        Some(255) | None => SshError::Unreachable { machine: name, said },
        Some(_) if lines.is_empty() => SshError::NoAgent { machine: name, said: error.to_owned() },
        Some(_) => SshError::NoAgent { machine: name, said },
    }
}

fn end_process(process: &Mutex<Option<Pid>>) {
    if let Some(pid) = process.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = kill(pid, Signal::SIGTERM);
    }
}

/// The number of a record of the kernel's log: its second field.
fn number(record: &[u8]) -> Option<u64> {
    let mut fields = record.split(|byte| *byte == b',');
    std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn lines(text: &str) -> VecDeque<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[rstest]
    #[case::unknown(
        "ssh: Could not resolve hostname nowhere: Name or service not known",
        255,
        "cannot reach ssh:m: ssh says: ssh: Could not resolve hostname nowhere: Name or service \
         not known"
    )]
    #[case::changed_key(
        "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\n\
         Host key for m has changed and you have requested strict checking.\n\
         Host key verification failed.",
        255,
        "cannot reach ssh:m: ssh says: Host key for m has changed and you have requested strict \
         checking; Host key verification failed"
    )]
    #[case::architecture(
        "perfsec: refused: it is aarch64, and perfsec knows the syscalls of x86-64 only",
        1,
        "cannot run cells on ssh:m: it is aarch64, and perfsec knows the syscalls of x86-64 only"
    )]
    #[case::no_shell(
        "This account is currently not available.",
        1,
        "cannot start the agent on ssh:m: This account is currently not available"
    )]
    fn the_reason_is_in_the_words_of_ssh_or_of_the_machine(
        #[case] said: &str,
        #[case] code: i32,
        #[case] expected: &str,
    ) {
        let machine = "m".parse().unwrap();
        let error = refusal(&machine, &lines(said), Some(code), "it ended");
        assert_eq!(format!("cannot {error}"), expected);
    }

    #[test]
    fn lines_in_front_of_the_relay_are_skipped() {
        let text = format!("Welcome!\n\n{BEGINS}\nreports");
        let mut output = text.as_bytes();
        skip_chatter(&mut output).unwrap();
        assert_eq!(output, b"reports");
        assert!(skip_chatter(&mut "Welcome!\n".as_bytes()).is_err());
        let endless = vec![b'x'; 2 * CHATTER as usize];
        assert!(skip_chatter(&mut endless.as_slice()).is_err());
    }
}
