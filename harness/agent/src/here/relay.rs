//! The relay: on a machine that perfsec reaches over a connection, it does what perfsec itself does
//! on its own machine. It keeps nothing on disk, so that nothing is left whenever it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Stdin, Stdout, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use perfsec_wire::frame::{Reader, Writer};
use perfsec_wire::here;
use perfsec_wire::relay::{Demand, Ending, Hello, PIECE, Report, SILENCE_LIMIT};

use super::guardian;
use super::log::Log;
use super::role::Role;
use crate::error::{Error, ErrorContext, Result};

/// The program of this process, even once its file is removed.
const SELF: &str = "/proc/self/exe";
/// Beginning of the names of the agent's directories.
const PREFIX: &str = "perfsec-";
/// Reports that may wait for the connection.
const WAITING: usize = 64;
/// Bytes of the channel that are passed on at once.
const CARRIED: usize = 64 << 10;
/// Directories below one that is listed.
const DEPTH: usize = 3;
/// Files that are listed.
const LISTED: usize = 1000;
/// The longest time that an earlier guardian takes.
const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// Serves a connection, on standard input and output; returns the exit code. `directory` has the
/// program of this process, and is removed. The guardian's directory is made beside it.
pub(super) fn run(directory: &Path) -> u8 {
    let program = fs::read(SELF);
    let removed = fs::remove_dir_all(directory);
    let place = directory.parent().unwrap_or(Path::new("/")).to_owned();
    let served = removed
        .doing(format_args!("remove {}", directory.display()))
        .and_then(|()| program.doing("read the agent's own program"))
        .and_then(|program| serve(&place, &program));
    match served {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("perfsec: {error}");
            here::NOT_STARTED
        }
    }
}

/// Obeys perfsec's demands until the connection ends, or is silent for too long. A guardian that
/// runs then loses its channel, and puts the machine back.
fn serve(place: &Path, program: &[u8]) -> Result<()> {
    // A connection or a worker that is gone is an error of a write, in each thread.
    let mut broken = SigSet::empty();
    broken.add(Signal::SIGPIPE);
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&broken), None).doing("block a signal")?;
    let demands = demands(std::io::stdin())?;
    let reports = reports(std::io::stdout())?;
    // Fails only once the connection has ended, which the demands tell.
    let say = |report| drop(reports.send(report));
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let audit = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkAudit,
    );
    let mut log = Log::open().doing("open the kernel's log")?;
    let mut record = 0;
    log.follow(|number, _| record = number);
    say(Report::Hello(Hello {
        boot_id: boot_id.doing("read the id of this boot")?.trim().to_owned(),
        is_root: nix::unistd::Uid::effective().is_root(),
        audit: audit.err().map(|errno| errno as i32),
        record,
    }));
    let teller = Teller { log: Arc::new(Mutex::new(log)), reports: reports.clone() };
    teller.follow()?;
    let mut line: Option<UnixStream> = None;
    // The relay's process ends with this function, whatever its other threads wait for.
    while let Ok(demand) = demands.recv_timeout(Duration::from_secs(SILENCE_LIMIT)) {
        match demand {
            Demand::Beat => {}
            Demand::Read(path) => {
                let read = read_file(&path, |piece| say(Report::Piece(piece.to_vec())));
                say(Report::Read(read.map_err(|error| error.raw_os_error().unwrap_or(0))));
            }
            Demand::List(path) => {
                let mut found = Vec::new();
                list(Path::new(&path), DEPTH, &mut found);
                found.sort();
                say(Report::Listed(found));
            }
            Demand::CatchUp(after) => {
                if let Ok(mut log) = Log::open() {
                    log.follow(|number, record| {
                        if number > after {
                            say(Report::Log(record.to_vec()));
                        }
                    });
                }
                say(Report::Caught);
            }
            Demand::Settle(directory) => {
                say(Report::Settled(settle(&own_directory(place, &directory)?)));
            }
            Demand::Remove(directory) => {
                let _ = fs::remove_dir_all(own_directory(place, &directory)?);
                say(Report::Settled(None));
            }
            Demand::Start { preparation, subject } => {
                match start(place, program, &preparation, &subject, teller.clone()) {
                    Ok((other, directory)) => {
                        line = Some(other);
                        say(Report::Started(Ok(directory.display().to_string())));
                    }
                    Err(error) => say(Report::Started(Err(error.to_string()))),
                }
            }
            Demand::Carry(bytes) => {
                // A worker that has ended reads nothing, and its end is reported.
                if let Some(line) = &mut line {
                    let _ = line.write_all(&bytes);
                }
            }
            Demand::Close => {
                if let Some(line) = &line {
                    let _ = line.shutdown(Shutdown::Both);
                }
            }
        }
    }
    Ok(())
}

