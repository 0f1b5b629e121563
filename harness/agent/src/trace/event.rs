//! The events that matter, decoded.

use super::format::{Field, Format};

/// One event of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Nanoseconds of `local_clock()`, which printk's time stamps come from too.
    pub(crate) time: u64,
    /// Thread id.
    pub(crate) tid: i32,
    pub(crate) what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
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

/// Reads what happened from an event's bytes.
type Read = Box<dyn Fn(&[u8]) -> Option<What>>;

/// How events of one kind are read.
struct Reader {
    id: u16,
    tid: Field,
    read: Read,
}

/// How to read every event that was turned on.
#[derive(Default)]
pub(crate) struct Decoder {
    readers: Vec<Reader>,
}

/// The kinds that [`What`] tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Enter,
    Exit,
    Asked,
    Answered,
    Commoncap,
    Audited,
}

impl Decoder {
    /// Learns to read one kind of event.
    ///
    /// # Errors
    ///
    /// Names the field that the kernel's format lacks.
    pub(crate) fn learn(&mut self, kind: Kind, format: &Format) -> Result<(), &'static str> {
        let field = |name: &'static str| format.field(name).ok_or(name);
        let read: Read = match kind {
            Kind::Enter => {
                let id = field("id")?;
                Box::new(move |event| Some(What::Enter { number: id.number(event)? }))
            }
            Kind::Exit => {
                let (id, ret) = (field("id")?, field("ret")?);
                Box::new(move |event| {
                    Some(What::Exit { number: id.number(event)?, result: ret.number(event)? })
                })
            }
            Kind::Asked => {
                let (cap, opts) = (field("cap")?, field("opts")?);
                Box::new(move |event| {
                    Some(What::Asked {
                        cap: cap.number(event)? as u32,
                        opts: opts.number(event)? as u32,
                    })
                })
            }
            Kind::Answered => {
                let ret = field("ret")?;
                Box::new(move |event| Some(What::Answered { verdict: ret.number(event)? as i32 }))
            }
            Kind::Commoncap => {
                let ret = field("ret")?;
                Box::new(move |event| Some(What::Commoncap { verdict: ret.number(event)? as i32 }))
            }
            Kind::Audited => {
                let class = field("tclass")?;
                Box::new(move |event| Some(What::Audited { class: class.text(event)? }))
            }
        };
        self.readers.push(Reader { id: format.id, tid: field("common_pid")?, read });
        Ok(())
    }

    /// One event; `None` for one of another kind.
    pub(crate) fn decode(&self, time: u64, data: &[u8]) -> Option<Event> {
        let id = u16::from_le_bytes(*data.first_chunk()?);
        let reader = self.readers.iter().find(|reader| reader.id == id)?;
        let tid = reader.tid.number(data)? as i32;
        Some(Event { time, tid, what: (reader.read)(data)? })
    }
}
