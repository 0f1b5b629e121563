//! The probes of capability checks, and how a trace event is enabled.

use std::path::Path;

use super::event::EventKind;
use super::format::Format;
use crate::error::{Error, Result};
use crate::knob;

/// Mount point of tracefs.
pub(crate) fn tracefs() -> &'static Path {
    Path::new("/sys/kernel/tracing")
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
pub(super) fn enable_event(event: &str) -> Result<Format> {
    enable_in(tracefs(), event)
}

/// Enables an event of the instance with this directory; returns its format.
pub(crate) fn enable_in(instance: &Path, event: &str) -> Result<Format> {
    let folder = instance.join("events").join(event);
    let format = knob::read(folder.join("format"))?;
    let doing = || format!("understand the format of {event}");
    let format = Format::parse(&format).ok_or_else(|| Error::new(doing(), &format))?;
    knob::write(folder.join("enable"), "1")?;
    Ok(format)
}
