//! Events by name: `type` and `config` together.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::bits::Access;
use crate::named::{Named, named};
use crate::number::hexadecimal;

/// An event by name.
///
/// Tracepoints and dynamic PMUs have a number only on the kernel under test, where the agent looks
/// it up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Event {
    /// `software/NAME`: `PERF_TYPE_SOFTWARE`.
    Software(Software),
    /// `hardware/NAME`: `PERF_TYPE_HARDWARE`.
    Hardware(Hardware),
    /// `tracepoint/CATEGORY:NAME`: `PERF_TYPE_TRACEPOINT`.
    Tracepoint {
        /// The directory under `events/` of tracefs.
        category: String,
        /// The directory under that.
        name: String,
    },
    /// `breakpoint/ACCESS:ADDRESS`, such as `breakpoint/rw:own`: `PERF_TYPE_BREAKPOINT`.
    Breakpoint {
        /// `bp_type`: not empty, and in the order of [`Access::NAMES`].
        access: Vec<Access>,
        /// `bp_addr`
        address: Address,
    },
    /// `kprobe/SYMBOL`: the PMU `kprobe`, with `kprobe_func`.
    Kprobe(String),
    /// `uprobe/own`: the PMU `uprobe`, on the subject's own executable.
    Uprobe,
    /// `raw/0xCONFIG`: `PERF_TYPE_RAW`.
    Raw(u64),
    /// `pmu/NAME/0xCONFIG`: a dynamic PMU.
    Pmu {
        /// The directory under `/sys/bus/event_source/devices`.
        name: String,
        /// `config`
        config: u64,
    },
    /// `type/NUMBER/0xCONFIG`: any `type`, also one that no kernel has.
    Type {
        /// `type`
        number: u32,
        /// `config`
        config: u64,
    },
}

/// The address of a breakpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// `own`: a variable of the subject.
    Own,
    /// `kernel`: in the kernel's half of the address space.
    Kernel,
    /// `0xADDRESS`
    At(u64),
}

named! {
    /// A software event, by the name that `perf list` gives it.
    Software is "software event" {
        CpuClock = "cpu-clock" PERF_COUNT_SW_CPU_CLOCK,
        TaskClock = "task-clock" PERF_COUNT_SW_TASK_CLOCK,
        PageFaults = "page-faults" PERF_COUNT_SW_PAGE_FAULTS,
        ContextSwitches = "context-switches" PERF_COUNT_SW_CONTEXT_SWITCHES,
        CpuMigrations = "cpu-migrations" PERF_COUNT_SW_CPU_MIGRATIONS,
        MinorFaults = "minor-faults" PERF_COUNT_SW_PAGE_FAULTS_MIN,
        MajorFaults = "major-faults" PERF_COUNT_SW_PAGE_FAULTS_MAJ,
        AlignmentFaults = "alignment-faults" PERF_COUNT_SW_ALIGNMENT_FAULTS,
        EmulationFaults = "emulation-faults" PERF_COUNT_SW_EMULATION_FAULTS,
        Dummy = "dummy" PERF_COUNT_SW_DUMMY,
        BpfOutput = "bpf-output" PERF_COUNT_SW_BPF_OUTPUT,
        CgroupSwitches = "cgroup-switches" PERF_COUNT_SW_CGROUP_SWITCHES,
    }
}

named! {
    /// A hardware event, by the name that `perf list` gives it.
    Hardware is "hardware event" {
        CpuCycles = "cpu-cycles" PERF_COUNT_HW_CPU_CYCLES,
        Instructions = "instructions" PERF_COUNT_HW_INSTRUCTIONS,
        CacheReferences = "cache-references" PERF_COUNT_HW_CACHE_REFERENCES,
        CacheMisses = "cache-misses" PERF_COUNT_HW_CACHE_MISSES,
        BranchInstructions = "branch-instructions" PERF_COUNT_HW_BRANCH_INSTRUCTIONS,
        BranchMisses = "branch-misses" PERF_COUNT_HW_BRANCH_MISSES,
        BusCycles = "bus-cycles" PERF_COUNT_HW_BUS_CYCLES,
        StalledCyclesFrontend = "stalled-cycles-frontend" PERF_COUNT_HW_STALLED_CYCLES_FRONTEND,
        StalledCyclesBackend = "stalled-cycles-backend" PERF_COUNT_HW_STALLED_CYCLES_BACKEND,
        RefCycles = "ref-cycles" PERF_COUNT_HW_REF_CPU_CYCLES,
    }
}

/// The reason why a text is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The text before the slash is not a kind of event.
    #[error("no kind of event `{kind}`{close}")]
    Kind {
        /// The text before the slash.
        kind: String,
        /// The closest kind, or all of them.
        close: String,
    },
    /// The kind has no event with that name.
    #[error("{0}")]
    Name(String),
    /// The text after the slash does not have the form of the kind.
    #[error("`{text}` is not a {what}: write `{form}`")]
    Form {
        /// The text after the slash.
        text: String,
        /// Noun for the expected text.
        what: &'static str,
        /// The expected form.
        form: &'static str,
    },
}

