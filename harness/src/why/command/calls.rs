//! The calls that a command makes, as steps with the questions of `functions.toml`.

use perfsec_wire::Step;
use perfsec_wire::attr::{Event, PerfEventAttr, SampleType, Software};
use perfsec_wire::step::{
    AttrPlace, Bpf, Ioctl, MapCreate, MapType, Mmap, Open, OpenAccess, OpenFlag, PerfEventOpen,
    Place, ProgLoad, ProgType, Program, Read, Request, Task,
};

use super::event::PerfEvent;
use super::line::{Monitored, ToolCommand};
use super::tool::Does;
use crate::why::facts::Facts;

/// The process that a command monitors, if it is not its own.
pub(crate) const OTHER: &str = "other";

/// Where tracefs is mounted.
const TRACEFS: &str = "/sys/kernel/tracing";

/// A call with its questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// The call.
    pub(crate) step: Step,
    /// Its questions, in the words of functions.toml.
    pub(crate) asks: String,
    /// Why the command makes it, as a clause.
    pub(crate) purpose: String,
}

/// Pages of the buffer of an event by default without the first: the largest power of two that
/// fits into `perf_event_mlock_kb` (`evlist__mmap_size()`).
fn default_pages(mlock_kb: u64) -> u32 {
    let pages = u32::try_from(mlock_kb / 4).unwrap_or(u32::MAX).saturating_sub(1);
    pages.checked_ilog2().map_or(1, |power| 1 << power)
}

impl ToolCommand {
    /// The calls that the kernel may refuse, in the order in which the command makes them.
    pub(crate) fn calls(&self, facts: &Facts) -> Vec<Call> {
        let mut calls = Vec::new();
        match self.tool.does {
            Does::Nothing | Does::Ptrace => {}
            Does::Tracefs => calls.push(writes_tracefs(facts)),
            Does::Program => self.load_and_attach(facts, &mut calls),
            Does::Counts | Does::Samples | Does::Traces => {
                if self.program {
                    self.load(&mut calls);
                }
                self.open_events(facts, &mut calls);
            }
        }
        calls
    }

    fn open_events(&self, facts: &Facts, calls: &mut Vec<Call>) {
        for event in self.events.iter().filter(|event| event.is_tracepoint()) {
            calls.push(reads_tracefs(event, facts));
        }
        // Events that differ only in their name are opened alike.
        let mut opened: Vec<PerfEventOpen> = Vec::new();
        for event in &self.events {
            let open = self.open(event, opened.len());
            let same = opened
                .iter()
                .any(|it| (&it.attr, &it.pid, it.cpu) == (&open.attr, &open.pid, open.cpu));
            if !same {
                calls.push(Call {
                    step: Step::PerfEventOpen(Box::new(open.clone())),
                    asks: "perf_event_open".to_owned(),
                    purpose: format!("opens {}", event.name),
                });
                opened.push(open);
            }
        }
        let Some(first) = opened.first() else { return };
        let fd = first.bind.clone();
        if self.tool.does == Does::Counts {
            let read = Read { fd, count: 8, some: false, text: false };
            calls.push(Call {
                step: Step::Read(read),
                asks: "perf_read".to_owned(),
                purpose: "reads the counter".to_owned(),
            });
            return;
        }
        let pages = self.pages.unwrap_or_else(|| default_pages(facts.mlock_kb.value));
        let mmap = Mmap {
            fd: fd.clone(),
            pages: pages.saturating_add(1),
            private: false,
            offset: None,
            aux: None,
            aux_offset: None,
            bind: "buffer".to_owned(),
        };
        calls.push(Call {
            step: Step::Mmap(mmap),
            asks: "perf_mmap".to_owned(),
            purpose: "maps the buffer".to_owned(),
        });
        calls.push(Call {
            step: ioctl(fd, Request::Enable, None),
            asks: "perf_ioctl".to_owned(),
            purpose: "enables the event".to_owned(),
        });
    }

