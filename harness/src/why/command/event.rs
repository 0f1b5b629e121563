//! Events as perf's `-e` takes them.

use perfsec_wire::attr::{Access, Address, Event, Hardware, Named as _, Software};

use super::tool::Tools;

/// An event with its modifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PerfEvent {
    /// The text, as it was written.
    pub(crate) name: String,
    /// The event.
    pub(crate) event: Event,
    /// The kernel is excluded.
    pub(crate) exclude_kernel: bool,
    /// User space is excluded.
    pub(crate) exclude_user: bool,
    /// The hypervisor is excluded.
    pub(crate) exclude_hv: bool,
    /// It can leave the kernel out.
    pub(crate) can_exclude: bool,
    /// It is always of a CPU.
    pub(crate) of_cpu: bool,
}

/// The letters of modifiers.
const MODIFIERS: &str = "ukhIGHpPSDWebR";

/// Events of `perf list` that are one of the kernel's hardware events.
const HARDWARE: &[(&str, Hardware)] = &[
    ("cycles", Hardware::CpuCycles),
    ("branches", Hardware::BranchInstructions),
    ("idle-cycles-frontend", Hardware::StalledCyclesFrontend),
    ("idle-cycles-backend", Hardware::StalledCyclesBackend),
];

/// Events of `perf list` that are one of the kernel's software events.
const SOFTWARE: &[(&str, Software)] = &[
    ("faults", Software::PageFaults),
    ("cs", Software::ContextSwitches),
    ("migrations", Software::CpuMigrations),
];

/// "Events" of the tool itself, for which it opens nothing.
const OF_THE_TOOL: &[&str] = &[
    "duration_time",
    "user_time",
    "system_time",
    "num_cpus",
    "num_cores",
    "num_packages",
    "system_tsc_freq",
    "slots_time",
    "has_pmem",
    "smt_on",
];

/// Reads a list of events: `{cycles,instructions}:u`, `msr/aperf/,sched:sched_switch`. Events of the
/// tool itself are left out.
pub(crate) fn read_list(text: &str, tools: &Tools) -> Vec<PerfEvent> {
    let mut events = Vec::new();
    let (mut depth, mut inside, mut start) = (0, false, 0);
    let mut pieces = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            // Commas separate the terms of a PMU's event, too.
            '/' => inside = !inside,
            ',' if depth == 0 && !(inside && text[at..].contains('/')) => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    for piece in pieces {
        match piece.strip_prefix('{').and_then(|rest| rest.rsplit_once('}')) {
            Some((group, modifiers)) => {
                let mut members = read_list(group, tools);
                members.iter_mut().for_each(|it| it.modify(modifiers.trim_start_matches(':')));
                events.extend(members);
            }
            None => events.extend(PerfEvent::read(piece.trim(), tools)),
        }
    }
    events
}

impl PerfEvent {
    /// Reads one event; `None` if the tool opens nothing for it.
    pub(crate) fn read(text: &str, tools: &Tools) -> Option<Self> {
        let (event, modifiers) = split(text);
        if event.is_empty() || OF_THE_TOOL.contains(&event) {
            return None;
        }
        let kind = kind(event);
        let pmu = kind.pmu().and_then(|name| tools.pmu(name));
        // hw_breakpoint_parse() rejects it with exclude_kernel.
        let on_kernel = matches!(kind, Event::Breakpoint { address: Address::Kernel, .. });
        let mut found = Self {
            name: text.to_owned(),
            event: kind,
            exclude_kernel: false,
            exclude_user: false,
            exclude_hv: false,
            can_exclude: pmu.is_none_or(|pmu| pmu.kernel) && !on_kernel,
            of_cpu: pmu.is_some_and(|pmu| pmu.cpu),
        };
        found.modify(modifiers);
        Some(found)
    }

