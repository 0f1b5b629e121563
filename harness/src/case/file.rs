//! The shape of a case file.

use std::collections::BTreeMap;

use perfsec_wire::{BootMode, Lockdown, Mode};
use serde::Deserialize;
use toml::Spanned;

use super::machine::MachineProperty;
use super::step_table::StepTable;
use super::values::{FromText, Many};
use crate::grant::Grant;

/// The `comm` of a subject whose case sets none, and of all other processes.
pub const COMM: &str = "subject";

/// The user id of a subject whose case sets none. Any but root's will do: root holds every
/// capability, whatever its executable carries.
pub const UNPRIVILEGED: u32 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaseFile {
    pub(super) title: String,
    pub(super) source: Vec<String>,
    pub(super) domain: Option<Many<String>>,
    pub(super) perf_event_paranoid: Many<i32>,
    #[serde(default = "default_grants")]
    pub(super) grant: Many<Grant>,
    pub(super) mode: Option<Many<FromText<Mode>>>,
    #[serde(default)]
    pub(super) boot: BootMode,
    pub(super) policy: Option<Spanned<String>>,
    #[serde(default = "default_audit")]
    pub(super) audit: bool,
    #[serde(default)]
    pub(super) lockdown: Lockdown,
    #[serde(default = "default_uid")]
    pub(super) uid: u32,
    #[serde(default = "default_comm")]
    pub(super) comm: Spanned<String>,
    /// In seconds.
    pub(super) limit: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) messages: Vec<String>,
    #[serde(default)]
    pub(super) syscall_records: bool,
    #[serde(default)]
    pub(super) process: BTreeMap<String, ProcessTable>,
    #[serde(default)]
    pub(super) sysctl: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) requires: Vec<Spanned<String>>,
    pub(super) control: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) when: BTreeMap<String, WhenTable>,
    #[serde(default)]
    pub(super) given: Vec<Spanned<StepTable>>,
    pub(super) step: Vec<Spanned<StepTable>>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<ExpectTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessTable {
    #[serde(default = "default_uid")]
    pub(super) uid: u32,
    #[serde(default)]
    pub(super) grant: Option<Grant>,
    pub(super) domain: String,
    #[serde(default)]
    pub(super) step: Vec<Spanned<StepTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhenTable {
    pub(super) since: Option<Spanned<String>>,
    pub(super) until: Option<Spanned<String>>,
    pub(super) series: Option<Spanned<String>>,
    pub(super) distribution: Option<String>,
    pub(super) config: Option<String>,
    pub(super) machine: Option<MachineProperty>,
    pub(super) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectTable {
    pub(super) domain: Option<Spanned<Many<String>>>,
    pub(super) perf_event_paranoid: Option<Spanned<Many<i32>>>,
    pub(super) grant: Option<Spanned<Many<Grant>>>,
    pub(super) mode: Option<Spanned<Many<FromText<Mode>>>>,
    pub(super) xfail: Option<Spanned<String>>,
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
