//! The agent on this machine: a guardian, and the worker that the guardian starts.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use perfsec_wire::Order;
use perfsec_wire::frame::{self, FrameError};
use perfsec_wire::here;
use tempfile::TempDir;

use super::log::Log;
use crate::machines::channel::Channel;
use crate::machines::live::{Traces, ended, guardian_killed};
use crate::machines::{Aftermath, End, Guest, Incident, Load, Sink};

/// The agent could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// Its files cannot be written.
    #[error("unpack the agent into a private directory (TMPDIR chooses the place)")]
    Unpack(#[source] io::Error),
    /// Its program does not start.
    #[error(
        "start the agent in {place} (TMPDIR chooses the place, which must not be mounted noexec)"
    )]
    Start { place: String, source: io::Error },
    /// The preparation does not encode.
    #[error("encode the preparation")]
    Encode(#[source] FrameError),
    /// The channel or the kernel's log cannot be opened.
    #[error("talk to the agent")]
    Talk(#[source] io::Error),
}

/// An agent that runs.
pub(super) struct Running {
    channel: Channel,
    /// Closing it ends the worker; the guardian then puts everything back.
    line: UnixStream,
    waiter: Option<JoinHandle<()>>,
}

impl Running {
    /// Unpacks the agent and starts it. `traces` gets to know if it leaves something changed.
    pub(super) fn start(load: &Load, sink: &Sink, traces: Arc<Traces>) -> Result<Self, StartError> {
        let directory = unpack(load)?;
        let (line, other) = UnixStream::pair().map_err(StartError::Talk)?;
        let log = Arc::new(Mutex::new(Log::open().map_err(StartError::Talk)?));
        let program = directory.path().join(here::AGENT);
        let channel_end = |line: UnixStream| Stdio::from(OwnedFd::from(line));
        let child = Command::new(&program)
            .arg("guard")
            .arg(directory.path())
            .stdin(channel_end(other.try_clone().map_err(StartError::Talk)?))
            .stdout(channel_end(other))
            .spawn();
        let child = child.map_err(|source| StartError::Start {
            place: directory.path().display().to_string(),
            source,
        })?;
        let tell = {
            let (sink, log) = (sink.clone(), Arc::clone(&log));
            move |incident| {
                follow(&log, &sink);
                sink.report(incident)
            }
        };
        let port = line.try_clone().map_err(StartError::Talk)?;
        let channel = Channel::open(port, None, tell).map_err(StartError::Talk)?;
        let sink = sink.clone();
        let wait = move || {
            let end = wait(child, &directory, &traces);
            follow(&log, &sink);
            sink.report(Incident::Ended(end));
        };
        let waiter = thread::Builder::new().name("guardian".to_owned()).spawn(wait);
        let waiter = Some(waiter.map_err(StartError::Talk)?);
        Ok(Self { channel, line, waiter })
    }
}

impl Guest for Running {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        self.channel.send(order)
    }

    fn kill(&mut self) {
        // Fails if the other end is gone already.
        let _ = self.line.shutdown(Shutdown::Both);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        // However long that takes: the machine is somebody's.
        self.waiter.take().map(JoinHandle::join);
    }
}

/// Writes the agent's files into a new directory that only root may enter.
fn unpack(load: &Load) -> Result<TempDir, StartError> {
    let preparation = frame::encode(&load.preparation).map_err(StartError::Encode)?;
    let write = || {
        let directory = tempfile::Builder::new()
            .prefix("perfsec-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        write_file(&directory.path().join(here::AGENT), 0o700, crate::AGENT)?;
        write_file(&directory.path().join(here::SUBJECT), 0o600, crate::SUBJECT)?;
        write_file(&directory.path().join(here::PREPARATION), 0o600, &preparation)?;
        for (name, binary) in &load.policies {
            write_file(&directory.path().join(name), 0o600, binary)?;
        }
        Ok(directory)
    };
    write().map_err(StartError::Unpack)
}

fn write_file(path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).open(path)?.write_all(content)
}

/// Waits for the guardian. If it was killed, the journal that it leaves says what to put back.
fn wait(mut child: Child, directory: &TempDir, traces: &Traces) -> End {
    let guardian = child.wait();
    let lost = |detail: String| End::Crashed { detail, said: String::new() };
    let Ok(status) = guardian else { return lost("the agent is no child of perfsec".to_owned()) };
    let (status, end) = match status.signal() {
        Some(signal) => {
            let program = directory.path().join(here::AGENT);
            let restore = Command::new(program).arg("restore").arg(directory.path()).status();
            (restore.ok(), guardian_killed(signal))
        }
        None => (Some(status), ended(status.code().and_then(|code| u8::try_from(code).ok()))),
    };
    let code = status.and_then(|status| status.code());
    if code.is_none_or(|code| code == i32::from(here::LEFT_CHANGED)) {
        traces.note(Aftermath::Changed);
    }
    // The guardian has removed it, unless it could not.
    let _ = fs::remove_dir_all(directory.path());
    end
}

/// Shows the engine what the kernel has printed.
fn follow(log: &Mutex<Log>, sink: &Sink) {
    log.lock().unwrap_or_else(PoisonError::into_inner).follow(|line| sink.print(line));
}