    /// Applies modifiers: naming sides excludes the others (`parse_events__modifier_event()`).
    fn modify(&mut self, modifiers: &str) {
        let has = |letter: char| modifiers.contains(letter);
        if has('u') || has('k') || has('h') {
            self.exclude_user = !has('u');
            self.exclude_kernel = !has('k');
            self.exclude_hv = !has('h');
        }
    }

    /// The event without the kernel, as perf tries it again.
    pub(crate) fn without_kernel(&self) -> Self {
        let mut again = self.clone();
        (again.exclude_kernel, again.exclude_hv) = (true, true);
        if !again.name.contains(':') || matches!(again.event, Event::Tracepoint { .. }) {
            again.name += ":u";
        }
        again
    }

    /// True if perf must look up its number in tracefs.
    pub(crate) fn is_tracepoint(&self) -> bool {
        matches!(self.event, Event::Tracepoint { .. })
    }
}

/// Splits modifiers off: `cycles:u`, `cpu/event=1/u`, `mem:0x1000:w:u`.
fn split(text: &str) -> (&str, &str) {
    let are = |text: &str| !text.is_empty() && text.chars().all(|it| MODIFIERS.contains(it));
    if let Some((event, rest)) = text.rsplit_once('/')
        && event.contains('/')
        && !text.starts_with("mem:")
    {
        let rest = rest.trim_start_matches(':');
        let end = text.len() - rest.len();
        return (text[..end].trim_end_matches(':'), if are(rest) { rest } else { "" });
    }
    match text.rsplit_once(':') {
        Some((event, rest)) if are(rest) && !is_access(text, rest) => (event, rest),
        _ => (text, ""),
    }
}

/// True if the last part of a breakpoint is its access: `mem:0x1000:w`.
fn is_access(text: &str, rest: &str) -> bool {
    text.starts_with("mem:") && rest.chars().all(|letter| "rwx".contains(letter))
}

/// The event without modifiers. A name that nobody knows is one of the CPU's.
fn kind(text: &str) -> Event {
    let raw = || Event::Raw(0);
    if let Some(rest) = text.strip_prefix("mem:") {
        return breakpoint(rest);
    }
    if let Some((pmu, _)) = text.split_once('/') {
        return match pmu {
            "cpu" | "cpu_core" | "cpu_atom" | "armv8_pmuv3_0" | "default_core" => raw(),
            "kprobe" => Event::Kprobe("function".to_owned()),
            "uprobe" => Event::Uprobe,
            pmu => Event::Pmu { name: pmu.to_owned(), config: 0 },
        };
    }
    let lower = text.to_lowercase();
    let alias = HARDWARE.iter().find(|(name, _)| *name == lower).map(|(_, event)| *event);
    if let Some(event) = alias.or_else(|| Hardware::named(&lower)) {
        return Event::Hardware(event);
    }
    let alias = SOFTWARE.iter().find(|(name, _)| *name == lower).map(|(_, event)| *event);
    if let Some(event) = alias.or_else(|| Software::named(&lower)) {
        return Event::Software(event);
    }
    match lower.as_str() {
        "uprobe" | "uprobes" => return Event::Uprobe,
        "kprobe" | "kprobes" => return Event::Kprobe("function".to_owned()),
        _ => {}
    }
    match text.split_once(':') {
        Some((category, name)) if !category.is_empty() && !name.is_empty() => {
            Event::Tracepoint { category: category.to_owned(), name: name.to_owned() }
        }
        _ => raw(),
    }
}

