//! `struct perf_event_attr` by its own field names (`perf_event_open(2)`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What to count and how; fields left out are zero, as in a cleared structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerfEventAttr {
    /// `type` and `config` together, by name.
    pub event: Event,
    /// Sample every so many events.
    #[serde(default)]
    pub sample_period: u64,
    /// What each sample holds.
    #[serde(default)]
    pub sample_type: Vec<SampleType>,
    /// Start disabled.
    #[serde(default)]
    pub disabled: bool,
    /// Children of the task inherit it.
    #[serde(default)]
    pub inherit: bool,
    /// Do not count in user mode.
    #[serde(default)]
    pub exclude_user: bool,
    /// Do not count in the kernel.
    #[serde(default)]
    pub exclude_kernel: bool,
    /// Do not count in the hypervisor.
    #[serde(default)]
    pub exclude_hv: bool,
    /// Record text modifications by the kernel.
    #[serde(default)]
    pub text_poke: bool,
    /// Record namespace changes.
    #[serde(default)]
    pub namespaces: bool,
}

/// An event by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Event {
    /// `software/NAME`: `PERF_TYPE_SOFTWARE` with `PERF_COUNT_SW_NAME`.
    Software(Software),
    /// `tracepoint/CATEGORY:NAME`: `PERF_TYPE_TRACEPOINT`; the agent looks its number up in tracefs.
    Tracepoint {
        /// The directory under `events/`.
        category: String,
        /// The directory under that.
        name: String,
    },
}

/// A software event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// `PERF_COUNT_SW_CPU_CLOCK`
    CpuClock,
    /// `PERF_COUNT_SW_TASK_CLOCK`
    TaskClock,
    /// `PERF_COUNT_SW_PAGE_FAULTS`
    PageFaults,
    /// `PERF_COUNT_SW_CONTEXT_SWITCHES`
    ContextSwitches,
    /// `PERF_COUNT_SW_DUMMY`: counts nothing and needs no hardware.
    Dummy,
}

impl Software {
    /// Every one with the name that `perf list` gives it.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::CpuClock, "cpu-clock"),
        (Self::TaskClock, "task-clock"),
        (Self::PageFaults, "page-faults"),
        (Self::ContextSwitches, "context-switches"),
        (Self::Dummy, "dummy"),
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software(event) => {
                let name = Software::NAMES.iter().find(|(known, _)| known == event);
                write!(f, "software/{}", name.map_or("?", |(_, name)| name))
            }
            Self::Tracepoint { category, name } => write!(f, "tracepoint/{category}:{name}"),
        }
    }
}

impl FromStr for Event {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Software::NAMES.map(|(_, name)| name).join("`, `");
        match text.split_once('/') {
            Some(("software", wanted)) => Software::NAMES
                .iter()
                .find(|(_, name)| *name == wanted)
                .map(|(event, _)| Self::Software(*event))
                .ok_or_else(|| format!("no software event `{wanted}`: one of `{}`", names())),
            Some(("tracepoint", wanted)) => {
                let word = |part: &str| {
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                };
                match wanted.split_once(':') {
                    Some((category, name)) if word(category) && word(name) => {
                        Ok(Self::Tracepoint {
                            category: category.to_owned(),
                            name: name.to_owned(),
                        })
                    }
                    _ => Err(format!("`{wanted}` is no tracepoint: write `CATEGORY:NAME`")),
                }
            }
            _ => Err(format!(
                "no event `{text}`: write `software/NAME` or `tracepoint/CATEGORY:NAME`"
            )),
        }
    }
}

impl TryFrom<String> for Event {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Event> for String {
    fn from(event: Event) -> Self {
        event.to_string()
    }
}

/// A bit of `sample_type`, by its name without `PERF_SAMPLE_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SampleType {
    /// Instruction pointer.
    Ip,
    /// Process and thread id.
    Tid,
    /// The tracepoint's own record.
    Raw,
    /// Call chain, kernel part included unless excluded.
    Callchain,
    /// Physical address.
    PhysAddr,
}

impl SampleType {
    /// The name without `PERF_SAMPLE_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ip => "IP",
            Self::Tid => "TID",
            Self::Raw => "RAW",
            Self::Callchain => "CALLCHAIN",
            Self::PhysAddr => "PHYS_ADDR",
        }
    }
}

impl fmt::Display for PerfEventAttr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.event)?;
        if self.sample_period != 0 {
            write!(f, ", sample_period={}", self.sample_period)?;
        }
        if !self.sample_type.is_empty() {
            let names: Vec<_> = self.sample_type.iter().map(|bit| bit.name()).collect();
            write!(f, ", sample_type={}", names.join("|"))?;
        }
        for (set, name) in [
            (self.disabled, "disabled"),
            (self.inherit, "inherit"),
            (self.exclude_user, "exclude_user"),
            (self.exclude_kernel, "exclude_kernel"),
            (self.exclude_hv, "exclude_hv"),
            (self.text_poke, "text_poke"),
            (self.namespaces, "namespaces"),
        ] {
            if set {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}
