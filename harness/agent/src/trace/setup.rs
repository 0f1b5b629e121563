//! Turning the events on, and taking what they left.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc;

use super::coverage::Watch;
use super::event::{Decoder, Event, Kind};
use super::format::{Format, PageLayout};
use super::ring;
use crate::error::{Doing, Error, Result};
use crate::knob::{self, Knob};
use crate::undo::Undo;

/// Where tracefs is mounted.
pub(crate) fn tracefs() -> &'static Path {
    Path::new("/sys/kernel/tracing")
}

/// The group of the agent's kprobe events.
pub(super) const GROUP: &str = "perfsec";
/// Ring buffer for each CPU: some hundred times what a cell leaves there.
const BUFFER_KB: &str = "512";
/// The clock whose time stamps compare with those of `/dev/kmsg`: both are `local_clock()`.
const CLOCK: &str = "perf";

/// `security_capable()` is where all modules' verdicts meet. Its arguments have been these since 5.1.
/// Sixteen returns can be pending (`maxactive`), more than there can be tasks inside.
const SECURITY: [(&str, &str, Kind); 2] = [
    ("ask", "p:perfsec/ask security_capable cap=%dx:s32 opts=%cx:u32", Kind::Asked),
    ("answer", "r16:perfsec/answer security_capable ret=$retval:s32", Kind::Answered),
];
/// The events of [`SECURITY`], for those who look at functions and not at capabilities.
pub(super) const TRACED_CAPABILITIES: Traced =
    Traced { function: "security_capable", enter: "ask", leave: "answer", argument: "cap" };
/// commoncap's own verdict, where there is no tracepoint for it (before 6.14).
const COMMONCAP: (&str, &str, Kind) =
    ("commoncap", "r16:perfsec/commoncap cap_capable ret=$retval:s32", Kind::Commoncap);

/// A function that is traced, by the names of its events.
pub(super) struct Traced {
    pub(super) function: &'static str,
    pub(super) enter: &'static str,
    pub(super) leave: &'static str,
    /// The field of the first that tells one call from another.
    pub(super) argument: &'static str,
}

/// A tracing instance with the agent's events on.
pub(crate) struct Trace {
    switch: Knob,
    buffers: Vec<File>,
    layout: PageLayout,
    decoder: Decoder,
    page: Vec<u8>,
    /// How capability checks are seen, or why not.
    pub(crate) caps: std::result::Result<String, String>,
    /// Counts who asked, when that is wanted.
    pub(crate) coverage: Option<Watch>,
}

impl Trace {
    /// Sets everything up and leaves it paused.
    pub(crate) fn new(undo: &mut Undo, coverage: Option<&[String]>) -> Result<Self> {
        // A machine that lives on may be traced by others; in a guest the top instance saves the time
        // of making another.
        let root = if undo.wanted() { instance(undo)? } else { tracefs().to_owned() };
        // Locked down, a kernel shows an empty tracefs (LOCKDOWN_TRACEFS).
        let doing =
            format!("see syscalls in {}, which lockdown=confidentiality hides", root.display());
        let switch =
            Knob::open(root.join("tracing_on")).map_err(|error| Error { doing, ..error })?;
        switch.write("0")?;
        knob::write(root.join("trace_clock"), CLOCK)?;
        knob::write(root.join("buffer_size_kb"), BUFFER_KB)?;
        let header = knob::read(tracefs().join("events/header_page"))?;
        let layout = PageLayout::parse(&header)
            .ok_or_else(|| Error::new("understand events/header_page", header))?;
        let mut decoder = Decoder::default();
        for (event, kind) in [
            ("raw_syscalls/sys_enter", Kind::Enter),
            ("raw_syscalls/sys_exit", Kind::Exit),
            ("avc/selinux_audited", Kind::Audited),
        ] {
            enable(&root, event, kind, &mut decoder, undo)?;
        }
        let caps = watch_capabilities(&root, &mut decoder, undo).map_err(|error| error.to_string());
        let coverage = coverage.map(|wanted| Watch::new(&root, undo, wanted)).transpose()?;
        let buffers = buffers(&root)?;
        let page = vec![0; layout.size];
        let mut this = Self { switch, buffers, layout, decoder, page, caps, coverage };
        this.discard()?;
        Ok(this)
    }

    /// Starts recording.
    pub(crate) fn start(&self) -> Result<()> {
        self.switch.write("1")
    }

