//! Steps on perf events.

use nix::libc;
use perf_event_open_sys::bindings as perf;
use perfsec_subject as layout;
use perfsec_wire::PerfEventAttr;
use perfsec_wire::step::{AttrPlace, Ioctl, OpenFlag, PerfEventOpen, Place, Request};

use super::Lower;
use crate::subject::attr::{OwnTargets, UNKNOWN_BIT, attr};
use crate::subject::program::{Arg, Assembler, number};

/// `ioctl(2)` in the table of 32-bit programs (arch/x86/entry/syscalls/syscall_32.tbl).
const I386_IOCTL: i64 = 54;

/// `BPF_TRACE_MAX_PROGS` of kernel/trace/bpf_trace.c: more ids are E2BIG.
const MOST_IDS: u32 = 64;

/// An address that is never mapped (`vm.mmap_min_addr`).
const UNMAPPED: u64 = 0;

impl Lower for PerfEventOpen {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let attr = match self.attr_at {
            AttrPlace::Mapped => place_attr(&self.attr, Place::Mapped, assembler)?,
            AttrPlace::Unmapped => UNMAPPED,
            AttrPlace::Edge => place_attr(&self.attr, Place::Edge, assembler)?,
            AttrPlace::Again => assembler.last_attr().ok_or("there was no attr before")?,
        };
        assembler.placed_attr(attr);
        let flags = self.flags.iter().fold(0, |flags, flag| {
            flags
                | match flag {
                    OpenFlag::FdNoGroup => perf::PERF_FLAG_FD_NO_GROUP.into(),
                    OpenFlag::FdOutput => perf::PERF_FLAG_FD_OUTPUT.into(),
                    OpenFlag::PidCgroup => perf::PERF_FLAG_PID_CGROUP.into(),
                    OpenFlag::FdCloexec => perf::PERF_FLAG_FD_CLOEXEC.into(),
                    OpenFlag::Unknown => UNKNOWN_BIT,
                }
        });
        let task = assembler.task(&self.pid);
        let group = self.group.as_deref().map_or(number(-1), |name| assembler.fd(name));
        let arguments = [Arg::Value(attr), task, number(self.cpu.into()), group, Arg::Value(flags)];
        assembler.call(libc::SYS_perf_event_open, &arguments);
        assembler.bind(&self.bind);
        Ok(())
    }
}

impl Lower for Ioctl {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        // `_IO('$', 0xff)`: no kernel defines it; perf_ioctl() returns ENOTTY after its hook.
        const UNKNOWN: u32 = (b'$' as u32) << 8 | 0xff;
        let request = match self.request {
            Request::Enable => perf::ENABLE,
            Request::Disable => perf::DISABLE,
            Request::Refresh => perf::REFRESH,
            Request::Reset => perf::RESET,
            Request::Period => perf::PERIOD,
            Request::SetOutput => perf::SET_OUTPUT,
            Request::SetFilter => perf::SET_FILTER,
            Request::Id => perf::ID,
            Request::SetBpf => perf::SET_BPF,
            Request::PauseOutput => perf::PAUSE_OUTPUT,
            Request::QueryBpf => perf::QUERY_BPF,
            Request::ModifyAttributes => perf::MODIFY_ATTRIBUTES,
            Request::Unknown => UNKNOWN,
        };
        let argument = match (&self.to, self.request) {
            (Some(to), _) => assembler.fd(to),
            (None, Request::SetOutput) => number(-1),
            (None, request) if request.takes_pointer() => Arg::Value(pointer(self, assembler)?),
            (None, _) => Arg::Value(self.arg),
        };
        let fd = assembler.fd(&self.fd);
        if self.compat {
            let request = Arg::Value(compat_request(self.request, request).into());
            assembler.call_as(layout::COMPAT, I386_IOCTL, &[fd, request, argument]);
        } else {
            assembler.call(libc::SYS_ioctl, &[fd, Arg::Value(request.into()), argument]);
        }
        Ok(())
    }
}