/// The kinds of events.
const KINDS: [&str; 9] =
    ["software", "hardware", "tracepoint", "breakpoint", "kprobe", "uprobe", "raw", "pmu", "type"];

impl Event {
    /// True if the event determines `config`.
    #[must_use]
    pub fn sets_config(&self) -> bool {
        !matches!(self, Self::Breakpoint { .. } | Self::Kprobe(_) | Self::Uprobe)
    }

    /// True if the event determines `config1`, also called `bp_addr` and `kprobe_func`.
    #[must_use]
    pub fn sets_config1(&self) -> bool {
        matches!(self, Self::Breakpoint { .. } | Self::Kprobe(_) | Self::Uprobe)
    }

    /// The event's dynamic PMU, whose number only the kernel under test knows.
    #[must_use]
    pub fn pmu(&self) -> Option<&str> {
        match self {
            Self::Kprobe(_) => Some("kprobe"),
            Self::Uprobe => Some("uprobe"),
            Self::Pmu { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Software(event) => write!(f, "software/{}", event.name()),
            Self::Hardware(event) => write!(f, "hardware/{}", event.name()),
            Self::Tracepoint { category, name } => write!(f, "tracepoint/{category}:{name}"),
            Self::Breakpoint { access, address } => {
                let access: String = access.iter().map(|bit| bit.name()).collect();
                write!(f, "breakpoint/{}:{address}", access.to_ascii_lowercase())
            }
            Self::Kprobe(symbol) => write!(f, "kprobe/{symbol}"),
            Self::Uprobe => f.write_str("uprobe/own"),
            Self::Raw(config) => write!(f, "raw/{config:#x}"),
            Self::Pmu { name, config } => write!(f, "pmu/{name}/{config:#x}"),
            Self::Type { number, config } => write!(f, "type/{number}/{config:#x}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Kernel => f.write_str("kernel"),
            Self::At(address) => write!(f, "{address:#x}"),
        }
    }
}

impl FromStr for Event {
    type Err = EventError;

    fn from_str(text: &str) -> Result<Self, EventError> {
        let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
        let malformed = |what, form| EventError::Form { text: rest.to_owned(), what, form };
        match kind {
            "software" => constant(rest).map(Self::Software),
            "hardware" => constant(rest).map(Self::Hardware),
            "tracepoint" => match rest.split_once(':') {
                Some((category, name)) if is_word(category) && is_word(name) => {
                    Ok(Self::Tracepoint { category: category.to_owned(), name: name.to_owned() })
                }
                _ => Err(malformed("tracepoint", "CATEGORY:NAME")),
            },
            "breakpoint" => breakpoint(rest).ok_or_else(|| {
                malformed(
                    "breakpoint",
                    "ACCESS:ADDRESS` with `r`, `w`, `rw` or `x` and `own`, `kernel` or `0xADDRESS",
                )
            }),
            "kprobe" if is_symbol(rest) => Ok(Self::Kprobe(rest.to_owned())),
            "kprobe" => Err(malformed("kernel symbol", "kprobe/SYMBOL")),
            "uprobe" if rest == "own" => Ok(Self::Uprobe),
            "uprobe" => Err(malformed("place for a uprobe", "uprobe/own")),
            "raw" => hexadecimal(rest)
                .map(Self::Raw)
                .ok_or_else(|| malformed("raw event", "raw/0xCONFIG")),
            "pmu" => match rest.split_once('/').map(|(name, config)| (name, hexadecimal(config))) {
                Some((name, Some(config))) if is_word(name) => {
                    Ok(Self::Pmu { name: name.to_owned(), config })
                }
                _ => Err(malformed("PMU event", "pmu/NAME/0xCONFIG")),
            },
            "type" => numbers(rest)
                .map(|(number, config)| Self::Type { number, config })
                .ok_or_else(|| malformed("type and config", "type/NUMBER/0xCONFIG")),
            _ => {
                let close = match crate::suggest::closest(kind, KINDS) {
                    close if close.is_empty() => format!(": one of `{}`", KINDS.join("`, `")),
                    close => close,
                };
                Err(EventError::Kind { kind: kind.to_owned(), close })
            }
        }
    }
}

fn constant<T: Named>(name: &str) -> Result<T, EventError> {
    T::named(name).ok_or_else(|| EventError::Name(T::unknown(name)))
}

fn breakpoint(text: &str) -> Option<Event> {
    let (letters, address) = text.split_once(':')?;
    let access = match letters {
        "r" => vec![Access::R],
        "w" => vec![Access::W],
        "rw" => vec![Access::R, Access::W],
        "x" => vec![Access::X],
        _ => return None,
    };
    let address = match address {
        "own" => Address::Own,
        "kernel" => Address::Kernel,
        number => Address::At(hexadecimal(number)?),
    };
    Some(Event::Breakpoint { access, address })
}

/// `NUMBER/0xCONFIG`; the number in the one form that `Display` writes.
fn numbers(text: &str) -> Option<(u32, u64)> {
    let (number, config) = text.split_once('/')?;
    let value: u32 = number.parse().ok()?;
    (value.to_string() == number).then_some((value, hexadecimal(config)?))
}

/// The name of a directory in tracefs or sysfs, and never a way out of it.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A symbol of the kernel, parts of functions such as `name.isra.0` included.
fn is_symbol(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Event {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        fn all<T: Named>() -> Vec<&'static str> {
            T::NAMES.iter().map(|(_, name)| *name).collect()
        }
        let (software, hardware) = (all::<Software>(), all::<Hardware>());
        let named = |kind: &'static str| move |name: &&str| format!("{kind}/{name}");
        let mut words: Vec<String> = software.iter().map(named("software")).collect();
        words.extend(hardware.iter().map(named("hardware")));
        words.push("uprobe/own".to_owned());
        schemars::json_schema!({
            "type": "string",
            "anyOf": [
                { "enum": words },
                { "pattern": "^tracepoint/[A-Za-z0-9_-]+:[A-Za-z0-9_-]+$" },
                { "pattern": "^breakpoint/(r|w|rw|x):(own|kernel|0x0*[0-9a-fA-F]{1,16})$" },
                { "pattern": "^kprobe/[A-Za-z0-9_.]+$" },
                { "pattern": "^raw/0x0*[0-9a-fA-F]{1,16}$" },
                { "pattern": "^pmu/[A-Za-z0-9_-]+/0x0*[0-9a-fA-F]{1,16}$" },
                { "pattern": "^type/[0-9]{1,10}/0x0*[0-9a-fA-F]{1,16}$" },
            ],
            "description": format!(
                "software/NAME ({}), hardware/NAME ({}), \
                 tracepoint/CATEGORY:NAME, breakpoint/ACCESS:ADDRESS (ACCESS of r, w, x; \
                 ADDRESS own, kernel or 0xNUMBER), kprobe/SYMBOL, uprobe/own, raw/0xCONFIG, \
                 pmu/NAME/0xCONFIG, type/NUMBER/0xCONFIG",
                software.join(", "),
                hardware.join(", "),
            ),
        })
    }
}

impl TryFrom<String> for Event {
    type Error = EventError;

