//! Events of a program's tasks.

use crate::trace::{Field, Format};

/// One event of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramEvent {
    /// Nanoseconds of `local_clock()`.
    pub(super) time: u64,
    /// Thread id.
    pub(super) tid: i32,
    pub(super) data: ProgramEventData,
}

/// An event's type and fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ProgramEventData {
    /// A syscall was entered.
    Enter { number: i64, arguments: [u64; 6] },
    /// A syscall returned.
    Exit { result: i64 },
    /// perf_event_open(2) was entered with this structure.
    Attr([u64; 8]),
    /// bpf(2) was entered with this first word.
    Bpf(u32),
    /// clone3(2) was entered with these flags.
    CloneFlags(u64),
    /// A path is opened.
    Path(String),
    /// The task made another.
    Forked { child: i32 },
    /// `security_capable()` was entered.
    Asked { cap: u32, opts: u32 },
    /// `security_capable()` returned.
    Answered { verdict: i32 },
    /// `cap_capable()` returned.
    Commoncap { verdict: i32 },
    /// `slow_avc_audit()` wrote a record about this class.
    Audited { class: String },
}

/// The types of [`ProgramEventData`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgramEventKind {
    Enter,
    Exit,
    Attr,
    Bpf,
    CloneFlags,
    Path,
    Forked,
    Asked,
    Answered,
    Commoncap,
    Audited,
}

/// Decodes the bytes of an event.
type Decode = Box<dyn Fn(&[u8]) -> Option<ProgramEventData>>;

/// The formats of all events that are enabled.
#[derive(Default)]
pub(super) struct ProgramDecoder {
    readers: Vec<(u16, Field, Decode)>,
}

impl ProgramDecoder {
    /// Adds a type of event with this format.
    ///
    /// # Errors
    ///
    /// The name of a field that the format lacks.
    pub(super) fn add(
        &mut self,
        kind: ProgramEventKind,
        format: &Format,
    ) -> Result<(), &'static str> {
        use ProgramEventData as Data;
        let field = |name: &'static str| format.field(name).ok_or(name);
        let decode: Decode = match kind {
            ProgramEventKind::Enter => {
                let (id, args) = (field("id")?, field("args")?);
                Box::new(move |event| {
                    let (number, arguments) = (id.number(event)?, args.words(event)?);
                    Some(Data::Enter { number, arguments })
                })
            }
            ProgramEventKind::Exit => {
                let ret = field("ret")?;
                Box::new(move |event| Some(Data::Exit { result: ret.number(event)? }))
            }
            ProgramEventKind::Attr => {
                let words = ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"];
                let mut fields = [field(words[0])?; 8];
                for (place, name) in fields.iter_mut().zip(words) {
                    *place = field(name)?;
                }
                Box::new(move |event| {
                    let mut attr = [0; 8];
                    for (word, field) in attr.iter_mut().zip(fields) {
                        *word = field.number(event)? as u64;
                    }
                    Some(Data::Attr(attr))
                })
            }
            ProgramEventKind::Bpf => {
                let kind = field("kind")?;
                Box::new(move |event| Some(Data::Bpf(kind.number(event)? as u32)))
            }
            ProgramEventKind::CloneFlags => {
                let flags = field("flags")?;
                Box::new(move |event| Some(Data::CloneFlags(flags.number(event)? as u64)))
            }
            ProgramEventKind::Path => {
                let path = field("path")?;
                Box::new(move |event| Some(Data::Path(path.text(event)?)))
            }
            ProgramEventKind::Forked => {
                let child = field("child_pid")?;
                Box::new(move |event| Some(Data::Forked { child: child.number(event)? as i32 }))
            }
            ProgramEventKind::Asked => {
                let (cap, opts) = (field("cap")?, field("opts")?);
                Box::new(move |event| {
                    let (cap, opts) = (cap.number(event)? as u32, opts.number(event)? as u32);
                    Some(Data::Asked { cap, opts })
                })
            }
            ProgramEventKind::Answered => {
                let ret = field("ret")?;
                Box::new(move |event| Some(Data::Answered { verdict: ret.number(event)? as i32 }))
            }
            ProgramEventKind::Commoncap => {
                let ret = field("ret")?;
                Box::new(move |event| Some(Data::Commoncap { verdict: ret.number(event)? as i32 }))
            }
            ProgramEventKind::Audited => {
                let class = field("tclass")?;
                Box::new(move |event| Some(Data::Audited { class: class.text(event)? }))
            }
        };
        self.readers.push((format.id, field("common_pid")?, decode));
        Ok(())
    }

    /// Decodes an event; returns `None` for one of another type.
    pub(super) fn decode(&self, time: u64, data: &[u8]) -> Option<ProgramEvent> {
        let id = u16::from_le_bytes(*data.first_chunk()?);
        let (_, tid, decode) = self.readers.iter().find(|(known, ..)| *known == id)?;
        Some(ProgramEvent { time, tid: tid.number(data)? as i32, data: decode(data)? })
    }
}
