//! Decoded trace events.

use super::format::{Field, Format};

/// One event of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds of `local_clock()`, as in printk's time stamps.
    pub(crate) time: u64,
    /// Thread id.
    pub(crate) tid: i32,
    pub(crate) data: EventData,
}

/// An event's type and fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventData {
    /// A syscall was entered.
    Enter { number: i64 },
    /// A syscall returned.
    Exit { number: i64, result: i64 },
    /// `security_capable()` was entered.
    Asked { cap: u32, opts: u32 },
    /// `security_capable()` returned.
    Answered { verdict: i32 },
    /// `cap_capable()` returned.
    Commoncap { verdict: i32 },
    /// `slow_avc_audit()` wrote a record about this class.
    Audited { class: String },
}

/// Decodes the bytes of an event.
type Decode = Box<dyn Fn(&[u8]) -> Option<EventData>>;

/// How to read events of one type.
struct EventReader {
    id: u16,
    tid: Field,
    decode: Decode,
}

/// How to read every event that is enabled.
#[derive(Default)]
pub(crate) struct Decoder {
    readers: Vec<EventReader>,
}

/// The types of [`EventData`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Enter,
    Exit,
    Asked,
    Answered,
    Commoncap,
    Audited,
}

impl Decoder {
    /// Adds a type of event with this format.
    ///
    /// # Errors
    ///
    /// The name of a field that the format lacks.
    pub(crate) fn add(&mut self, kind: EventKind, format: &Format) -> Result<(), &'static str> {
        let field = |name: &'static str| format.field(name).ok_or(name);
        let decode: Decode = match kind {
            EventKind::Enter => {
                let id = field("id")?;
                Box::new(move |event| Some(EventData::Enter { number: id.number(event)? }))
            }
            EventKind::Exit => {
                let (id, ret) = (field("id")?, field("ret")?);
                Box::new(move |event| {
                    Some(EventData::Exit { number: id.number(event)?, result: ret.number(event)? })
                })
            }
            EventKind::Asked => {
                let (cap, opts) = (field("cap")?, field("opts")?);
                Box::new(move |event| {
                    Some(EventData::Asked {
                        cap: cap.number(event)? as u32,
                        opts: opts.number(event)? as u32,
                    })
                })
            }
            EventKind::Answered => {
                let ret = field("ret")?;
                Box::new(move |event| {
                    Some(EventData::Answered { verdict: ret.number(event)? as i32 })
                })
            }
            EventKind::Commoncap => {
                let ret = field("ret")?;
                Box::new(move |event| {
                    Some(EventData::Commoncap { verdict: ret.number(event)? as i32 })
                })
            }
            EventKind::Audited => {
                let class = field("tclass")?;
                Box::new(move |event| Some(EventData::Audited { class: class.text(event)? }))
            }
        };
        self.readers.push(EventReader { id: format.id, tid: field("common_pid")?, decode });
        Ok(())
    }

    /// Decodes an event; returns `None` for one of another type.
    pub(crate) fn decode(&self, time: u64, data: &[u8]) -> Option<Event> {
        let id = u16::from_le_bytes(*data.first_chunk()?);
        let reader = self.readers.iter().find(|reader| reader.id == id)?;
        let tid = reader.tid.number(data)? as i32;
        Some(Event { time, tid, data: (reader.decode)(data)? })
    }
}
