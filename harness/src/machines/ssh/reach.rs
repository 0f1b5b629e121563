//! The way to a machine over ssh.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use perfsec_wire::frame;
use perfsec_wire::relay::{Demand, Report};

use super::connection::Connection;
use super::guest::Remote;
use super::lost::Witnesses;
use super::{Destination, SshError};
use crate::foreign::{self, Files, Limit};
use crate::interrupt::Interrupt;
use crate::kernel::Kernel;
use crate::machines::live::{self, Launch, LivePool, Reach, Rights};
use crate::machines::{Blame, End, Guest, Incident, MachineError, MachineName, Pool, Sink};
use crate::policy;

/// A machine that was reached, and on which cells can run.
#[derive(Debug)]
pub struct Reached {
    /// Its pool.
    pub pool: Arc<dyn Pool>,
    /// The policy that its kernel has loaded.
    pub policy: Vec<u8>,
}

/// Reaches a machine, and checks that cells can run on it. Whenever it is lost, it is looked for
/// until `limit` has passed.
///
/// # Errors
///
/// If ssh does not reach it, or no cell can run there; ssh's own words say why.
pub fn reach(
    destination: &Destination,
    limit: Duration,
    interrupt: &Interrupt,
) -> Result<Reached, SshError> {
    let name = MachineName::Ssh(destination.clone()).to_string();
    let mut connection = Connection::open(destination, interrupt)?;
    let rights = Rights {
        is_root: connection.hello.is_root,
        audit: connection.hello.audit.map_or(Ok(()), |errno| Err(Errno::from_raw(errno))),
    };
    let witnesses = Witnesses::of(&mut connection).map_err(|_| unreachable(&name))?;
    let machine = Machine {
        destination: destination.clone(),
        limit,
        interrupt: interrupt.clone(),
        line: Mutex::new(Some(connection)),
        witnesses: Mutex::new(witnesses),
    };
    live::check(&name, &machine, rights)?;
    let read = machine.read(policy::LOADED, &foreign::POLICY);
    let policy = read.map_err(|source| SshError::Read {
        machine: name.clone(),
        path: policy::LOADED.to_owned(),
        source,
    })?;
    let kernel = Kernel::running(&machine);
    let kernel = kernel.map_err(|source| SshError::Kernel { machine: name, source })?;
    let machine = Arc::new(machine);
    let pool = LivePool::new(Box::new(Arc::clone(&machine)), kernel, &*machine);
    Ok(Reached { pool: Arc::new(pool), policy })
}

fn unreachable(machine: &str) -> SshError {
    let said = "the connection was lost".to_owned();
    SshError::Unreachable { machine: machine.to_owned(), said }
}

/// A machine that is reached over ssh.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) destination: Destination,
    /// The time for which it is looked for when it was lost.
    pub(super) limit: Duration,
    pub(super) interrupt: Interrupt,
    /// The connection that no guest uses.
    line: Mutex<Option<Connection>>,
    /// What tells a machine that went on from one that was rebooted.
    witnesses: Mutex<Witnesses>,
}

impl Machine {
    /// Its name.
    pub(super) fn name(&self) -> MachineName {
        MachineName::Ssh(self.destination.clone())
    }

    pub(super) fn witnesses(&self) -> MutexGuard<'_, Witnesses> {
        self.witnesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Option<Connection>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection for the next guest.
    pub(super) fn keep(&self, connection: Connection) {
        *self.line() = Some(connection);
    }

    /// Takes the connection, or opens another. Returns the reason if the machine is not reached.
    fn take(&self) -> Result<Connection, String> {
        if let Some(connection) = self.line().take() {
            return Ok(connection);
        }
        if self.witnesses().is_lost_too_often() {
            return Err("its connection was lost too often".to_owned());
        }
        let connection = Connection::open(&self.destination, &self.interrupt);
        connection.map_err(|error| error.to_string())
    }
}

impl Files for Machine {
    fn read(&self, path: &str, limit: &'static Limit) -> io::Result<Vec<u8>> {
        match &mut *self.line() {
            Some(connection) => connection.read(path, limit),
            None => Err(io::Error::other("the machine is not reached")),
        }
    }
}

impl Reach for Arc<Machine> {
    fn name(&self) -> String {
        Machine::name(self).to_string()
    }

    fn start(&self, launch: &Launch<'_>) -> Result<Box<dyn Guest>, MachineError> {
        let Launch { load, sink, traces } = *launch;
        let mut connection = match self.take() {
            Ok(connection) => connection,
            // Not the fault of perfsec's own host: the run goes on to say so of each cell.
            Err(why) => return Ok(Box::new(Unreached::tell(why, sink))),
        };
        let preparation = frame::encode(&load.preparation);
        let preparation = preparation.map_err(|error| MachineError::new(Blame::Host, error))?;
        let start = Demand::Start { preparation, subject: crate::SUBJECT.to_vec() };
        let started = connection.demand(&start).and_then(|()| connection.answer());
        match started {
            Ok(Report::Started(Ok(directory))) => {
                let remote = Remote::new(self, connection, PathBuf::from(directory), sink, traces);
                let remote = remote.map_err(|error| MachineError::new(Blame::Host, error))?;
                Ok(Box::new(remote))
            }
            Ok(Report::Started(Err(why))) => {
                let why = format!("start the agent on {}: {why}", Machine::name(self));
                Err(MachineError::new(Blame::Host, why))
            }
            Ok(_) | Err(_) => {
                let why = format!("the connection was lost: {}", connection.end());
                Ok(Box::new(Unreached::tell(why, sink)))
            }
        }
    }
}

/// A machine that is not reached: it ends at once.
struct Unreached;

impl Unreached {
    fn tell(why: String, sink: &Sink) -> Self {
        let detail = "the machine could not be reached".to_owned();
        sink.report(Incident::Silence(None));
        sink.report(Incident::Ended(End::Crashed { detail, said: why }));
        Self
    }
}

impl Guest for Unreached {
    fn order(&mut self, _order: &perfsec_wire::Order) -> Result<(), frame::FrameError> {
        Err(io::Error::from(io::ErrorKind::NotConnected).into())
    }

    fn kill(&mut self) {}
}
