//! Steps on perf events.

use nix::libc;
use perf_event_open_sys::bindings as perf;
use perfsec_subject as layout;
use perfsec_wire::PerfEventAttr;
use perfsec_wire::step::{Ioctl, OpenFlag, PerfEventOpen, Request};

use super::Lower;
use crate::subject::attr::{OwnTargets, attr};
use crate::subject::program::{Arg, Assembler, number};

/// `ioctl(2)` in the table of 32-bit programs (arch/x86/entry/syscalls/syscall_32.tbl).
const I386_IOCTL: i64 = 54;

impl Lower for PerfEventOpen {
    fn lower(&self, assembler: &mut Assembler<'_>) -> Result<(), String> {
        let attr = place_attr(&self.attr, assembler)?;
        let flags = self.flags.iter().fold(0, |flags, flag| {
            flags
                | u64::from(match flag {
                    OpenFlag::FdNoGroup => perf::PERF_FLAG_FD_NO_GROUP,
                    OpenFlag::FdOutput => perf::PERF_FLAG_FD_OUTPUT,
                    OpenFlag::PidCgroup => perf::PERF_FLAG_PID_CGROUP,
                    OpenFlag::FdCloexec => perf::PERF_FLAG_FD_CLOEXEC,
                })
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
        let argument = match (self.request, &self.to, &self.filter, &self.attr) {
            (_, Some(to), _, _) => assembler.fd(to),
            (_, _, Some(filter), _) => Arg::Value(assembler.text(filter)),
            (_, _, _, Some(attr)) => Arg::Value(place_attr(attr, assembler)?),
            (Request::SetOutput, ..) => number(-1),
            (Request::Period, ..) => Arg::Value(assembler.words(&[self.arg])),
            (Request::Id, ..) => Arg::Value(assembler.words(&[0])),
            // struct perf_event_query_bpf: room for four ids, the number of ids, the ids.
            (Request::QueryBpf, ..) => Arg::Value(assembler.words(&[4, 0, 0])),
            _ => Arg::Value(self.arg),
        };
        let arguments = [assembler.fd(&self.fd), Arg::Value(request.into()), argument];
        if self.compat {
            assembler.call_as(layout::COMPAT, I386_IOCTL, &arguments);
        } else {
            assembler.call(libc::SYS_ioctl, &arguments);
        }
        Ok(())
    }
}

/// Places a `struct perf_event_attr`; returns its address.
fn place_attr(wanted: &PerfEventAttr, assembler: &mut Assembler<'_>) -> Result<u64, String> {
    let own = OwnTargets {
        variable: (layout::BASE + layout::BUFFER) as u64,
        path: "/proc/self/exe",
        // The ELF magic: as code it is a jump (7f 45), which nothing executes.
        offset: 0,
    };
    let names = assembler.names;
    let attr = attr(wanted, names, &own, &mut |bytes| assembler.place(bytes))?;
    Ok(assembler.place(crate::sys::bytes_of_attr(&attr)))
}