/// The demands, as a thread reads them. They end with the connection.
fn demands(input: Stdin) -> Result<Receiver<Demand>> {
    let (sender, receiver) = sync_channel(WAITING);
    let read = move || {
        let mut reader = Reader::new(BufReader::new(input));
        while let Ok(Some(demand)) = reader.read() {
            if sender.send(demand).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().spawn(read).doing("start a thread")?;
    Ok(receiver)
}

/// The way for reports, which a thread writes: a connection that takes none must not keep the relay
/// from noticing that it is silent.
fn reports(output: Stdout) -> Result<SyncSender<Report>> {
    let (sender, receiver) = sync_channel::<Report>(WAITING);
    let write = move || {
        let mut writer = Writer::plain(BufWriter::new(output));
        while let Ok(report) = receiver.recv() {
            let mut written = writer.queue(&report);
            while let Ok(report) = receiver.try_recv() {
                written = written.and_then(|()| writer.queue(&report));
            }
            if written.and_then(|()| Ok(writer.flush()?)).is_err() {
                break;
            }
        }
    };
    thread::Builder::new().spawn(write).doing("start a thread")?;
    Ok(sender)
}

/// Reports what a worker does, behind what the kernel had logged by then.
#[derive(Clone)]
struct Teller {
    log: Arc<Mutex<Log>>,
    reports: SyncSender<Report>,
}

impl Teller {
    /// Reports something; returns false once the connection has ended.
    fn tell(&self, report: Report) -> bool {
        self.tell_log() && self.reports.send(report).is_ok()
    }

    /// Reports what the kernel has logged.
    fn tell_log(&self) -> bool {
        // Locked while it is sent: the records stay in order.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = true;
        log.follow(|_, record| open &= self.reports.send(Report::Log(record.to_vec())).is_ok());
        open
    }

    /// Reports the log as it grows.
    fn follow(&self) -> Result<()> {
        let teller = self.clone();
        let own = self.log.lock().unwrap_or_else(PoisonError::into_inner).try_clone();
        let own = own.doing("follow the kernel's log")?;
        let follow = move || while own.wait().is_ok() && teller.tell_log() {};
        thread::Builder::new().spawn(follow).doing("start a thread").map(drop)
    }
}

/// Passes the pieces of a regular file on.
fn read_file(path: &str, mut pass: impl FnMut(&[u8])) -> std::io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(std::io::Error::from_raw_os_error(nix::libc::EINVAL));
    }
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(()),
            got => pass(&piece[..got]),
        }
    }
}

/// Collects the regular files in a directory, and in those below it up to a depth.
fn list(directory: &Path, depth: usize, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => list(&path, depth - 1, found),
            Ok(kind) if kind.is_file() && found.len() < LISTED => {
                found.extend(path.to_str().map(str::to_owned));
            }
            _ => {}
        }
    }
}

/// The directory, if it is one that an agent made in this place.
fn own_directory(place: &Path, directory: &str) -> Result<PathBuf> {
    let path = PathBuf::from(directory);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if path.parent() == Some(place) && name.starts_with(PREFIX) {
        return Ok(path);
    }
    Err(Error::new(format_args!("remove {directory}"), "it is not the agent's"))
}

/// Waits until no guardian is left, and does the work of one that was killed.
fn settle(directory: &Path) -> Option<u8> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    while guardian::runs() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(100));
    }
    if !directory.exists() {
        return None;
    }
    let mut restore = Command::new(SELF);
    let status = restore.arg(Role::RESTORE).arg(directory).stdin(Stdio::null()).status();
    let code = status.ok().and_then(|status| status.code());
    Some(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(here::LEFT_CHANGED))
}

/// Starts a guardian; returns the end of its channel, and its directory.
fn start(
    place: &Path,
    program: &[u8],
    preparation: &[u8],
    subject: &[u8],
    teller: Teller,
) -> Result<(UnixStream, PathBuf)> {
    let directory = private_directory(place)?;
    let written = write_file(&directory.join(here::AGENT), 0o700, program)
        .and_then(|()| write_file(&directory.join(here::SUBJECT), 0o600, subject))
        .and_then(|()| write_file(&directory.join(here::PREPARATION), 0o600, preparation));
    let started = written.and_then(|()| start_guardian(&directory, teller));
    match started {
        Ok(line) => Ok((line, directory)),
        Err(error) => {
            let _ = fs::remove_dir_all(&directory);
            Err(error)
        }
    }
}

