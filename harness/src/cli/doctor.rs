//! `perfsec doctor`

use std::path::Path;

use super::args::DoctorArgs;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::host::{Host, Importance, Kvm, Need, ToolFinding, ToolState};
use crate::machines::qemu;
use crate::printable::printable_line;

pub(super) fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut host = Host::inspect();
    let needs = args.needs();
    if args.install {
        let changed = host.install(&needs, &|text| anstream::println!("{text}"));
        if changed.map_err(Failure::host)? {
            host = Host::inspect();
        }
    }
    anstream::println!("host: {}", host.os.name());
    for finding in host.findings.iter().filter(|finding| needs.contains(&finding.tool.need)) {
        anstream::println!("{}", line(finding));
    }
    anstream::println!("  /dev/kvm: {}", kvm(host.kvm));
    anstream::println!("  snapshots: {}", snapshots());
    let root = nix::unistd::geteuid().is_root();
    if let Some(command) = host.missing_command(&needs, root) {
        anstream::println!("to install what is missing, type:\n  {command}");
    }
    // Runs need neither a shell nor benchmarks, and kernels can be files.
    let blocked = host.missing(&[Need::Run]).next().is_some();
    let asked = args.install && host.missing(&needs).next().is_some();
    Ok(if blocked || asked { Exit::Host } else { Exit::Success })
}

fn line(finding: &ToolFinding) -> String {
    let tool = finding.tool;
    let what = format!("{}, which {}", tool.name, tool.why);
    let missing = match tool.importance {
        Importance::Needed => "MISSING",
        Importance::Useful => "missing, useful",
    };
    match &finding.state {
        ToolState::Found { path, version } => {
            let version =
                version.as_deref().map_or(String::new(), |version| format!(" ({version})"));
            format!("  found: {what}: {}{version}", path.display())
        }
        ToolState::Missing => format!("  {missing}: {what}"),
        ToolState::NotExecutable { path } => {
            format!("  {missing}: {what}: {} is not executable for you", path.display())
        }
        ToolState::Unsuitable { path, reason } => {
            format!("  {missing}: {what}: {} {reason}", path.display())
        }
    }
}

fn kvm(kvm: Kvm) -> String {
    match kvm {
        Kvm::Absent => "absent, so kernels are emulated".to_owned(),
        Kvm::NotPermitted => {
            "not yours to open, so kernels are emulated; add yourself to the group that owns it"
                .to_owned()
        }
        Kvm::Permitted => probed_kvm(),
    }
}

/// The remembered result of the probe in one line, with QEMU's own words below it.
fn probed_kvm() -> String {
    let cache = Cache::open().ok();
    let known = cache.and_then(|cache| qemu::remembered_probe(Path::new(qemu::PROGRAM), &cache));
    match known {
        None => "there; the first boot of a kernel shows if it works".to_owned(),
        Some(probe) if probe.accel == qemu::Accel::Kvm => format!("works ({})", probe.why),
        Some(probe) => {
            let detail = probe.detail.unwrap_or_default();
            let lines = detail.lines().map(|line| format!("\n    {}", printable_line(line)));
            format!("{}, so kernels are emulated{}", probe.why, lines.collect::<String>())
        }
    }
}

fn snapshots() -> String {
    let refusal =
        Cache::open().ok().and_then(|cache| qemu::refusal(Path::new(qemu::PROGRAM), &cache));
    match refusal {
        None => {
            "the second run on a kernel starts from them; `perfsec cache` lists them".to_owned()
        }
        Some(why) => format!("none, so every guest is booted: {}", printable_line(&why)),
    }
}
