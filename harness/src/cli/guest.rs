//! `perfsec guest`

use std::fs::File;

use super::args::{GuestArgs, GuestBuildArgs, GuestCommand, GuestPackArgs};
use super::signals::Signals;
use super::{Exit, Failure, destination};
use crate::cache::Cache;
use crate::guest::{GuestImage, GuestName, Obtaining};
use crate::machines;
use crate::text::{Text, eprint_line, line};

/// Packages whose versions are shown.
const SHOWN: [&str; 5] = ["systemd", "auditd", "selinux-policy-default", "linux-perf", "bpftrace"];

pub(super) fn guest(args: &GuestArgs) -> Result<Exit, Failure> {
    match &args.command {
        GuestCommand::Build(args) => build(args),
        GuestCommand::Pack(args) => pack(args),
    }
}

fn build(args: &GuestBuildArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    // Otherwise it is gone before anybody can boot it.
    cache.require_writable()?;
    let signals = Signals::default();
    let image = obtain(&args.system, args.anew, &cache, &signals)?;
    let mut text = Text::new();
    let mib = image.bytes.div_ceil(1 << 20);
    line!(
        text,
        "{}: image {}, {mib} MiB, {} packages",
        image.name,
        image.short(),
        image.packages.len()
    );
    for package in SHOWN {
        line!(text, "  {package} {}", image.version(package).unwrap_or("(missing)"));
    }
    super::print(&text)?;
    Ok(Exit::Success)
}

fn pack(args: &GuestPackArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    let signals = Signals::default();
    let image = obtain(&args.system, false, &cache, &signals)?;
    let written = destination::replace(&args.file, |file| {
        let root = signals.interrupt.reader(File::open(&image.archive)?);
        machines::pack_system(root, &args.program, file)
    });
    signals.stopped(written)?;
    let mut text = Text::new();
    line!(text, "{}", machines::system_parameters().join(" "));
    super::print(&text)?;
    Ok(Exit::Success)
}

/// The image of a system, from the cache or built.
fn obtain(
    system: &GuestName,
    refresh: bool,
    cache: &Cache,
    signals: &Signals,
) -> Result<GuestImage, Failure> {
    signals.watch()?;
    let obtaining = Obtaining {
        cache,
        refresh,
        interrupt: &signals.interrupt,
        progress: &|text| eprint_line!("{text}"),
    };
    let image = signals.stopped(GuestImage::obtain(system, &obtaining))?;
    cache.take_notes().iter().for_each(|note| eprint_line!("{note}"));
    Ok(image)
}
