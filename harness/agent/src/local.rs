//! Being an ordinary root process on a machine that lives on: everything changed is put back.

use std::path::PathBuf;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use perfsec_wire::Message;
use perfsec_wire::frame::Writer;

use crate::error::{Doing, Error, Result};
use crate::machine::Files;
use crate::trace::tracefs;
use crate::undo::Undo;
use crate::{lane, machine, selinux, sys};

const USAGE: &str = "usage: perfsec-agent --lane FILE --subject FILE [--policies DIR]";

/// Runs the lane that the command line names; messages go to standard output.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> u8 {
    let started_ms = machine::uptime_ms();
    sys::ignore_sigpipe();
    let Some(paths) = paths(arguments) else {
        eprintln!("{USAGE}");
        return 2;
    };
    let mut channel = Writer::new(std::io::stdout());
    let read = |path: &PathBuf| {
        std::fs::read(path).doing(format_args!("read {}", path.display())).map_err(Error::refusal)
    };
    let said = lane::hello(&mut channel).and_then(|()| {
        let asked = read(&paths.lane)
            .and_then(|bytes| lane::read(&bytes))
            .and_then(|lane| Ok((lane, read(&paths.subject)?)))
            .and_then(|asked| mounts().map(|()| asked).map_err(Error::refusal));
        match asked {
            Ok((lane, subject)) => {
                let files = Files { subject, policies: paths.policies };
                let (undo, channel_is) = (Undo::new(true), "standard output".to_owned());
                let start = lane::Start { files, undo, started_ms, channel: channel_is };
                lane::run(&lane, start, &mut channel, || ())
            }
            Err(refusal) => channel.write(&Message::Refused(refusal)),
        }
    });
    match said {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("perfsec-agent: could not talk to the host: {error}");
            1
        }
    }
}

struct Paths {
    lane: PathBuf,
    subject: PathBuf,
    policies: PathBuf,
}

fn paths(mut arguments: impl Iterator<Item = String>) -> Option<Paths> {
    let (mut lane, mut subject, mut policies) = (None, None, PathBuf::new());
    while let Some(argument) = arguments.next() {
        let value = PathBuf::from(arguments.next()?);
        match argument.as_str() {
            "--lane" => lane = Some(value),
            "--subject" => subject = Some(value),
            "--policies" => policies = value,
            _ => return None,
        }
    }
    Some(Paths { lane: lane?, subject: subject?, policies })
}

/// Mounts in a namespace of the agent's own, so that they end with it.
fn mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).doing("make a mount namespace")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .doing("make mounts private")?;
    let tracing = tracefs();
    if !tracing.join("tracing_on").exists() {
        mount(Some("tracefs"), tracing, Some("tracefs"), MsFlags::empty(), none)
            .doing("mount tracefs")?;
    }
    for (kind, at, file) in
        [("securityfs", "/sys/kernel/security", "lsm"), ("selinuxfs", selinux::MOUNT, "enforce")]
    {
        let at = PathBuf::from(at);
        if at.is_dir() && !at.join(file).exists() {
            mount(Some(kind), &at, Some(kind), MsFlags::empty(), none)
                .doing(format_args!("mount {kind}"))?;
        }
    }
    Ok(())
}