    fn try_from(text: String) -> Result<Self, EventError> {
        text.parse()
    }
}

impl From<Event> for String {
    fn from(event: Event) -> Self {
        event.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("software/cpu-clock")]
    #[case("software/alignment-faults")]
    #[case("software/bpf-output")]
    #[case("software/cgroup-switches")]
    #[case("hardware/stalled-cycles-frontend")]
    #[case("tracepoint/sched:sched_switch")]
    #[case("breakpoint/rw:own")]
    #[case("breakpoint/x:kernel")]
    #[case("breakpoint/w:0x1000")]
    #[case("kprobe/do_sys_openat2")]
    #[case("kprobe/cred_has_capability.isra.0")]
    #[case("uprobe/own")]
    #[case("raw/0x1c2")]
    #[case("pmu/msr/0x0")]
    #[case("pmu/uncore_imc_0/0xffffffffffffffff")]
    #[case("type/4294967295/0x63")]
    fn an_event_is_shown_as_it_is_written(#[case] text: &str) {
        assert_eq!(text.parse::<Event>().unwrap().to_string(), text);
    }

    #[rstest]
    #[case("software/dumy", "no software event `dumy`; did you mean `dummy`?")]
    #[case("software/page-fault", "did you mean `page-faults`?")]
    #[case("software/x", "one of `cpu-clock`, `task-clock`")]
    #[case("hardware/cycles", "no hardware event `cycles`")]
    #[case("hardware/cache-miss", "did you mean `cache-misses`?")]
    #[case("softwar/dummy", "no kind of event `softwar`; did you mean `software`?")]
    #[case("dummy", "one of `software`, `hardware`")]
    #[case("", "no kind of event ``")]
    #[case("tracepoint/sched", "write `CATEGORY:NAME`")]
    #[case("tracepoint/../x:y", "is not a tracepoint")]
    #[case("tracepoint/sched:", "is not a tracepoint")]
    #[case("breakpoint/own", "is not a breakpoint")]
    #[case("breakpoint/wr:own", "is not a breakpoint")]
    #[case("breakpoint/rw:here", "is not a breakpoint")]
    #[case("breakpoint/rw:4096", "is not a breakpoint")]
    #[case("kprobe/", "is not a kernel symbol")]
    #[case("kprobe/a b", "is not a kernel symbol")]
    #[case("uprobe/bin/sh", "write `uprobe/own`")]
    #[case("raw/12", "write `raw/0xCONFIG`")]
    #[case("raw/0x+1", "is not a raw event")]
    #[case("raw/0x10000000000000000", "is not a raw event")]
    #[case("pmu/msr", "write `pmu/NAME/0xCONFIG`")]
    #[case("pmu/../0x1", "is not a PMU event")]
    #[case("type/1", "write `type/NUMBER/0xCONFIG`")]
    #[case("type/01/0x1", "is not a type and config")]
    #[case("type/4294967296/0x1", "is not a type and config")]
    fn an_event_that_cannot_exist_is_refused_with_what_can(#[case] text: &str, #[case] part: &str) {
        let error = text.parse::<Event>().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