    /// The call that opens an event.
    fn open(&self, event: &PerfEvent, number: usize) -> PerfEventOpen {
        let samples = matches!(self.tool.does, Does::Samples | Does::Traces);
        let mut attr = PerfEventAttr {
            event: event.event.clone(),
            exclude_kernel: event.exclude_kernel,
            exclude_user: event.exclude_user,
            exclude_hv: event.exclude_hv,
            namespaces: self.namespaces,
            ..PerfEventAttr::default()
        };
        if samples {
            let raw = matches!(attr.event, Event::Tracepoint { .. } | Event::Kprobe(_));
            let uprobe = attr.event == Event::Uprobe;
            let parts = [
                (raw || uprobe || self.raw, SampleType::Raw),
                (self.callchain, SampleType::Callchain),
                (self.branches.is_some(), SampleType::BranchStack),
                (self.physical, SampleType::PhysAddr),
                (self.registers, SampleType::RegsIntr),
            ];
            let parts = parts.into_iter().filter(|(wanted, _)| *wanted);
            attr.sample_type = parts.map(|(_, part)| part).collect();
            attr.branch_sample_type = self.branches.clone().unwrap_or_default();
        }
        let monitors = if event.of_cpu { Monitored::Every } else { self.monitors };
        let (pid, cpu) = match monitors {
            Monitored::Every => (Task::Every, 0),
            Monitored::Other => (Task::Named(OTHER.to_owned()), -1),
            Monitored::Own => (Task::Caller, -1),
        };
        let flags = if self.cgroup { vec![OpenFlag::PidCgroup] } else { Vec::new() };
        let bind = if number == 0 { "fd".to_owned() } else { format!("fd{number}") };
        let attr_at = AttrPlace::Mapped;
        PerfEventOpen { attr, pid, cpu, group: None, flags, attr_at, times: 1, bind }
    }

    /// The calls of a program of BPF, by what its command line attaches to.
    fn load_and_attach(&self, facts: &Facts, calls: &mut Vec<Call>) {
        self.load(calls);
        let text = self.words.join(" ");
        let has = |word: &str| text.contains(word);
        let every = |event: Event| PerfEventOpen {
            attr: PerfEventAttr { event, ..PerfEventAttr::default() },
            pid: Task::Every,
            cpu: 0,
            group: None,
            flags: Vec::new(),
            attr_at: AttrPlace::Mapped,
            times: 1,
            bind: "fd".to_owned(),
        };
        let (open, purpose) = match () {
            // It only loads programs, or says what is loaded.
            () if self.tool.name == "bpftool" => return,
            () if has("tracepoint:") || has("rawtracepoint:") => {
                let (category, name) = ("sched".to_owned(), "sched_switch".to_owned());
                calls.push(tracefs(
                    facts,
                    &format!("{TRACEFS}/events/{category}/{name}/id"),
                    "reads the number of a tracepoint",
                ));
                (every(Event::Tracepoint { category, name }), "attaches to a tracepoint")
            }
            () if has("uprobe:") || has("uretprobe:") || has("usdt:") => {
                (every(Event::Uprobe), "attaches to a uprobe")
            }
            () if has("profile") || has("interval:") || has("hardware:") || has("software:") => {
                (every(Event::Software(Software::CpuClock)), "attaches to a clock of each CPU")
            }
            () => (every(Event::Kprobe("function".to_owned())), "attaches to a kprobe"),
        };
        calls.push(Call {
            step: Step::PerfEventOpen(Box::new(open)),
            asks: "perf_event_open".to_owned(),
            purpose: purpose.to_owned(),
        });
        calls.push(Call {
            step: ioctl("fd".to_owned(), Request::SetBpf, Some("prog".to_owned())),
            asks: "perf_ioctl".to_owned(),
            purpose: "attaches the program".to_owned(),
        });
    }

    /// Creates a map and loads a program of a tracing type.
    fn load(&self, calls: &mut Vec<Call>) {
        let map = MapCreate {
            map_type: MapType::Hash,
            key_size: 4,
            value_size: None,
            max_entries: 1,
            map_flags: Vec::new(),
            bind: "map".to_owned(),
        };
        let load = ProgLoad {
            prog_type: ProgType::Kprobe,
            program: Program::Nothing,
            insn_cnt: None,
            prog_flags: Vec::new(),
            license: "GPL".to_owned(),
            bind: "prog".to_owned(),
        };
        calls.push(Call {
            step: Step::Bpf(Bpf::MapCreate(map)),
            asks: "map_create".to_owned(),
            purpose: "creates a map".to_owned(),
        });
        calls.push(Call {
            step: Step::Bpf(Bpf::ProgLoad(load)),
            asks: "bpf_prog_load\nis_perfmon_prog_type\nbpf_check\nbpf_prog_kallsyms_add\n\
                   bpf { prog_run }"
                .to_owned(),
            purpose: "loads a program of a tracing type".to_owned(),
        });
    }
}