/// `ADDRESS[/LENGTH][:ACCESS]`: the upper half of the address space is the kernel's.
fn breakpoint(rest: &str) -> Event {
    let (address, letters) = rest.split_once(':').unwrap_or((rest, "rw"));
    let address = address.split('/').next().unwrap_or_default();
    let digits = address.trim_start_matches("0x").trim_end_matches(['…', '.']);
    let is_kernel = digits.len() >= 12 && digits.to_lowercase().starts_with("ffff")
        || address.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let access = match letters {
        "r" => vec![Access::R],
        "w" => vec![Access::W],
        "x" => vec![Access::X],
        _ => vec![Access::R, Access::W],
    };
    let address = if is_kernel { Address::Kernel } else { Address::Own };
    Event::Breakpoint { access, address }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Vec<PerfEvent> {
        read_list(text, Tools::built_in().unwrap())
    }

    #[rstest]
    #[case("cycles", "hardware/cpu-cycles")]
    #[case("cycles:ppp", "hardware/cpu-cycles")]
    #[case("cs:u", "software/context-switches")]
    #[case("r1c2", "raw/0x0")]
    #[case("L1-dcache-load-misses", "raw/0x0")]
    #[case("br_inst_retired.all_branches", "raw/0x0")]
    #[case("cpu/event=0x3c,umask=0x0/", "raw/0x0")]
    #[case("cpu_core/cycles/u", "raw/0x0")]
    #[case("msr/aperf/", "pmu/msr/0x0")]
    #[case("power/energy-pkg/", "pmu/power/0x0")]
    #[case("intel_pt//u", "pmu/intel_pt/0x0")]
    #[case("sched:sched_switch", "tracepoint/sched:sched_switch")]
    #[case("sched:*", "tracepoint/sched:*")]
    #[case("probe:do_exit", "tracepoint/probe:do_exit")]
    #[case("kprobe/func=do_exit/", "kprobe/function")]
    #[case("uprobe/config=0/", "uprobe/own")]
    #[case("mem:0xffffffff81000000:w", "breakpoint/w:kernel")]
    #[case("mem:0x7f0000001000/4:rw:u", "breakpoint/rw:own")]
    #[case("mem:0x1000:x", "breakpoint/x:own")]
    fn an_event_has_a_kind(#[case] text: &str, #[case] kind: &str) {
        let found = read(text);
        let [event] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(event.event.to_string(), kind);
    }

    #[rstest]
    #[case("cycles", (false, false, false))]
    #[case("cycles:u", (true, false, true))]
    #[case("cycles:k", (false, true, true))]
    #[case("cycles:uk", (false, false, true))]
    #[case("cycles:upp", (true, false, true))]
    #[case("cpu/event=1/u", (true, false, true))]
    #[case("cpu/event=1/:u", (true, false, true))]
    #[case("mem:0x1000:w:u", (true, false, true))]
    #[case("{cycles,instructions}:u", (true, false, true))]
    #[case("{cycles:k,instructions}:S", (false, true, true))]
    fn modifiers_exclude_sides(#[case] text: &str, #[case] sides: (bool, bool, bool)) {
        let event = read(text).remove(0);
        assert_eq!((event.exclude_kernel, event.exclude_user, event.exclude_hv), sides);
    }

    #[rstest]
    #[case("cycles,instructions", 2)]
    #[case("{cycles,instructions},faults", 3)]
    #[case("cpu/event=1,umask=2/,cycles", 2)]
    #[case("cpu/event=1,umask=2/u", 1)]
    #[case("duration_time", 0)]
    #[case("cycles,", 1)]
    #[case("{cycles", 1)]
    fn a_list_has_events(#[case] text: &str, #[case] count: usize) {
        assert_eq!(read(text).len(), count, "{:?}", read(text));
    }

    #[rstest]
    #[case("msr/tsc/", false, false)]
    #[case("uncore_imc_0/cas_count_read/", false, true)]
    #[case("power/energy-ram/", false, true)]
    #[case("intel_pt//", true, false)]
    #[case("cycles", true, false)]
    #[case("mem:0xffffffff81000000:w", false, false)]
    fn a_pmu_has_its_limits(#[case] text: &str, #[case] kernel: bool, #[case] cpu: bool) {
        let event = read(text).remove(0);
        assert_eq!((event.can_exclude, event.of_cpu), (kernel, cpu));
    }
}
