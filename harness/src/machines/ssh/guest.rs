//! The agent on a machine that is reached over ssh: a guardian there, and the worker that it
//! starts.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use perfsec_wire::Order;
use perfsec_wire::frame::FrameError;
use perfsec_wire::here;
use perfsec_wire::relay::{Demand, Ending, Report};

use super::connection::{Connection, Demands, Lost};
use super::lost;
use super::reach::Machine;
use crate::machines::channel::Channel;
use crate::machines::live::{Traces, console_line, ended, guardian_killed};
use crate::machines::{Aftermath, End, Guest, Incident, Sink};
use crate::text::eprint_line;

/// Bytes of the channel that are passed on at once.
const CARRIED: usize = 64 << 10;

/// An agent that runs.
pub(super) struct Remote {
    channel: Channel,
    line: UnixStream,
    demands: Demands,
    pump: Option<JoinHandle<()>>,
}

/// What passes reports on.
struct Pump {
    machine: Arc<Machine>,
    connection: Connection,
    /// The agent's directory there.
    directory: PathBuf,
    /// The other end of the channel.
    port: UnixStream,
    sink: Sink,
    traces: Arc<Traces>,
}

impl Remote {
    /// Talks to an agent that was started.
    pub(super) fn new(
        machine: &Arc<Machine>,
        connection: Connection,
        directory: PathBuf,
        sink: &Sink,
        traces: &Arc<Traces>,
    ) -> io::Result<Self> {
        let (line, port) = UnixStream::pair()?;
        let tell = {
            let sink = sink.clone();
            move |incident| sink.report(incident)
        };
        let channel = Channel::open(line.try_clone()?, None, tell)?;
        let demands = connection.demands();
        let (mut orders, carry) = (port.try_clone()?, demands.clone());
        let carry = move || {
            let mut buffer = vec![0; CARRIED];
            while let Ok(got @ 1..) = orders.read(&mut buffer) {
                if carry.send(&Demand::Carry(buffer[..got].to_vec())).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("orders".to_owned()).spawn(carry)?;
        let pump = Pump {
            machine: Arc::clone(machine),
            connection,
            directory,
            port,
            sink: sink.clone(),
            traces: Arc::clone(traces),
        };
        let pump = thread::Builder::new().name("reports".to_owned()).spawn(|| pump.run())?;
        Ok(Self { channel, line, demands, pump: Some(pump) })
    }
}

impl Guest for Remote {
    fn order(&mut self, order: &Order) -> Result<(), FrameError> {
        self.channel.send(order)
    }

    fn kill(&mut self) {
        // Fails if the connection is gone already, which ends the worker too.
        let _ = self.demands.send(&Demand::Close);
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.kill();
        let _ = self.line.shutdown(Shutdown::Both);
        // However long that takes: the machine is somebody's.
        self.pump.take().map(JoinHandle::join);
    }
}

impl Pump {
    /// Passes reports on until the guardian has ended.
    fn run(mut self) {
        let end = loop {
            match self.connection.report() {
                // The engine may listen no more.
                Ok(Report::Carried(bytes)) => drop(self.port.write_all(&bytes)),
                Ok(Report::Log(record)) => print(&self.sink, &record),
                Ok(Report::Said(text)) => eprint_line!("{text}"),
                Ok(Report::Ended(ending)) => {
                    let (end, aftermath) = of_guardian(ending);
                    self.traces.note(aftermath);
                    self.machine.keep(self.connection);
                    break end;
                }
                Ok(_) => {}
                Err(Lost) => {
                    self.sink.report(Incident::Away(lost::limit(&self.machine)));
                    let Self { machine, connection, directory, sink, traces, .. } = self;
                    let lost = lost::Lost { connection, directory, sink: &sink, traces: &traces };
                    let end = lost.look(&machine);
                    // Until now the channel was open: its end would have been the agent's.
                    let _ = self.port.shutdown(Shutdown::Both);
                    sink.report(Incident::Ended(end));
                    return;
                }
            }
        };
        let _ = self.port.shutdown(Shutdown::Both);
        self.sink.report(Incident::Ended(end));
    }
}

/// The end of a worker, and the state of its machine.
fn of_guardian(ending: Ending) -> (End, Aftermath) {
    let aftermath = match ending.code {
        Some(here::LEFT_CHANGED) | None => Aftermath::Changed,
        Some(_) => Aftermath::Restored,
    };
    let end = match ending.killed_by {
        Some(signal) => guardian_killed(signal),
        None => ended(ending.code),
    };
    (end, aftermath)
}

/// Shows the engine a record of the kernel's log.
pub(super) fn print(sink: &Sink, record: &[u8]) {
    let line = console_line(&String::from_utf8_lossy(record));
    line.into_iter().for_each(|line| sink.print(line.as_bytes()));
}
