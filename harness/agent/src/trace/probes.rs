//! The probes of capability checks, and how a trace event is enabled.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::event::EventKind;
use super::format::Format;
use crate::error::{Error, ErrorContext, Result};
use crate::here::journal;
use crate::knob;

/// Mount point of tracefs.
pub(crate) fn tracefs() -> &'static Path {
    Path::new("/sys/kernel/tracing")
}

/// The directory of traces beside the one at the top.
pub(crate) fn own_folder() -> PathBuf {
    tracefs().join("instances")
}

/// The names of the events of [`GROUP`].
pub(crate) fn probe_names() -> impl Iterator<Item = &'static str> {
    SECURITY.iter().chain([&COMMONCAP]).map(|(name, ..)| *name)
}

/// Removes the events of [`GROUP`] that are defined, and leaves those of others.
pub(crate) fn undefine_probes() -> Result<()> {
    let definitions = tracefs().join("kprobe_events");
    // A kernel without kprobes has none.
    let defined = knob::read(&definitions).unwrap_or_default();
    for name in probe_names() {
        if defined.contains(&format!(":{GROUP}/{name} ")) {
            knob::append(&definitions, &format!("-:{GROUP}/{name}"))?;
        }
    }
    Ok(())
}

/// A trace: buffers with events that are enabled for them. Probes are defined for all traces.
#[derive(Clone, Debug)]
pub(crate) struct Instance(PathBuf);

impl Instance {
    /// The trace at the top, for an agent that uses tracefs alone.
    pub(crate) fn whole() -> Self {
        Self(tracefs().to_owned())
    }

    /// A trace of the agent's own, which others do not see and which does not see theirs.
    pub(crate) fn own() -> Result<Self> {
        Self::named(GROUP)
    }

    /// The same under another name.
    pub(crate) fn named(name: &str) -> Result<Self> {
        let path = own_folder().join(name);
        journal::note_trace(&path)?;
        match std::fs::create_dir(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).doing(format_args!("make {}", path.display()))
            }
            _ => Ok(Self(path)),
        }
    }

    /// True for a trace beside those of others.
    pub(super) fn is_own(&self) -> bool {
        self.0 != tracefs()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// The group of the agent's kprobe events.
pub(crate) const GROUP: &str = "perfsec";

/// `security_capable()` combines the verdicts of all modules. It has these arguments since 5.1.
/// Sixteen returns can be pending (`maxactive`), more than tasks can be inside.
pub(super) const SECURITY: [(&str, &str, EventKind); 2] = [
    ("ask", "p:perfsec/ask security_capable cap=%dx:s32 opts=%cx:u32", EventKind::Asked),
    ("answer", "r16:perfsec/answer security_capable ret=$retval:s32", EventKind::Answered),
];
/// The events of [`SECURITY`], as coverage needs them.
pub(super) const CAPABILITY_PROBES: ProbedFunction =
    ProbedFunction { function: "security_capable", enter: "ask", leave: "answer", argument: "cap" };
/// commoncap's own verdict, on a kernel without a tracepoint for it (before 6.14).
pub(super) const COMMONCAP: (&str, &str, EventKind) =
    ("commoncap", "r16:perfsec/commoncap cap_capable ret=$retval:s32", EventKind::Commoncap);

/// A probed function, with the names of its events.
pub(super) struct ProbedFunction {
    pub(super) function: &'static str,
    pub(super) enter: &'static str,
    pub(super) leave: &'static str,
    /// The field of `enter` that distinguishes calls.
    pub(super) argument: &'static str,
}

/// Enables an event; returns its format.
pub(crate) fn enable_event(instance: &Instance, event: &str) -> Result<Format> {
    let folder = instance.path().join("events").join(event);
    let format = knob::read(folder.join("format"))?;
    let doing = || format!("understand the format of {event}");
    let format = Format::parse(&format).ok_or_else(|| Error::new(doing(), &format))?;
    knob::write(folder.join("enable"), "1")?;
    Ok(format)
}
