//! The shape of a case file.

use std::collections::BTreeMap;

use perfsec_wire::{BootMode, Lockdown, Mode, Step};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::Level;
use super::machine::MachineProperty;
use super::step_table::StepTable;
use super::values::{FromText, Many};
use crate::grant::Grant;
use crate::kernel::FixedIn;
use crate::transcript::RecordType;

/// The `comm` of a subject whose case sets none, and of all other processes.
pub const COMM: &str = "subject";

/// The user id of a subject whose case sets none. Any but root's will do: root holds every
/// capability, whatever its executable carries.
pub const UNPRIVILEGED: u32 = 1000;

/// One scenario: steps, and what its cells must see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseFile {
    /// A short true statement about the kernel, in one line.
    pub(super) title: String,
    /// The documents, commits and functions that promise it.
    pub(super) source: Vec<String>,
    /// Types of the subject's context. Required, unless `boot` loads no policy.
    pub(super) domain: Option<Many<String>>,
    /// Levels of the sysctl; `default` leaves the one with which the kernel booted.
    pub(super) perf_event_paranoid: Many<Level>,
    /// File capabilities on the subject's executable.
    #[serde(default = "default_grants")]
    pub(super) grant: Many<Grant>,
    /// SELinux modes; both if missing.
    pub(super) mode: Option<Many<FromText<Mode>>>,
    /// The boot mode of the kernel.
    #[serde(default)]
    pub(super) boot: BootMode,
    /// The policy that must be loaded, instead of the run's.
    #[schemars(with = "Option<String>", extend("enum" = perfsec_cases::policy_names()))]
    pub(super) policy: Option<Spanned<String>>,
    /// True to enable audit (`auditctl -e 1`).
    #[serde(default = "default_audit")]
    pub(super) audit: bool,
    /// The kernel's lockdown.
    #[serde(default)]
    pub(super) lockdown: Lockdown,
    /// The subject's user id.
    #[serde(default = "default_uid")]
    pub(super) uid: u32,
    /// File name of the subject's executable, at most 15 bytes.
    #[serde(default = "default_comm")]
    #[schemars(with = "String", length(min = 1, max = 15))]
    pub(super) comm: Spanned<String>,
    /// Seconds that the subject may take; the run's limit if missing.
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub(super) limit: Option<Spanned<u32>>,
    /// Transcripts include the kernel messages that contain one of these texts.
    #[serde(default)]
    pub(super) messages: Vec<String>,
    /// Transcripts include the audit records of these types, beside AVC and SELINUX_ERR.
    #[serde(default)]
    pub(super) records: Vec<FromText<RecordType>>,
    /// Other processes, by name. They wait while the subject performs its steps.
    #[serde(default)]
    pub(super) process: BTreeMap<String, ProcessTable>,
    /// Other sysctls, restored after the cell.
    #[serde(default)]
    pub(super) sysctl: BTreeMap<String, String>,
    /// Names of conditions; if one does not hold, the case is skipped.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) requires: Vec<Spanned<String>>,
    /// The reason, as a clause, why its results hold under perfsec's own policies only: a result
    /// that it states presumes that an earlier step is not refused.
    pub(super) only_ours: Option<String>,
    /// The case with the controls for cells that have none in this one.
    #[schemars(with = "Option<String>")]
    pub(super) control: Option<Spanned<String>>,
    /// Conditions on the kernel and the machine, by name.
    #[serde(default)]
    pub(super) when: BTreeMap<String, WhenTable>,
    /// Steps of the agent before the subject exists. They must succeed, and are not observed.
    #[serde(default)]
    #[schemars(with = "Vec<Step>")]
    pub(super) given: Vec<Spanned<StepTable>>,
    /// The subject's steps.
    #[schemars(with = "Vec<StepTable>", length(min = 1))]
    pub(super) step: Vec<Spanned<StepTable>>,
    /// The transcript of the cells that the other keys select, where `asks` cannot express it.
    #[serde(default)]
    #[schemars(with = "Vec<ExpectTable>")]
    pub(super) expect: Vec<Spanned<ExpectTable>>,
}

/// A process beside the subject.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessTable {
    /// Its user id.
    #[serde(default = "default_uid")]
    pub(super) uid: u32,
    /// File capabilities on its executable; `none` if missing.
    #[serde(default)]
    pub(super) grant: Option<Grant>,
    /// Type of its context.
    pub(super) domain: String,
    /// Its steps, before the subject's first; they must succeed.
    #[serde(default)]
    #[schemars(with = "Vec<Step>")]
    pub(super) step: Vec<Spanned<StepTable>>,
}

/// A condition, which holds where all of its keys do.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenTable {
    /// Kernels with a change: the first release of each series that has it, mainline last.
    #[schemars(with = "Option<FixedIn>")]
    pub(super) since: Option<Spanned<String>>,
    /// Kernels before a change, listed as for `since`.
    #[schemars(with = "Option<FixedIn>")]
    pub(super) until: Option<Spanned<String>>,
    /// Only these series.
    #[schemars(with = "Option<FixedIn>")]
    pub(super) series: Option<Spanned<String>>,
    /// The kernels of one distribution: `debian`.
    pub(super) distribution: Option<String>,
    /// Kernels with this option set to `y`: `CONFIG_…`.
    pub(super) config: Option<String>,
    /// Machines with this property.
    pub(super) machine: Option<MachineProperty>,
    /// The commit, patch or option that makes the difference: a clause, for reports.
    pub(super) reason: String,
}

/// A transcript, and the cells that must see it: those with one of the values of each key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectTable {
    /// Domains of the case; all if missing.
    #[schemars(with = "Option<Many<String>>")]
    pub(super) domain: Option<Spanned<Many<String>>>,
    /// Levels of the case; all if missing.
    #[schemars(with = "Option<Many<Level>>")]
    pub(super) perf_event_paranoid: Option<Spanned<Many<Level>>>,
    /// Grants of the case; all if missing.
    #[schemars(with = "Option<Many<Grant>>")]
    pub(super) grant: Option<Spanned<Many<Grant>>>,
    /// Modes of the case; all if missing.
    #[schemars(with = "Option<Many<FromText<Mode>>>")]
    pub(super) mode: Option<Spanned<Many<FromText<Mode>>>>,
    /// The condition on which kernels are known to fail.
    #[schemars(with = "Option<String>")]
    pub(super) xfail: Option<Spanned<String>>,
    /// Every call in order, with what it causes below it.
    #[schemars(with = "String")]
    pub(super) transcript: Spanned<String>,
}

fn default_grants() -> Many<Grant> {
    let names = ["none", "perfmon", "sys_admin", "perfmon+sys_admin"];
    Many(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn default_audit() -> bool {
    true
}

fn default_comm() -> Spanned<String> {
    Spanned::new(0..0, COMM.to_owned())
}

fn default_uid() -> u32 {
    UNPRIVILEGED
}
