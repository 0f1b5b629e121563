//! `perfsec guest`

use super::args::{GuestArgs, GuestBuildArgs, GuestCommand};
use super::signals::Signals;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::guest::{GuestImage, Obtaining};
use crate::text::{Text, eprint_line, line};

/// Packages whose versions are shown.
const SHOWN: [&str; 5] = ["systemd", "auditd", "selinux-policy-default", "linux-perf", "bpftrace"];

pub(super) fn guest(args: &GuestArgs) -> Result<Exit, Failure> {
    match &args.command {
        GuestCommand::Build(args) => build(args),
    }
}

fn build(args: &GuestBuildArgs) -> Result<Exit, Failure> {
    let cache = Cache::open()?;
    // Otherwise it is gone before anybody can boot it.
    cache.require_writable()?;
    let signals = Signals::default();
    signals.watch()?;
    let obtaining = Obtaining {
        cache: &cache,
        refresh: args.anew,
        interrupt: &signals.interrupt,
        progress: &|text| eprint_line!("{text}"),
    };
    let image = signals.stopped(GuestImage::obtain(&args.system, &obtaining))?;
    cache.take_notes().iter().for_each(|note| eprint_line!("{note}"));
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
