//! `perfsec howto`

use super::args::{BootArgs, HowtoArgs, HowtoFormat, Switch};
use super::destination::{self, Destination};
use super::session::Session;
use super::{Exit, Failure};
use crate::engine::EngineError;
use crate::guest::{GuestImage, GuestName};
use crate::howto::{self, Script, Walk, Walkthrough};
use crate::policy::{self, PolicySource};
use crate::text::Text;

/// Packages whose versions the page has.
const PACKAGES: [&str; 5] =
    ["selinux-policy-default", "policycoreutils", "auditd", "linux-perf", "systemd"];

pub(super) fn howto(args: &HowtoArgs) -> Result<Exit, Failure> {
    if args.show {
        super::print(&Text::of_block(Script::source()))?;
        return Ok(Exit::Success);
    }
    let script = match &args.steps {
        Some(path) => Script::load(path)?,
        None => Script::built_in().map_err(howto::HowtoError::from)?,
    };
    if args.machine.kernel.len() > 1 {
        return Err(Failure::input("a walk through the how-to is on one kernel"));
    }
    refuse_policy(&args.machine.boot)?;
    let format = args.format.unwrap_or_else(|| HowtoFormat::of(args.out.as_deref()));
    let out = Destination::optional(args.out.as_deref())?;
    let session = Session::open(args.machine.boot.quiet)?;
    let (engine, kernels, image) = session.boot_system(&args.machine, &args.guest)?;
    let kernel = kernels.first().ok_or(EngineError::NoKernel)?;
    let (walked, error) = Walk::new(&engine, kernel, &script).run();
    if let Some(exit) = session.interrupted() {
        return Err(Failure { exit, error: "interrupted".into() });
    }
    let walk =
        Walkthrough { system: system(&args.guest, &image), packages: packages(&image), ..walked };
    destination::write(out, &render(&walk, format))?;
    if let Some(error) = error {
        return Err(error.into());
    }
    Ok(if walk.holds() { Exit::Success } else { Exit::Failed })
}

/// Refuses options about a policy: the guest system loads its own. `--guest` has a default, so the
/// parser does not know that they contradict it.
fn refuse_policy(boot: &BootArgs) -> Result<(), Failure> {
    let default = PolicySource::Named(policy::DEFAULT.to_owned());
    let option = if boot.policy.iter().any(|source| *source != default) {
        "--policy"
    } else if !boot.module.is_empty() {
        "--module"
    } else if !boot.boolean.is_empty() {
        "--boolean"
    } else if boot.dontaudit != Switch::On {
        "--dontaudit"
    } else {
        return Ok(());
    };
    let text = format!("{option} cannot be used with howto, which types its changes of the policy");
    Err(Failure::input(text))
}

fn system(name: &GuestName, image: &GuestImage) -> String {
    format!("guest system {name} (image {})", image.short())
}

fn packages(image: &GuestImage) -> Vec<String> {
    let version = |name: &&str| Some(format!("{name} {}", image.version(name)?));
    PACKAGES.iter().filter_map(version).collect()
}

fn render(walk: &Walkthrough, format: HowtoFormat) -> Text {
    match format {
        HowtoFormat::Text => howto::text(walk),
        HowtoFormat::Html => howto::html(walk),
    }
}
