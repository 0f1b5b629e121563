//! Performing steps: everything is resolved and touched before the first, so that a step is one
//! syscall and nothing besides.

use nix::libc;
use perf_event_open_sys::bindings as perf;
use perf_event_open_sys::bindings::perf_event_attr;
use perfsec_wire::attr::{Event, PerfEventAttr};
use perfsec_wire::step::{Request, Step};
use serde::{Deserialize, Serialize};

use crate::attr::{Own, attr};

/// What steps refer to by name, as numbers: a subject can read neither tracefs nor its parent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Names {
    /// `CATEGORY:NAME` and its number.
    pub(crate) tracepoints: Vec<(String, u64)>,
    /// PMUs that the kernel numbers itself, and the `type` of each.
    pub(crate) pmus: Vec<(String, u32)>,
    /// Descriptors that are open already.
    pub(crate) fds: Vec<(String, i32)>,
}

/// Steps that are ready to run.
pub(crate) struct Steps {
    steps: Vec<Prepared>,
    names: Vec<String>,
    fds: Vec<Option<i32>>,
    buffer: Box<[u8; 4096]>,
    stored: u64,
    /// What attrs point to.
    texts: Vec<Box<[u8]>>,
    variable: Box<u64>,
}

enum Prepared {
    Open { attr: Box<perf_event_attr>, pid: i32, cpu: i32, group: Option<usize>, bind: usize },
    Read { fd: usize, count: usize },
    Map { fd: usize, length: usize, private: bool },
    Ioctl { fd: usize, request: Request, arg: u64 },
    Close { fd: usize },
}

impl Steps {
    /// Resolves every name.
    ///
    /// # Errors
    ///
    /// Names the tracepoint that has no number.
    pub(crate) fn new(steps: &[Step], known: &Names) -> Result<Self, String> {
        let mut this = Self {
            steps: Vec::with_capacity(steps.len()),
            names: Vec::new(),
            fds: Vec::new(),
            // Not zero, so that the page is written and not merely reserved.
            buffer: Box::new([1; 4096]),
            stored: 1,
            texts: Vec::new(),
            variable: Box::new(1),
        };
        for (name, fd) in &known.fds {
            let slot = this.slot(name);
            this.fds[slot] = Some(*fd);
        }
        for step in steps {
            let prepared = match step {
                Step::PerfEventOpen(open) => Prepared::Open {
                    attr: Box::new(this.attr(&open.attr, known)?),
                    pid: open.pid,
                    cpu: open.cpu,
                    group: open.group.as_deref().map(|name| this.slot(name)),
                    bind: this.slot(&open.bind),
                },
                Step::Read(read) => Prepared::Read {
                    fd: this.slot(&read.fd),
                    count: (read.count as usize).min(this.buffer.len()),
                },
                Step::Mmap(map) => Prepared::Map {
                    fd: this.slot(&map.fd),
                    length: map.pages as usize * 4096,
                    private: map.private,
                },
                Step::Ioctl(ioctl) => Prepared::Ioctl {
                    fd: this.slot(&ioctl.fd),
                    request: ioctl.request,
                    arg: ioctl.arg,
                },
                Step::Close(close) => Prepared::Close { fd: this.slot(&close.fd) },
            };
            this.steps.push(prepared);
        }
        Ok(this)
    }

    fn attr(&mut self, wanted: &PerfEventAttr, known: &Names) -> Result<perf_event_attr, String> {
        let own = Own {
            variable: std::ptr::from_ref(&*self.variable).addr() as u64,
            path: "/proc/self/exe",
            // The magic of ELF: read as code it is a jump (7f 45), and nobody gets there.
            offset: 0,
        };
        attr(wanted, known, &own, &mut |bytes| {
            self.texts.push(bytes.into());
            self.texts.last().map_or(0, |text| text.as_ptr().addr() as u64)
        })
    }

    fn slot(&mut self, name: &str) -> usize {
        self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.fds.push(None);
            self.names.len() - 1
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether the descriptor that a step needs was made.
    pub(crate) fn possible(&self, index: usize) -> bool {
        let needs = match &self.steps[index] {
            Prepared::Open { group, .. } => *group,
            Prepared::Read { fd, .. }
            | Prepared::Map { fd, .. }
            | Prepared::Ioctl { fd, .. }
            | Prepared::Close { fd } => Some(*fd),
        };
        needs.is_none_or(|slot| self.fds[slot].is_some())
    }

    /// Performs one step: exactly one syscall, and no memory is mapped for it.
    pub(crate) fn perform(&mut self, index: usize) -> i64 {
        let fd = |slot: usize| self.fds[slot].unwrap_or(-1);
        match &self.steps[index] {
            Prepared::Open { attr, pid, cpu, group, bind } => {
                let result = crate::sys::perf_event_open(attr, *pid, *cpu, group.map_or(-1, fd));
                self.fds[*bind] = i32::try_from(result).ok().filter(|fd| *fd >= 0);
                result
            }
            Prepared::Read { fd: slot, count } => {
                let fd = fd(*slot);
                crate::sys::read(fd, &mut self.buffer[..*count])
            }
            Prepared::Map { fd: slot, length, private } => {
                crate::sys::map(fd(*slot), *length, *private)
            }
            Prepared::Ioctl { fd: slot, request: Request::Id, .. } => {
                let fd = fd(*slot);
                crate::sys::ioctl_stores(fd, u64::from(perf::ID), &mut self.stored)
            }
            Prepared::Ioctl { fd: slot, request, arg } => {
                crate::sys::ioctl_number(fd(*slot), number(*request), *arg)
            }
            Prepared::Close { fd: slot } => crate::sys::close(fd(*slot)),
        }
    }

    /// The descriptors that have been made.
    pub(crate) fn made(&self) -> Vec<(String, i32)> {
        let pairs = self.names.iter().zip(&self.fds);
        pairs.filter_map(|(name, fd)| Some((name.clone(), (*fd)?))).collect()
    }
}

/// The syscall's number on the machine that the agent was built for.
pub(crate) fn syscall_number(step: &Step) -> i64 {
    match step {
        Step::PerfEventOpen(_) => libc::SYS_perf_event_open,
        Step::Read(_) => libc::SYS_read,
        Step::Mmap(_) => libc::SYS_mmap,
        Step::Ioctl(_) => libc::SYS_ioctl,
        Step::Close(_) => libc::SYS_close,
    }
}

/// The tracepoint that a step counts, as `CATEGORY:NAME`.
pub(crate) fn tracepoint(step: &Step) -> Option<(&str, &str)> {
    match step {
        Step::PerfEventOpen(open) => match &open.attr.event {
            Event::Tracepoint { category, name } => Some((category, name)),
            _ => None,
        },
        _ => None,
    }
}

fn number(request: Request) -> u64 {
    // `_IO('$', 0xff)`: no kernel gives it a meaning; perf_ioctl() answers ENOTTY after its hook.
    const UNKNOWN: u64 = (b'$' as u64) << 8 | 0xff;
    match request {
        Request::Enable => u64::from(perf::ENABLE),
        Request::Disable => u64::from(perf::DISABLE),
        Request::Refresh => u64::from(perf::REFRESH),
        Request::Reset => u64::from(perf::RESET),
        Request::Id => u64::from(perf::ID),
        Request::Unknown => UNKNOWN,
    }
}
