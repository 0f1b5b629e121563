//! Options of `why`.

use clap::{Args, ValueEnum};
use perfsec_wire::{Lockdown, Mode};

use super::super::codes::ExitCodes;
use super::heading::{KERNELS, REPORT};
use crate::errno::Errno;
use crate::grant::Grant;
use crate::why::Container;

/// Options of `why`.
#[derive(Clone, Debug, Args)]
#[command(after_help = ExitCodes::help("why"))]
pub struct WhyArgs {
    /// The command, as people run it: `-- perf stat -a`.
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub command: Vec<String>,
    /// An ordinary user runs it.
    #[arg(long, conflicts_with_all = ["uid", "root"])]
    pub user: bool,
    /// The user with this id runs it.
    #[arg(long, value_name = "UID", conflicts_with = "root")]
    pub uid: Option<u32>,
    /// Root runs it.
    #[arg(long)]
    pub root: bool,
    /// Its file has these capabilities, such as `perfmon` or `perfmon+bpf`; in a container, they
    /// were added to it. Can be given several times.
    #[arg(long, value_name = "CAP")]
    pub cap: Vec<Grant>,
    /// `kernel.perf_event_paranoid`
    #[arg(long, value_name = "LEVEL", allow_negative_numbers = true)]
    pub paranoid: Option<i32>,
    /// The kernel's version, such as `6.12.40`.
    #[arg(long, value_name = "VERSION", help_heading = KERNELS)]
    pub kernel: Option<String>,
    /// The distribution that built the kernel, by its ID in os-release(5), or `upstream`.
    #[arg(long, value_name = "ID", help_heading = KERNELS)]
    pub distribution: Option<String>,
    /// It runs in a container: `docker`, `podman:5.2`, `rootless-podman`, `kubernetes`,
    /// `systemd-nspawn`, `lxc`, or `container`.
    #[arg(long, value_name = "RUNTIME[:VERSION]")]
    pub container: Option<Container>,
    /// The SELinux mode.
    #[arg(long, value_name = "MODE")]
    pub selinux: Option<SelinuxMode>,
    /// The context or the type of the process.
    #[arg(long, value_name = "CONTEXT")]
    pub domain: Option<String>,
    /// `no_new_privs` is set.
    #[arg(long)]
    pub no_new_privs: bool,
    /// The file is on a file system that is mounted `nosuid`.
    #[arg(long)]
    pub nosuid: bool,
    /// The process is in a user namespace of its own.
    #[arg(long)]
    pub userns: bool,
    /// A seccomp filter refuses perf_event_open() and bpf().
    #[arg(long)]
    pub seccomp: bool,
    /// The bounding set.
    #[arg(long, value_name = "CAPS")]
    pub bounding: Option<Grant>,
    /// The lockdown level.
    #[arg(long, value_name = "LEVEL")]
    pub lockdown: Option<LockdownLevel>,
    /// The errno that was seen, such as `EPERM`. It excludes causes.
    #[arg(long, value_name = "ERRNO")]
    pub errno: Option<Errno>,
    /// Read the facts from this process, which makes the calls itself.
    #[arg(long, value_name = "PID", conflicts_with = "elsewhere")]
    pub pid: Option<u32>,
    /// Read nothing from this machine.
    #[arg(long)]
    pub elsewhere: bool,
    /// The format of the answer.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = REPORT)]
    pub format: WhyFormat,
}

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhyFormat {
    /// For a terminal.
    Text,
    /// One JSON document (`perfsec schema why`).
    Json,
}

/// An SELinux mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SelinuxMode {
    /// Denials are refused.
    Enforcing,
    /// Denials are logged and let through.
    Permissive,
    /// No SELinux.
    Disabled,
}

/// A lockdown level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockdownLevel {
    /// No lockdown.
    None,
    /// Root may not change the running kernel.
    Integrity,
    /// Root may neither change nor read the running kernel.
    Confidentiality,
}

impl From<SelinuxMode> for Mode {
    fn from(mode: SelinuxMode) -> Self {
        match mode {
            SelinuxMode::Enforcing => Self::Enforcing,
            SelinuxMode::Permissive => Self::Permissive,
            SelinuxMode::Disabled => Self::Disabled,
        }
    }
}

impl From<LockdownLevel> for Lockdown {
    fn from(level: LockdownLevel) -> Self {
        match level {
            LockdownLevel::None => Self::None,
            LockdownLevel::Integrity => Self::Integrity,
            LockdownLevel::Confidentiality => Self::Confidentiality,
        }
    }
}
