//! A tracing instance of its own: a program that uses tracefs itself, as `perf ftrace` does, does
//! not disturb it, and only the tasks of the program are recorded.

use super::event::{ProgramDecoder, ProgramEvent, ProgramEventKind};
use crate::error::{Error, Result};
use crate::knob::{self, Knob};
use crate::trace::{Buffers, GROUP, Instance, enable_event, overrun, tracefs};

/// Name of the instance.
const INSTANCE: &str = "perfsec-program";
/// Size of each CPU's ring buffer; it is read while the program runs.
const BUFFER_KB: &str = "4096";
/// The most events of one program that are kept.
const MAX_EVENTS: usize = 1 << 20;

/// A probe: its name, the functions to try with the arguments to read there, and the event it is.
type Probe = (&'static str, &'static [(&'static str, &'static str)], ProgramEventKind);

/// Probes that read arguments from user memory. A syscall of x86-64 gets its registers in a
/// `struct pt_regs`, to which the first argument (`%di`) points: `di` is at 112, `si` at 104.
const PROBES: [Probe; 4] = [
    (
        "attr",
        &[
            (
                "__x64_sys_perf_event_open",
                "w0=+u0(+112(%di)):u64 w1=+u8(+112(%di)):u64 \
                 w2=+u16(+112(%di)):u64 w3=+u24(+112(%di)):u64 w4=+u32(+112(%di)):u64 \
                 w5=+u40(+112(%di)):u64 w6=+u48(+112(%di)):u64 w7=+u56(+112(%di)):u64",
            ),
            // 5.10 builds kernel/events/core.c without ftrace (its Makefile), and kprobe events
            // refuse such functions. The hook gets the kernel's copy, unless level 3 refuses first.
            (
                "security_perf_event_open",
                "w0=+0(%di):u64 w1=+8(%di):u64 w2=+16(%di):u64 w3=+24(%di):u64 \
                 w4=+32(%di):u64 w5=+40(%di):u64 w6=+48(%di):u64 w7=+56(%di):u64",
            ),
        ],
        ProgramEventKind::Attr,
    ),
    ("bpf", &[("__x64_sys_bpf", "kind=+u0(+104(%di)):u32")], ProgramEventKind::Bpf),
    ("clone3", &[("__x64_sys_clone3", "flags=+u0(+112(%di)):u64")], ProgramEventKind::CloneFlags),
    // The name in a `struct filename`, which is in the kernel's memory: the page of the caller's
    // string need not be there before the syscall. Newer kernels have another name for it.
    ("path", &[("do_filp_open", PATH), ("do_file_open", PATH)], ProgramEventKind::Path),
];
const PATH: &str = "path=+0(+0(%si)):string";
/// A kernel without bpf(2) has no such function.
const OPTIONAL: [&str; 1] = ["bpf"];

/// The instance.
pub(super) struct ProgramTrace {
    instance: Instance,
    switch: Knob,
    buffers: Buffers,
    decoder: ProgramDecoder,
    events: Vec<ProgramEvent>,
}

impl ProgramTrace {
    /// Makes the instance, paused. The agent's probes of capability checks exist already.
    pub(super) fn new(caps: bool) -> Result<Self> {
        let instance = Instance::named(INSTANCE)?;
        let root = instance.path();
        let switch = Knob::open(root.join("tracing_on"))?;
        switch.write("0")?;
        knob::write(root.join("trace_clock"), "perf")?;
        knob::write(root.join("buffer_size_kb"), BUFFER_KB)?;
        knob::write(root.join("options/event-fork"), "1")?;
        let mut this = Self {
            buffers: Buffers::open(root)?,
            instance,
            switch,
            decoder: ProgramDecoder::default(),
            events: Vec::new(),
        };
        for (event, kind) in [
            ("raw_syscalls/sys_enter", ProgramEventKind::Enter),
            ("raw_syscalls/sys_exit", ProgramEventKind::Exit),
            ("sched/sched_process_fork", ProgramEventKind::Forked),
            ("avc/selinux_audited", ProgramEventKind::Audited),
        ] {
            this.enable(event, kind)?;
        }
        if caps {
            this.enable(&format!("{GROUP}/ask"), ProgramEventKind::Asked)?;
            this.enable(&format!("{GROUP}/answer"), ProgramEventKind::Answered)?;
            let tracepoint = "capability/cap_capable";
            let has_tracepoint = tracefs().join("events").join(tracepoint).is_dir();
            let probe = format!("{GROUP}/commoncap");
            let event = if has_tracepoint { tracepoint } else { probe.as_str() };
            this.enable(event, ProgramEventKind::Commoncap)?;
        }
        for (name, functions, kind) in PROBES {
            match define(name, functions) {
                Err(_) if OPTIONAL.contains(&name) => continue,
                defined => defined?,
            }
            this.enable(&format!("{GROUP}/program_{name}"), kind)?;
        }
        Ok(this)
    }

