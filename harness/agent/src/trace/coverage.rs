//! Events for coverage: entry and return of the functions that check.

use super::format::{Field, Format};
use super::probes::{CAPABILITY_PROBES, GROUP, Instance, enable_event, tracefs};
use crate::coverage::{Argument, CallSites, FUNCTIONS, Function, Tally, TraceStep};
use crate::error::{Error, Result};
use crate::knob;

/// How to read one type of event.
struct CoverageReader {
    id: u16,
    tid: Field,
    fields: CoverageFields,
}

enum CoverageFields {
    Enter { function: usize, first: Option<Field>, second: Option<Field> },
    Leave { function: usize, result: Field, caller: Field },
    Commoncap { verdict: Field },
    Audited { denied: Field },
}

/// Traces the functions that check, and counts their verdicts.
pub(crate) struct CoverageTrace {
    readers: Vec<CoverageReader>,
    /// Time, thread and step, since the buffer was last emptied.
    events: Vec<(u64, i32, TraceStep)>,
    /// The functions that this kernel has.
    traced: Vec<&'static str>,
    tally: Tally,
    sites: CallSites,
}

impl CoverageTrace {
    /// Enables the events, after those of `security_capable()` and SELinux: without these,
    /// capabilities are not covered.
    pub(super) fn new(instance: &Instance, wanted: &[String]) -> Result<Self> {
        let events = instance.path().join("events");
        let mut this = Self {
            readers: Vec::new(),
            events: Vec::new(),
            traced: Vec::new(),
            tally: Tally::default(),
            sites: CallSites::read(wanted),
        };
        for (index, function) in FUNCTIONS.iter().enumerate() {
            let names = if function.name == CAPABILITY_PROBES.function {
                let known = CAPABILITY_PROBES;
                let exists = |name| events.join(GROUP).join(name).is_dir();
                if !(exists(known.enter) && exists(known.leave)) {
                    continue;
                }
                (known.enter.to_owned(), known.leave.to_owned())
            } else {
                match probe(function) {
                    Some(names) => names,
                    None => continue,
                }
            };
            this.add_function(instance, index, function, &names)?;
            this.traced.push(function.name);
        }
        for event in [format!("{GROUP}/commoncap"), "capability/cap_capable".to_owned()] {
            if events.join(&event).is_dir() {
                let (format, verdict) = event_field(instance, &event, "ret")?;
                this.add_reader(&format, CoverageFields::Commoncap { verdict })?;
            }
        }
        let (format, denied) = event_field(instance, "avc/selinux_audited", "denied")?;
        this.add_reader(&format, CoverageFields::Audited { denied })?;
        Ok(this)
    }

    fn add_function(
        &mut self,
        instance: &Instance,
        index: usize,
        function: &Function,
        (enter, leave): &(String, String),
    ) -> Result<()> {
        let format = enable_event(instance, &format!("{GROUP}/{enter}"))?;
        let (first, second) = (format.field("first"), format.field("second"));
        let first = first.or_else(|| format.field(CAPABILITY_PROBES.argument));
        self.add_reader(&format, CoverageFields::Enter { function: index, first, second })?;
        let (format, result) = event_field(instance, &format!("{GROUP}/{leave}"), "ret")?;
        let caller = format.field("__probe_ret_ip");
        let caller = caller.ok_or_else(|| {
            Error::new(format_args!("cover {}", function.name), "its event lacks __probe_ret_ip")
        })?;
        self.add_reader(&format, CoverageFields::Leave { function: index, result, caller })
    }

    fn add_reader(&mut self, format: &Format, fields: CoverageFields) -> Result<()> {
        let tid = format
            .field("common_pid")
            .ok_or_else(|| Error::new("cover a function", "its event lacks common_pid"))?;
        self.readers.push(CoverageReader { id: format.id, tid, fields });
        Ok(())
    }

    /// Records an event, of any type.
    pub(super) fn record(&mut self, time: u64, data: &[u8]) {
        if let Some((tid, step)) = self.decode(data) {
            self.events.push((time, tid, step));
        }
    }

    fn decode(&self, data: &[u8]) -> Option<(i32, TraceStep)> {
        let id = u16::from_le_bytes(*data.first_chunk()?);
        let reader = self.readers.iter().find(|reader| reader.id == id)?;
        let number = |field: Field| field.number(data).map(|number| number as u64);
        let step = match reader.fields {
            CoverageFields::Enter { function, first, second } => {
                let argument = |field: Option<Field>| field.map_or(Some(0), number);
                TraceStep::Enter { function, arguments: (argument(first)?, argument(second)?) }
            }
            CoverageFields::Leave { function, result, caller } => {
                TraceStep::Leave { function, result: number(result)?, caller: number(caller)? }
            }
            CoverageFields::Commoncap { verdict } => {
                TraceStep::Commoncap { verdict: number(verdict)? as i32 }
            }
            CoverageFields::Audited { denied } => TraceStep::Audited { denied: number(denied)? },
        };
        Some((reader.tid.number(data)? as i32, step))
    }

    /// Counts the events of one thread, and drops those of others.
    pub(super) fn count(&mut self, tid: i32) {
        let mut events = std::mem::take(&mut self.events);
        events.sort_by_key(|(time, ..)| *time);
        let own = events.into_iter().filter(|(_, thread, _)| *thread == tid);
        self.tally.add(own.map(|(.., step)| step));
    }

    /// Drops the events that were not counted.
    pub(super) fn discard(&mut self) {
        self.events.clear();
    }

    /// The coverage of all cells so far.
    pub(crate) fn report(&self) -> perfsec_wire::Coverage {
        self.sites.report(&self.tally, &self.traced)
    }
}

/// Enables an event; returns its format and one of its fields.
fn event_field(instance: &Instance, event: &str, name: &str) -> Result<(Format, Field)> {
    let format = enable_event(instance, event)?;
    let field = format
        .field(name)
        .ok_or_else(|| Error::new(format_args!("understand the format of {event}"), name))?;
    Ok((format, field))
}

/// Probes entry and return of a function; returns the names of the events, or `None` if the kernel
/// has no such symbol or refuses a probe there.
fn probe(function: &Function) -> Option<(String, String)> {
    let name = function.name;
    let arguments = match function.argument {
        Argument::None => "",
        Argument::First => " first=%di:u64",
        Argument::Second => " first=%si:u64",
        Argument::Third => " first=%dx:u64",
        Argument::FirstOrSecond => " first=%di:u64 second=%si:u64",
    };
    let (enter, leave) = (format!("in_{name}"), format!("out_{name}"));
    let definitions = tracefs().join("kprobe_events");
    for definition in [
        format!("p:{GROUP}/{enter} {name}{arguments}"),
        format!("r64:{GROUP}/{leave} {name} ret=$retval:u64"),
    ] {
        knob::append(&definitions, &definition).ok()?;
    }
    Some((enter, leave))
}
