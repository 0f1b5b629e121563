//! `perfsec doctor`

use super::args::DoctorArgs;
use super::{Exit, Failure};
use crate::host::{Finding, Host, Kvm, Need, State, Weight};

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
    let root = nix::unistd::geteuid().is_root();
    if let Some(command) = host.missing_command(&needs, root) {
        anstream::println!("to install what is missing, type:\n  {command}");
    }
    // Runs need neither a shell nor benchmarks, and kernels can be files.
    let blocked = host.lacking(&[Need::Run]).next().is_some();
    let asked = args.install && host.lacking(&needs).next().is_some();
    Ok(if blocked || asked { Exit::Host } else { Exit::Success })
}

fn line(finding: &Finding) -> String {
    let tool = finding.tool;
    let what = format!("{}, which {}", tool.name, tool.why);
    let missing = match tool.weight {
        Weight::Needed => "MISSING",
        Weight::Useful => "missing, useful",
    };
    match &finding.state {
        State::Found { path, version } => {
            let version =
                version.as_deref().map_or(String::new(), |version| format!(" ({version})"));
            format!("  found: {what}: {}{version}", path.display())
        }
        State::Missing => format!("  {missing}: {what}"),
        State::NotExecutable { path } => {
            format!("  {missing}: {what}: {} is not executable for you", path.display())
        }
        State::Unsuitable { path, reason } => {
            format!("  {missing}: {what}: {} {reason}", path.display())
        }
    }
}

fn kvm(kvm: Kvm) -> &'static str {
    match kvm {
        Kvm::Absent => "absent, so kernels are emulated",
        Kvm::NotPermitted => {
            "not yours to open, so kernels are emulated; add yourself to the group that owns it"
        }
        Kvm::Permitted => "there; whether it works is tried when a kernel boots",
    }
}