fn start_guardian(directory: &Path, teller: Teller) -> Result<UnixStream> {
    let doing = "start the guardian";
    let (line, other) = UnixStream::pair().doing(doing)?;
    let mut guardian = Command::new(SELF);
    guardian.arg0(directory.join(here::AGENT)).arg(Role::GUARD).arg(directory);
    let input = Stdio::from(OwnedFd::from(other.try_clone().doing(doing)?));
    let output = Stdio::from(OwnedFd::from(other));
    let child = guardian.stdin(input).stdout(output).stderr(Stdio::piped()).spawn();
    let mut child = child.doing(doing)?;
    // With it, its copies of the channel's other end.
    drop(guardian);
    let said = child.stderr.take();
    let mut carried = line.try_clone().doing(doing)?;
    let directory = directory.to_owned();
    // Beside what is carried: the worker of a guardian that is killed works on, and keeps its end
    // of the channel open until it is ended here.
    let wait = move || {
        let ending = ending(child.wait(), &directory);
        let _ = fs::remove_dir_all(&directory);
        ending
    };
    let waiter = thread::Builder::new().spawn(wait).doing(doing)?;
    let serve = move || {
        let mut buffer = vec![0; CARRIED];
        while let Ok(got @ 1..) = carried.read(&mut buffer) {
            if !teller.tell(Report::Carried(buffer[..got].to_vec())) {
                break;
            }
        }
        if let Some(said) = said {
            pass_lines(said, &teller.reports);
        }
        let ending = waiter.join().unwrap_or(Ending { killed_by: None, code: None });
        teller.tell(Report::Ended(ending));
    };
    thread::Builder::new().spawn(serve).doing(doing)?;
    Ok(line)
}

/// The end of a guardian. The work of one that was killed is done first.
fn ending(ended: std::io::Result<ExitStatus>, directory: &Path) -> Ending {
    match ended {
        Ok(status) if status.signal().is_some() => {
            Ending { killed_by: status.signal(), code: settle(directory).or(Some(0)) }
        }
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            Ending { killed_by: None, code }
        }
        Err(_) => Ending { killed_by: None, code: None },
    }
}

/// Reports what the guardian printed.
fn pass_lines(said: ChildStderr, reports: &SyncSender<Report>) {
    for text in BufReader::new(said).lines().map_while(std::io::Result::ok) {
        let _ = reports.send(Report::Said(text));
    }
}

/// Makes a directory that only root may enter.
fn private_directory(place: &Path) -> Result<PathBuf> {
    let mut random = [0; 8];
    let doing = "make a private directory";
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).doing(doing)?;
    let path = place.join(format!("{PREFIX}{:016x}", u64::from_le_bytes(random)));
    fs::DirBuilder::new().mode(0o700).create(&path).doing(doing)?;
    Ok(path)
}

fn write_file(path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(content))
        .doing(format_args!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/tmp/perfsec-0123", true)]
    #[case("/tmp/perfsec-1/../etc", false)]
    #[case("/etc", false)]
    #[case("/tmp/other", false)]
    #[case("perfsec-0123", false)]
    fn only_directories_of_agents_are_removed(#[case] path: &str, #[case] own: bool) {
        assert_eq!(own_directory(Path::new("/tmp"), path).is_ok(), own);
    }

    #[test]
    fn files_are_listed_with_those_below_and_read_whole() {
        let folder = private_directory(&std::env::temp_dir()).unwrap();
        fs::create_dir(folder.join("below")).unwrap();
        let (one, two) = (folder.join("below/one"), folder.join("two"));
        fs::write(&one, "1").unwrap();
        fs::write(&two, vec![7; PIECE + 1]).unwrap();
        let mut found = Vec::new();
        list(&folder, DEPTH, &mut found);
        found.sort();
        assert_eq!(found, [&one, &two].map(|path| path.display().to_string()));
        let mut pieces = Vec::new();
        read_file(&found[1], |piece| pieces.push(piece.len())).unwrap();
        assert_eq!(pieces, [PIECE, 1]);
        assert!(read_file(&folder.display().to_string(), |_| {}).is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
