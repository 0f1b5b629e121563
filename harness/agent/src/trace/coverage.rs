//! The events from which coverage is made: functions that ask, entered and left.

use std::path::Path;

use super::format::{Field, Format};
use super::setup::{GROUP, TRACED_CAPABILITIES, turn_on};
use crate::coverage::{Argument, FUNCTIONS, Function, Places, Step, Tally};
use crate::error::{Error, Result};
use crate::knob;
use crate::undo::Undo;

/// How one kind of event is read.
struct Reader {
    id: u16,
    tid: Field,
    read: Read,
}

enum Read {
    Enter { function: usize, first: Option<Field>, second: Option<Field> },
    Leave { function: usize, result: Field, caller: Field },
    Commoncap { verdict: Field },
    Audited { denied: Field },
}

/// Traces the functions that ask, and counts the answers.
pub(crate) struct Watch {
    readers: Vec<Reader>,
    /// Time, thread, and what happened, since the buffer was last emptied.
    events: Vec<(u64, i32, Step)>,
    /// The functions that this kernel has.
    traced: Vec<&'static str>,
    tally: Tally,
    places: Places,
}

impl Watch {
    /// Turns the events on. Those of `security_capable()` and SELinux are on already; where they are not,
    /// capabilities are not covered.
    pub(super) fn new(root: &Path, undo: &mut Undo, wanted: &[String]) -> Result<Self> {
        let mut this = Self {
            readers: Vec::new(),
            events: Vec::new(),
            traced: Vec::new(),
            tally: Tally::default(),
            places: Places::read(wanted),
        };
        for (index, function) in FUNCTIONS.iter().enumerate() {
            let names = if function.name == TRACED_CAPABILITIES.function {
                let known = TRACED_CAPABILITIES;
                let is_on = |name| root.join("events").join(GROUP).join(name).is_dir();
                if !(is_on(known.enter) && is_on(known.leave)) {
                    continue;
                }
                (known.enter.to_owned(), known.leave.to_owned())
            } else {
                match probe(function, undo) {
                    Some(names) => names,
                    None => continue,
                }
            };
            this.learn(root, index, function, &names, undo)?;
            this.traced.push(function.name);
        }
        for event in [format!("{GROUP}/commoncap"), "capability/cap_capable".to_owned()] {
            if root.join("events").join(&event).is_dir() {
                let (format, verdict) = fields(root, &event, "ret", undo)?;
                this.reader(&format, Read::Commoncap { verdict })?;
            }
        }
        let (format, denied) = fields(root, "avc/selinux_audited", "denied", undo)?;
        this.reader(&format, Read::Audited { denied })?;
        Ok(this)
    }

    fn learn(
        &mut self,
        root: &Path,
        index: usize,
        function: &Function,
        (enter, leave): &(String, String),
        undo: &mut Undo,
    ) -> Result<()> {
        let format = turn_on(root, &format!("{GROUP}/{enter}"), undo)?;
        let (first, second) = (format.field("first"), format.field("second"));
        let first = first.or_else(|| format.field(TRACED_CAPABILITIES.argument));
        self.reader(&format, Read::Enter { function: index, first, second })?;
        let event = format!("{GROUP}/{leave}");
        let (format, result) = fields(root, &event, "ret", undo)?;
        let caller = format.field("__probe_ret_ip");
        let caller = caller.ok_or_else(|| {
            Error::new(format_args!("cover {}", function.name), "its event lacks __probe_ret_ip")
        })?;
        self.reader(&format, Read::Leave { function: index, result, caller })
    }

    fn reader(&mut self, format: &Format, read: Read) -> Result<()> {
        let tid = format
            .field("common_pid")
            .ok_or_else(|| Error::new("cover a function", "its event lacks common_pid"))?;
        self.readers.push(Reader { id: format.id, tid, read });
        Ok(())
    }

    /// Takes in an event of any kind.
    pub(super) fn event(&mut self, time: u64, data: &[u8]) {
        if let Some((tid, step)) = self.decode(data) {
            self.events.push((time, tid, step));
        }
    }

    fn decode(&self, data: &[u8]) -> Option<(i32, Step)> {
        let id = u16::from_le_bytes(*data.first_chunk()?);
        let reader = self.readers.iter().find(|reader| reader.id == id)?;
        let number = |field: Field| field.number(data).map(|number| number as u64);
        let step = match reader.read {
            Read::Enter { function, first, second } => {
                let argument = |field: Option<Field>| field.map_or(Some(0), number);
                Step::Enter { function, arguments: (argument(first)?, argument(second)?) }
            }
            Read::Leave { function, result, caller } => {
                Step::Leave { function, result: number(result)?, caller: number(caller)? }
            }
            Read::Commoncap { verdict } => Step::Commoncap { verdict: number(verdict)? as i32 },
            Read::Audited { denied } => Step::Audited { denied: number(denied)? },
        };
        Some((reader.tid.number(data)? as i32, step))
    }

    /// Counts what one thread did, and forgets what others did.
    pub(super) fn count(&mut self, tid: i32) {
        let mut events = std::mem::take(&mut self.events);
        events.sort_by_key(|(time, ..)| *time);
        let own = events.into_iter().filter(|(_, thread, _)| *thread == tid);
        self.tally.add(own.map(|(.., step)| step));
    }

    /// Forgets what was not counted.
    pub(super) fn forget(&mut self) {
        self.events.clear();
    }

    /// What was covered.
    pub(crate) fn report(&self) -> perfsec_wire::Coverage {
        self.places.report(&self.tally, &self.traced)
    }
}

/// An event's format and one of its fields.
fn fields(root: &Path, event: &str, name: &str, undo: &mut Undo) -> Result<(Format, Field)> {
    let format = turn_on(root, event, undo)?;
    let field = format
        .field(name)
        .ok_or_else(|| Error::new(format_args!("understand the format of {event}"), name))?;
    Ok((format, field))
}

/// Puts probes on a function; `None` when the kernel has no such symbol, or may not be probed there.
fn probe(function: &Function, undo: &mut Undo) -> Option<(String, String)> {
    let name = function.name;
    let arguments = match function.argument {
        Argument::None => "",
        Argument::First => " first=%di:u64",
        Argument::Second => " first=%si:u64",
        Argument::Third => " first=%dx:u64",
        Argument::FirstOrSecond => " first=%di:u64 second=%si:u64",
    };
    let (enter, leave) = (format!("in_{name}"), format!("out_{name}"));
    let definitions = super::tracefs().join("kprobe_events");
    for (event, definition) in [
        (&enter, format!("p:{GROUP}/{enter} {name}{arguments}")),
        (&leave, format!("r64:{GROUP}/{leave} {name} ret=$retval:u64")),
    ] {
        knob::append(&definitions, &definition).ok()?;
        undo.write(&definitions, &format!("-:{GROUP}/{event}"));
    }
    Some((enter, leave))
}
