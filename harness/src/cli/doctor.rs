//! `perfsec doctor`

use std::path::Path;

use super::args::DoctorArgs;
use super::{Exit, Failure};
use crate::cache::Cache;
use crate::host::{Host, Importance, Kvm, Need, ToolFinding, ToolState};
use crate::machines::qemu;
use crate::text::{Text, line};

pub(super) fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let mut host = Host::inspect();
    let needs = args.needs();
    if args.install {
        let changed = host.install(&needs, &|text| drop(super::print(&Text::of_line(text))));
        if changed.map_err(Failure::host)? {
            host = Host::inspect();
        }
    }
    let mut text = Text::of_line(format_args!("host: {}", host.os.name()));
    for finding in host.findings.iter().filter(|finding| needs.contains(&finding.tool.need)) {
        text.line(describe(finding));
    }
    write_kvm(host.kvm, &mut text);
    line!(text, "  snapshots: {}", snapshots());
    let root = nix::unistd::geteuid().is_root();
    if let Some(command) = host.missing_command(&needs, root) {
        text.line("to install what is missing, type:");
        line!(text, "  {command}");
    }
    super::print(&text)?;
    // Runs need neither a shell nor benchmarks, and kernels can be files.
    let blocked = host.missing(&[Need::Run]).next().is_some();
    let asked = args.install && host.missing(&needs).next().is_some();
    Ok(if blocked || asked { Exit::Host } else { Exit::Success })
}

fn describe(finding: &ToolFinding) -> String {
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

fn write_kvm(kvm: Kvm, text: &mut Text) {
    text.span("  /dev/kvm: ");
    match kvm {
        Kvm::Absent => line!(text, "absent, so kernels are emulated"),
        Kvm::NotPermitted => line!(
            text,
            "not yours to open, so kernels are emulated; add yourself to the group that owns it"
        ),
        Kvm::Permitted => write_probe(text),
    }
}

/// Writes the remembered result of the probe in one line, with QEMU's own words below it.
fn write_probe(text: &mut Text) {
    let cache = Cache::open().ok();
    let known = cache.and_then(|cache| qemu::remembered_probe(Path::new(qemu::PROGRAM), &cache));
    match known {
        None => line!(text, "there; the first boot of a kernel shows if it works"),
        Some(probe) if probe.accel == qemu::Accel::Kvm => line!(text, "works ({})", probe.why),
        Some(probe) => {
            line!(text, "{}, so kernels are emulated", probe.why);
            probe.detail.iter().flat_map(|detail| detail.lines()).for_each(|words| {
                line!(text, "    {words}");
            });
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
        Some(why) => format!("none, so every guest is booted: {why}"),
    }
}