fn ioctl(fd: String, request: Request, to: Option<String>) -> Step {
    Step::Ioctl(Box::new(Ioctl {
        fd,
        request,
        arg: 0,
        to,
        filter: None,
        attr: None,
        ids_len: 0,
        at: Place::Mapped,
        compat: false,
    }))
}

fn reads_tracefs(event: &PerfEvent, facts: &Facts) -> Call {
    let place = match &event.event {
        Event::Tracepoint { category, name } => format!("{TRACEFS}/events/{category}/{name}/id"),
        _ => format!("{TRACEFS}/events"),
    };
    tracefs(facts, &place, &format!("looks up {}", event.name))
}

/// Reads a file of tracefs, which belongs to root.
fn tracefs(facts: &Facts, path: &str, purpose: &str) -> Call {
    let open = facts.tracefs.value || is_root(facts);
    Call {
        step: opened(path, OpenAccess::Read),
        asks: if open { String::new() } else { "generic_permission(MAY_READ)".to_owned() },
        purpose: purpose.to_owned(),
    }
}

/// Writes `kprobe_events`, which belongs to root.
fn writes_tracefs(facts: &Facts) -> Call {
    let lockdown = "security_locked_down(LOCKDOWN_TRACEFS)";
    Call {
        step: opened(&format!("{TRACEFS}/kprobe_events"), OpenAccess::ReadWrite),
        asks: match is_root(facts) {
            true => lockdown.to_owned(),
            false => format!("generic_permission(MAY_WRITE)\n{lockdown}"),
        },
        purpose: "writes a file of tracefs".to_owned(),
    }
}

fn opened(path: &str, write: OpenAccess) -> Step {
    Step::Open(Open { path: path.to_owned(), write, bind: "file".to_owned() })
}

/// The owner of files: root of the initial user namespace.
fn is_root(facts: &Facts) -> bool {
    facts.uid.value == 0 && !facts.userns.value
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::why::facts::Given;

    fn calls(text: &str) -> Vec<String> {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        let facts = Facts::new(Given::default(), None).unwrap();
        let calls = ToolCommand::read(&words).unwrap().calls(&facts);
        calls.iter().map(|call| call.step.to_string()).collect()
    }

    #[rstest]
    #[case("perf stat -e cycles:u ls", &[
        "perf_event_open(hardware/cpu-cycles, exclude_kernel, exclude_hv, pid=0, cpu=-1)",
        "read(fd, 8)",
    ])]
    #[case("perf record -a -g", &[
        "perf_event_open(hardware/cpu-cycles, sample_type=CALLCHAIN, pid=-1, cpu=0)",
        "mmap(fd, 129 pages)",
        "ioctl(fd, ENABLE)",
    ])]
    #[case("perf stat -e sched:sched_switch ls", &[
        "open(/sys/kernel/tracing/events/sched/sched_switch/id)",
        "perf_event_open(tracepoint/sched:sched_switch, pid=0, cpu=-1)",
        "read(fd, 8)",
    ])]
    #[case("perf stat -e power/energy-pkg/ ls", &[
        "perf_event_open(pmu/power/0x0, pid=-1, cpu=0)",
        "read(fd, 8)",
    ])]
    #[case("perf probe do_exit", &["open(/sys/kernel/tracing/kprobe_events, O_RDWR)"])]
    #[case("perf report", &[])]
    fn a_command_makes_calls(#[case] text: &str, #[case] expected: &[&str]) {
        let found = calls(text);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            let (name, _) = expected.split_once('(').unwrap();
            assert!(found.starts_with(name), "{found}, not {expected}");
            let parts = expected[name.len() + 1..].trim_end_matches(')').split(", ");
            let found = found.replace('"', "");
            assert!(parts.into_iter().all(|part| found.contains(part)), "{found}, not {expected}");
        }
    }

    #[rstest]
    #[case(516, 128)]
    #[case(4, 1)]
    #[case(0, 1)]
    #[case(2052, 512)]
    fn the_default_buffer_is_a_power_of_two(#[case] kb: u64, #[case] pages: u32) {
        assert_eq!(default_pages(kb), pages);
    }
}