    fn enable(&mut self, event: &str, kind: ProgramEventKind) -> Result<()> {
        let format = enable_event(&self.instance, event)?;
        let doing = || format!("understand the format of {event}");
        self.decoder.add(kind, &format).map_err(|field| Error::new(doing(), field))
    }

    /// Starts recording a task and all that it will make.
    pub(super) fn start(&mut self, pid: i32) -> Result<()> {
        self.buffers.read(|_, _| ())?;
        self.events.clear();
        knob::write(self.instance.path().join("set_event_pid"), &pid.to_string())?;
        self.switch.write("1")
    }

    /// Reads what was recorded.
    ///
    /// # Errors
    ///
    /// If events are missing, or if there are more than a program may cause.
    pub(super) fn drain(&mut self) -> Result<()> {
        let Self { buffers, decoder, events, .. } = self;
        let missed = buffers.read(|time, data| events.extend(decoder.decode(time, data)))?;
        if missed {
            return Err(overrun());
        }
        if self.events.len() > MAX_EVENTS {
            let detail = format!("it and its children cause more than {MAX_EVENTS}");
            return Err(Error::new("keep the events of a program", detail));
        }
        Ok(())
    }

    /// The tasks that are followed and have not ended.
    pub(super) fn tasks(&self) -> Result<Vec<i32>> {
        let pids = knob::read(self.instance.path().join("set_event_pid"))?;
        Ok(pids.lines().filter_map(|line| line.trim().parse().ok()).collect())
    }

    /// Stops recording; returns the events in the order in which they happened.
    pub(super) fn finish(&mut self) -> Result<Vec<ProgramEvent>> {
        self.switch.write("0")?;
        self.drain()?;
        let mut events = std::mem::take(&mut self.events);
        // Stable: within one CPU the order is that of the buffer, at any resolution of the clock.
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Stops recording and kills the tasks that are left.
    pub(super) fn end(&mut self) {
        let _ = self.switch.write("0");
        for _ in 0..100 {
            let tasks = self.tasks().unwrap_or_default();
            if tasks.is_empty() {
                break;
            }
            tasks.iter().for_each(|task| crate::children::end(*task));
            // A task that is killed leaves the list when it exits.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        self.forget();
    }

    /// Follows nobody: an empty list would record every task, so the switch is off.
    fn forget(&self) {
        let path = self.instance.path().join("set_event_pid");
        let truncate = std::fs::OpenOptions::new().write(true).truncate(true).open(path);
        drop(truncate);
    }
}

/// Defines a probe on the first of these functions that the kernel has and lets us probe.
fn define(name: &str, functions: &[(&str, &str)]) -> Result<()> {
    let event = format!("{GROUP}/program_{name}");
    if tracefs().join("events").join(&event).is_dir() {
        return Ok(());
    }
    let definitions = tracefs().join("kprobe_events");
    let mut refused = None;
    for (function, arguments) in functions {
        match knob::append(&definitions, &format!("p:{event} {function} {arguments}")) {
            Ok(()) => return Ok(()),
            Err(error) => refused = Some(error),
        }
    }
    let reason = knob::read(tracefs().join("error_log")).unwrap_or_default();
    // The message, and the definition with a mark below the mistake.
    let lines: Vec<_> = reason.lines().rev().take(3).collect();
    let reason = lines.into_iter().rev().map(str::trim).collect::<Vec<_>>().join(" ");
    let names: Vec<_> = functions.iter().map(|(function, _)| *function).collect();
    Err(Error::new(
        format!("probe {}", names.join(" or ")),
        match refused {
            Some(error) => format!("{error}: {reason}"),
            None => reason,
        },
    ))
}
