//! A machine whose connection was lost: it is looked for, and found as it was or rebooted.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use perfsec_wire::relay::{Demand, Report, SILENCE_LIMIT};

use super::connection::{self, Connection};
use super::guest::print;
use super::reach::Machine;
use crate::foreign;
use crate::machines::live::Traces;
use crate::machines::{Aftermath, End, Sink};
use crate::text::eprint_line;

/// Connections that may be lost in a run.
const LOSSES: usize = 5;
/// The pause between two attempts to reach a machine.
const PAUSE: Duration = Duration::from_secs(2);
/// The time that the old guardian may take, and what is read there.
const SLACK: Duration = Duration::from_secs(SILENCE_LIMIT + 180);
/// Beginning of the words of a guardian that left something changed.
const LEFT: &str = "perfsec: left ";

/// The places of what a kernel leaves for the next one; systemd moves it to the second.
const PSTORE: [&str; 2] = ["/sys/fs/pstore", "/var/lib/systemd/pstore"];

/// What tells a machine that went on from one that was rebooted.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    boot_id: String,
    /// The files in the places of pstore. They are somebody's, and stay there.
    pstore: BTreeSet<String>,
    losses: usize,
}

impl Witnesses {
    /// Those of a machine before the first cell.
    pub(super) fn of(connection: &mut Connection) -> Result<Self, connection::Lost> {
        let boot_id = connection.hello.boot_id.clone();
        Ok(Self { boot_id, pstore: pstore(connection)?, losses: 0 })
    }

    pub(super) fn is_lost_too_often(&self) -> bool {
        self.losses > LOSSES
    }
}

/// The longest time until the end of a lost machine is known.
pub(super) fn limit(machine: &Machine) -> Duration {
    machine.limit + SLACK
}

/// A connection that was lost while an agent ran.
pub(super) struct Lost<'a> {
    pub(super) connection: Connection,
    /// The agent's directory.
    pub(super) directory: PathBuf,
    pub(super) sink: &'a Sink,
    pub(super) traces: &'a Traces,
}

impl Lost<'_> {
    /// Looks for the machine; returns how the agent ended.
    pub(super) fn look(self, machine: &Machine) -> End {
        let Self { connection, directory, sink, traces } = self;
        let record = connection.record;
        let said = connection.end();
        let name = machine.name();
        machine.witnesses().losses += 1;
        let mut found = match reach_again(machine) {
            Ok(found) => found,
            Err(why) => {
                traces.note(Aftermath::Unseen);
                let detail = format!("the connection to {name} was lost, and {why}");
                return End::Crashed { detail, said };
            }
        };
        let directory = directory.display().to_string();
        let is_same = found.hello.boot_id == machine.witnesses().boot_id;
        let looked = match is_same {
            true => settle(&mut found, record, directory, sink),
            false => read_remains(&mut found, machine, directory, sink),
        };
        traces.note(looked.unwrap_or(Aftermath::Unseen));
        // What is lost again is noticed at the next start.
        machine.keep(found);
        match is_same {
            true => {
                let detail = format!("the connection to {name} was lost, and the machine went on");
                End::Crashed { detail, said }
            }
            false => End::Rebooted,
        }
    }
}

/// Reaches a machine again; returns a clause if that fails.
fn reach_again(machine: &Machine) -> Result<Connection, String> {
    if machine.witnesses().is_lost_too_often() {
        return Err(format!("that {LOSSES} times before"));
    }
    let deadline = Instant::now() + machine.limit;
    loop {
        let error = match Connection::open(&machine.destination, &machine.interrupt) {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        if machine.interrupt.is_raised() {
            return Err("the run was interrupted".to_owned());
        }
        if Instant::now() + PAUSE > deadline {
            let seconds = machine.limit.as_secs();
            return Err(format!("the network did not lead to it for {seconds} s ({error})"));
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until the machine is put back, and shows what its kernel has printed meanwhile.
fn settle(
    found: &mut Connection,
    record: u64,
    directory: String,
    sink: &Sink,
) -> Result<Aftermath, connection::Lost> {
    found.demand(&Demand::Settle(directory))?;
    let code = loop {
        match found.report()? {
            Report::Said(text) => eprint_line!("{text}"),
            Report::Settled(code) => break code,
            _ => {}
        }
    };
    let mut aftermath = match code {
        None | Some(0) => Aftermath::Restored,
        Some(_) => Aftermath::Changed,
    };
    found.demand(&Demand::CatchUp(record))?;
    loop {
        match found.report()? {
            Report::Log(record) => {
                print(sink, &record);
                if let Some(words) = left(&String::from_utf8_lossy(&record)) {
                    eprint_line!("{words}");
                    aftermath = Aftermath::Changed;
                }
            }
            Report::Caught => return Ok(aftermath),
            _ => {}
        }
    }
}

/// The words of a guardian that left something changed, in a record of the kernel's log.
fn left(record: &str) -> Option<&str> {
    let text = record.split_once(';')?.1.lines().next()?;
    text.starts_with(LEFT).then_some(text)
}

/// Shows what a kernel that is gone has left, and removes what the agent has.
fn read_remains(
    found: &mut Connection,
    machine: &Machine,
    directory: String,
    sink: &Sink,
) -> Result<Aftermath, connection::Lost> {
    let files = pstore(found)?;
    let mut witnesses = machine.witnesses();
    for path in files.difference(&witnesses.pstore) {
        if let Ok(text) = found.read(path, &foreign::SYSTEM_FILE) {
            sink.print(format!("{path}:\r\n").as_bytes());
            sink.print(&text);
        }
    }
    (witnesses.boot_id, witnesses.pstore) = (found.hello.boot_id.clone(), files);
    found.demand(&Demand::Remove(directory))?;
    // The reboot has put the machine back.
    found.answer().map(|_| Aftermath::Restored)
}

/// The files in the places of pstore.
fn pstore(connection: &mut Connection) -> Result<BTreeSet<String>, connection::Lost> {
    let mut files = BTreeSet::new();
    for place in PSTORE {
        files.extend(connection.list(place)?);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "14,9,5,-;perfsec: left changed: the limits of audit (…)\n",
        Some("perfsec: left changed: the limits of audit (…)")
    )]
    #[case("6,9,5,-;audit: perfsec: left changed\n", None)]
    #[case("garbage", None)]
    fn a_guardian_says_in_the_log_what_it_left(#[case] record: &str, #[case] words: Option<&str>) {
        assert_eq!(left(record), words);
    }
}
