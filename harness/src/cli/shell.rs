//! `perfsec shell`

use perfsec_wire::Message;

use super::args::ShellArgs;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::engine::{Engine, Listener as _, PlainListener, refusal_text};
use crate::foreign;
use crate::guest::{GuestImage, Obtaining};
use crate::host::{Host, Need, ToolState};
use crate::interrupt::Interrupt;
use crate::machines::End;
use crate::text::{Text, eprint_line, eprint_raw};

pub(super) fn shell(args: &ShellArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    cache.notice().iter().for_each(|notice| eprint_line!("{notice}"));
    // A progress bar would draw over the shell.
    let stderr = PlainListener { quiet: args.machine.boot.quiet };
    let (mut setup, interrupt) = (args.machine.setup()?, Interrupt::default());
    let busybox = match &args.system.guest {
        None => Some(busybox()?),
        Some(name) => {
            let progress = |text: &str| stderr.note(text);
            let (cache, interrupt) = (&cache, &interrupt);
            let obtaining = Obtaining { cache, refresh: false, interrupt, progress: &progress };
            setup = setup.with_guest(GuestImage::obtain(name, &obtaining)?);
            None
        }
    };
    let engine = Engine::open(setup, cache, interrupt, &stderr)?;
    let kernels = engine.kernels(&args.machine.kernel)?;
    let (Some(kernel), Some(policy)) = (kernels.first(), engine.policies().first()) else {
        return Err(Failure::input("a shell needs a kernel and a policy"));
    };
    let leave = match &args.system.guest {
        None => "`exit` or Ctrl-D",
        Some(_) => "`systemctl poweroff`, as root",
    };
    engine.note(&format!(
        "booting Linux {} under the policy {}; leave with {leave}, or kill QEMU with Ctrl-A x",
        kernel.version, policy.name
    ));
    let listener = Box::new(|message| {
        if let Message::Refused(why) = message {
            eprint_raw(&Text::of_line(format_args!("error: {}", refusal_text(&why))));
        }
    });
    let end = engine.shell(kernel, policy, busybox, listener)?;
    match end {
        End::PoweredOff | End::Killed => Ok(Exit::Success),
        End::Rebooted | End::Crashed { .. } => {
            Err(Failure { exit: Exit::Kernel, error: format!("the guest {end}").into() })
        }
    }
}

/// The static busybox, as bytes: nothing else of a userland goes into the guest.
fn busybox() -> Result<Vec<u8>, Failure> {
    let host = Host::inspect();
    let found = host.findings.iter().find(|finding| finding.tool.need == Need::Shell);
    let Some(ToolState::Found { path, .. }) = found.map(|finding| &finding.state) else {
        return Err(Failure::host(
            "a shell needs a static busybox on this host; `perfsec doctor` says how to install it",
        ));
    };
    foreign::read(path, &foreign::PROGRAM)
        .map_err(|error| Failure::host(format!("cannot read {}: {error}", path.display())))
}
