//! `perfsec shell`

use std::sync::Arc;

use perfsec_wire::{BootMode, Job, Message};

use super::args::ShellArgs;
use super::{Exit, Failure, lanes};
use crate::cache::Cache;
use crate::engine::refusal_text;
use crate::host::{Host, Need, ToolState};
use crate::interrupt::Interrupt;
use crate::machines::{End, Load};

pub(super) fn shell(args: &ShellArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let busybox = busybox()?;
    let interrupt = Interrupt::default();
    let quiet = args.machine.boot.quiet;
    let say = |text: &str| {
        if !quiet {
            anstream::eprintln!("{text}");
        }
    };
    let ready = lanes::prepare(&args.machine, &cache, &interrupt, &say)?;
    let (Some(kernel), Some(policy)) = (ready.kernels.first(), ready.machine.policies.first())
    else {
        return Err(Failure::input("a shell needs a kernel and a policy"));
    };
    anstream::eprintln!(
        "booting Linux {} under the policy {}; leave with `exit` or Ctrl-D, or end QEMU with Ctrl-A x",
        kernel.version,
        policy.name
    );
    let load = Load::new(BootMode::Selinux, &Arc::clone(policy).into(), Job::Shell, None);
    let listener = Box::new(|message| {
        if let Message::Refused(why) = message {
            anstream::eprintln!("\r\nerror: {}\r", refusal_text(&why));
        }
    });
    let end = ready.machine.pool.shell(kernel, &load, busybox, listener)?;
    match end {
        End::PoweredOff | End::Killed => Ok(Exit::Success),
        End::Rebooted | End::Crashed { .. } => {
            Err(Failure { exit: Exit::Kernel, error: format!("the guest {end}").into() })
        }
    }
}

/// The shell's program, whole: it goes into the guest alone.
fn busybox() -> Result<Vec<u8>, Failure> {
    let host = Host::inspect();
    let found = host.findings.iter().find(|finding| finding.tool.need == Need::Shell);
    let Some(ToolState::Found { path, .. }) = found.map(|finding| &finding.state) else {
        return Err(Failure::host(
            "a shell needs a static busybox on this host; `perfsec doctor` says how to install it",
        ));
    };
    std::fs::read(path)
        .map_err(|error| Failure::host(format!("cannot read {}: {error}", path.display())))
}
