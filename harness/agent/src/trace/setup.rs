//! Enables trace events and reads what they recorded.

use super::buffer::Buffers;
use super::coverage::CoverageTrace;
use super::event::{Decoder, Event, EventKind};
use super::probes::{COMMONCAP, GROUP, Instance, SECURITY, enable_event, tracefs};
use crate::error::{Error, Result};
use crate::knob::{self, Knob};

/// Size of each CPU's ring buffer: some hundred times what a cell fills.
const BUFFER_KB: &str = "512";
/// The same where other processes fill it too: those of a whole system that is idle.
const SHARED_BUFFER_KB: &str = "4096";
/// `local_clock()`, which also makes the time stamps of `/dev/kmsg`.
const CLOCK: &str = "perf";

/// The trace, with the agent's events enabled.
pub(crate) struct Trace {
    instance: Instance,
    switch: Knob,
    /// True from the start of a recording to its end.
    recording: bool,
    buffers: Buffers,
    decoder: Decoder,
    /// Events that were read while the subject waited.
    pending: Vec<Event>,
    /// The probes that trace capability checks, or the reason why they are not traced.
    pub(crate) caps: std::result::Result<String, String>,
    /// Coverage, if the lane asks for it.
    pub(crate) coverage: Option<CoverageTrace>,
}

impl Trace {
    /// Sets everything up, paused.
    pub(crate) fn new(instance: Instance, coverage: Option<&[String]>) -> Result<Self> {
        let root = instance.path();
        // Under lockdown tracefs is empty (LOCKDOWN_TRACEFS).
        let doing =
            format!("see syscalls in {}, which lockdown=confidentiality hides", root.display());
        let switch =
            Knob::open(root.join("tracing_on")).map_err(|error| Error { doing, ..error })?;
        switch.write("0")?;
        knob::write(root.join("trace_clock"), CLOCK)?;
        let size = if instance.is_own() { SHARED_BUFFER_KB } else { BUFFER_KB };
        knob::write(root.join("buffer_size_kb"), size)?;
        let mut decoder = Decoder::default();
        for (event, kind) in [
            ("raw_syscalls/sys_enter", EventKind::Enter),
            ("raw_syscalls/sys_exit", EventKind::Exit),
            ("avc/selinux_audited", EventKind::Audited),
        ] {
            enable(&instance, event, kind, &mut decoder)?;
        }
        let caps = trace_capabilities(&instance, &mut decoder).map_err(|error| error.to_string());
        let coverage = coverage.map(|wanted| CoverageTrace::new(&instance, wanted)).transpose()?;
        let buffers = Buffers::open(root)?;
        let (recording, pending) = (false, Vec::new());
        let mut this =
            Self { instance, switch, recording, buffers, decoder, pending, caps, coverage };
        this.discard()?;
        Ok(this)
    }

    /// Starts recording.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.recording = true;
        self.switch.write("1")
    }

    /// Stops recording, if it was started.
    pub(crate) fn stop(&mut self) -> Result<()> {
        if self.recording {
            self.switch.write("0")?;
            self.recording = false;
        }
        Ok(())
    }

    /// Stops recording while something other than the subject runs, and keeps what was recorded.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.stop()?;
        let mut events = Vec::new();
        if self.pages(|event| events.push(event))? {
            return Err(overrun());
        }
        self.pending.append(&mut events);
        Ok(())
    }

    /// Removes the agent's events, for the person who uses tracefs next.
    pub(crate) fn remove(self) {
        let root = self.instance.path();
        // Each is independent of the others, and a guest without one of them is good for a shell.
        let _ = knob::write(root.join("events/enable"), "0");
        // A probe is in use while its buffer is open.
        drop(self.buffers);
        if self.instance.is_own() {
            drop(self.switch);
            let _ = std::fs::remove_dir(root);
        } else {
            let _ = self.switch.write("1");
        }
        let _ = std::fs::write(tracefs().join("kprobe_events"), "");
    }

    /// Drops what was recorded.
    pub(crate) fn discard(&mut self) -> Result<()> {
        self.pages(|_| ())?;
        self.pending.clear();
        self.coverage.iter_mut().for_each(CoverageTrace::discard);
        Ok(())
    }

    /// The events of these threads, in the order in which they happened.
    ///
    /// # Errors
    ///
    /// If the buffer overran, so that events are missing.
    pub(crate) fn take(&mut self, tids: &[i32]) -> Result<Vec<Event>> {
        let mut events = std::mem::take(&mut self.pending);
        events.retain(|event| tids.contains(&event.tid));
        let missed =
            self.pages(|event| events.extend(tids.contains(&event.tid).then_some(event)))?;
        if missed {
            return Err(overrun());
        }
        if let Some(coverage) = &mut self.coverage {
            tids.iter().for_each(|tid| coverage.count(*tid));
        }
        // Stable: within one CPU the order is that of the buffer, at any resolution of the clock.
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Reads until every buffer is empty; returns true if events were overwritten.
    fn pages(&mut self, mut each: impl FnMut(Event)) -> Result<bool> {
        let Self { buffers, decoder, coverage, .. } = self;
        buffers.read(|time, data| {
            if let Some(coverage) = coverage {
                coverage.record(time, data);
            }
            if let Some(event) = decoder.decode(time, data) {
                each(event);
            }
        })
    }
}

/// Events are missing.
pub(crate) fn overrun() -> Error {
    Error::new("read every trace event", "the ring buffer overran")
}

fn enable(instance: &Instance, event: &str, kind: EventKind, decoder: &mut Decoder) -> Result<()> {
    let format = enable_event(instance, event)?;
    let doing = || format!("understand the format of {event}");
    decoder.add(kind, &format).map_err(|field| Error::new(doing(), field))
}

/// Traces capability checks; returns the names of the probes.
fn trace_capabilities(instance: &Instance, decoder: &mut Decoder) -> Result<String> {
    let mut probes = SECURITY.to_vec();
    let tracepoint = "capability/cap_capable";
    let has_tracepoint = tracefs().join("events").join(tracepoint).is_dir();
    if !has_tracepoint {
        probes.push(COMMONCAP);
    }
    let definitions = tracefs().join("kprobe_events");
    for (name, definition, kind) in probes {
        knob::append(&definitions, definition)?;
        enable(instance, &format!("{GROUP}/{name}"), kind, decoder)?;
    }
    if has_tracepoint {
        enable(instance, tracepoint, EventKind::Commoncap, decoder)?;
        return Ok("kprobe security_capable, tracepoint cap_capable".to_owned());
    }
    Ok("kprobes security_capable, cap_capable".to_owned())
}