    /// Stops recording.
    pub(crate) fn stop(&self) -> Result<()> {
        self.switch.write("0")
    }

    /// Forgets what was recorded.
    pub(crate) fn discard(&mut self) -> Result<()> {
        self.pages(|_| ())?;
        self.coverage.iter_mut().for_each(Watch::forget);
        Ok(())
    }

    /// Takes what one thread did, in the order in which it happened.
    ///
    /// # Errors
    ///
    /// When the buffer overran, so that something is missing.
    pub(crate) fn take(&mut self, tid: i32) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let missed = self.pages(|event| events.extend((event.tid == tid).then_some(event)))?;
        if missed {
            return Err(Error::new("read every trace event", "the ring buffer overran"));
        }
        if let Some(coverage) = &mut self.coverage {
            coverage.count(tid);
        }
        // Stable: within one CPU the order is that of the buffer, whatever the clock's resolution.
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    /// Reads until every buffer is empty; says whether anything was overwritten.
    fn pages(&mut self, mut each: impl FnMut(Event)) -> Result<bool> {
        let doing = "read the trace";
        let mut missed = false;
        for buffer in &mut self.buffers {
            loop {
                let got = match buffer.read(&mut self.page) {
                    Ok(0) => break,
                    Ok(got) => got,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).doing(doing),
                };
                let page = ring::page(&self.page[..got], &self.layout)
                    .ok_or_else(|| Error::new(doing, "a page of the ring buffer makes no sense"))?;
                missed |= page.missed;
                for (time, data) in page.events {
                    if let Some(coverage) = &mut self.coverage {
                        coverage.event(time, data);
                    }
                    if let Some(event) = self.decoder.decode(time, data) {
                        each(event);
                    }
                }
            }
        }
        Ok(missed)
    }
}

fn instance(undo: &mut Undo) -> Result<PathBuf> {
    let path = tracefs().join("instances").join(GROUP);
    std::fs::create_dir(&path).doing(format_args!("make {}", path.display()))?;
    undo.instance(&path);
    Ok(path)
}

fn buffers(root: &Path) -> Result<Vec<File>> {
    let folder = root.join("per_cpu");
    let entries = std::fs::read_dir(&folder).doing(format_args!("list {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.doing(format_args!("list {}", folder.display()))?.path();
        let path = path.join("trace_pipe_raw");
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&path)
            .doing(format_args!("open {}", path.display()))?;
        files.push(file);
    }
    Ok(files)
}

fn enable(
    root: &Path,
    event: &str,
    kind: Kind,
    decoder: &mut Decoder,
    undo: &mut Undo,
) -> Result<()> {
    let format = turn_on(root, event, undo)?;
    let doing = || format!("understand the format of {event}");
    decoder.learn(kind, &format).map_err(|field| Error::new(doing(), field))
}

/// Turns an event on; says how it is read.
pub(super) fn turn_on(root: &Path, event: &str, undo: &mut Undo) -> Result<Format> {
    let folder = root.join("events").join(event);
    let format = knob::read(folder.join("format"))?;
    let doing = || format!("understand the format of {event}");
    let format = Format::parse(&format).ok_or_else(|| Error::new(doing(), &format))?;
    let switch = folder.join("enable");
    undo.write(&switch, "0");
    knob::write(switch, "1")?;
    Ok(format)
}

/// Makes capability checks visible; says how.
fn watch_capabilities(root: &Path, decoder: &mut Decoder, undo: &mut Undo) -> Result<String> {
    let mut probes = SECURITY.to_vec();
    let tracepoint = "capability/cap_capable";
    let has_tracepoint = root.join("events").join(tracepoint).is_dir();
    if !has_tracepoint {
        probes.push(COMMONCAP);
    }
    let definitions = tracefs().join("kprobe_events");
    for (name, definition, kind) in probes {
        undo.write(&definitions, &format!("-:{GROUP}/{name}"));
        knob::append(&definitions, definition)?;
        enable(root, &format!("{GROUP}/{name}"), kind, decoder, undo)?;
    }
    if has_tracepoint {
        enable(root, tracepoint, Kind::Commoncap, decoder, undo)?;
        return Ok("kprobe security_capable, tracepoint cap_capable".to_owned());
    }
    Ok("kprobes security_capable, cap_capable".to_owned())
}