/// Places what the argument of an ioctl points to; returns its address.
fn pointer(ioctl: &Ioctl, assembler: &mut Assembler<'_>) -> Result<u64, String> {
    if let (Request::ModifyAttributes, Some(attr)) = (ioctl.request, &ioctl.attr) {
        return place_attr(attr, ioctl.at, assembler);
    }
    let (bytes, mapped) = match ioctl.request {
        Request::SetFilter => {
            let text = ioctl.filter.as_deref().unwrap_or_default();
            ([text.as_bytes(), &[0]].concat(), text.len())
        }
        // struct perf_event_query_bpf: room for so many ids, the number of ids, the ids.
        Request::QueryBpf => {
            let mut bytes = ioctl.ids_len.to_ne_bytes().to_vec();
            bytes.resize(8 + 4 * ioctl.ids_len.min(MOST_IDS) as usize, 0);
            (bytes, 8)
        }
        _ => (ioctl.arg.to_ne_bytes().to_vec(), 4),
    };
    Ok(place(&bytes, mapped, ioctl.at, assembler))
}

/// The number of a request for a 32-bit program, whose pointers have four bytes (`_IOC_SIZE`).
fn compat_request(request: Request, number: u32) -> u32 {
    const SIZE_SHIFT: u32 = 16;
    const SIZE_MASK: u32 = 0x3fff << SIZE_SHIFT;
    match request {
        Request::SetFilter | Request::Id | Request::QueryBpf | Request::ModifyAttributes => {
            number & !SIZE_MASK | 4 << SIZE_SHIFT
        }
        _ => number,
    }
}

/// Places bytes, with the first `mapped` of them at the edge of a mapping; returns their address.
fn place(bytes: &[u8], mapped: usize, place: Place, assembler: &mut Assembler<'_>) -> u64 {
    match place {
        Place::Mapped => assembler.place(bytes),
        Place::Unmapped => UNMAPPED,
        Place::Edge => assembler.place_at_edge(bytes, mapped),
        Place::ReadOnly => layout::READ_ONLY as u64,
    }
}

/// Places a `struct perf_event_attr`, and what its size includes behind it; returns its address.
fn place_attr(
    wanted: &PerfEventAttr,
    at: Place,
    assembler: &mut Assembler<'_>,
) -> Result<u64, String> {
    /// `PERF_ATTR_SIZE_VER0`
    const FIRST_VERSION: usize = 64;
    const PAGE: usize = 4096;
    let own = OwnTargets {
        variable: (layout::BASE + layout::BUFFER) as u64,
        path: "/proc/self/exe",
        // The ELF magic: as code it is a jump (7f 45), which nothing executes.
        offset: 0,
    };
    let names = assembler.names;
    let attr = attr(wanted, names, &own, &mut |bytes| assembler.place(bytes))?;
    let mut bytes = crate::sys::bytes_of_attr(&attr).to_vec();
    bytes.extend(wanted.beyond.to_ne_bytes());
    bytes.resize(bytes.len().max((attr.size as usize).min(PAGE)), 0);
    Ok(place(&bytes, FIRST_VERSION, at, assembler))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // The constants of the bindings for i686.
    #[rstest]
    #[case(Request::SetFilter, perf::SET_FILTER, 0x4004_2406)]
    #[case(Request::Id, perf::ID, 0x8004_2407)]
    #[case(Request::QueryBpf, perf::QUERY_BPF, 0xc004_240a)]
    #[case(Request::ModifyAttributes, perf::MODIFY_ATTRIBUTES, 0x4004_240b)]
    #[case(Request::Period, perf::PERIOD, 0x4008_2404)]
    #[case(Request::SetBpf, perf::SET_BPF, 0x4004_2408)]
    fn a_32_bit_program_has_its_own_numbers(
        #[case] request: Request,
        #[case] native: u32,
        #[case] compat: u32,
    ) {
        assert_eq!(compat_request(request, native), compat);
    }
}
