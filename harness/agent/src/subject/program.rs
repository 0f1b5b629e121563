//! From steps to raw syscalls: names are resolved and arguments laid out before a subject exists.

use std::mem::offset_of;

use nix::libc;
use perf_event_open_sys::bindings as perf;
use perfsec_subject as layout;
use perfsec_wire::step::{
    Advice, Bpf, Capset, Clone, CloneFlag, Ioctl, MapType, Mount, MountFlag, NOBODY, OpenFlag,
    PerfEventOpen, Prctl, ProgLoad, ProgType, Request, Securebit, Task, UnshareFlag,
};
use perfsec_wire::{CapSet, Step, Subject};

use super::attr::{Own, attr};
use super::bpf::instructions;
use super::names::Names;

/// What an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The syscall of this step.
    Step(usize),
    /// The stop in which the agent performs this step.
    Stop(usize),
    /// What prepares the entry after it.
    Preparation,
}

/// Entries of a subject's program, and what they point to.
pub(crate) struct Program {
    entries: Vec<[u64; layout::ENTRY]>,
    origins: Vec<Origin>,
    names: Vec<String>,
    slots: Vec<u64>,
    data: Vec<u8>,
}

/// `ioctl(2)` in the table of 32-bit programs (arch/x86/entry/syscalls/syscall_32.tbl).
const I386_IOCTL: i64 = 54;

/// Where an AUX area begins in the file: behind any buffer that a case maps.
const AUX_OFFSET: u64 = 1 << 20;

/// An argument of a syscall.
#[derive(Clone, Copy)]
enum Arg {
    Value(u64),
    Slot(usize),
}

const fn number(value: i64) -> Arg {
    Arg::Value(value as u64)
}

/// `struct msghdr` and what it points to, for one byte and one descriptor.
struct Message {
    header: u64,
    /// Byte offset of the descriptor from the region's start.
    descriptor: u64,
}

impl Program {
    /// Lays steps out. `subject` is who will perform them.
    ///
    /// # Errors
    ///
    /// Says what has no number, or that there are too many.
    pub(crate) fn new(steps: &[Step], names: &Names, subject: &Subject) -> Result<Self, String> {
        let mut this = Self {
            entries: Vec::with_capacity(steps.len()),
            origins: Vec::with_capacity(steps.len()),
            names: Vec::new(),
            slots: Vec::new(),
            data: Vec::new(),
        };
        for (name, fd) in &names.fds {
            let slot = this.slot(name);
            this.slots[slot] = *fd as u64;
        }
        for (index, step) in steps.iter().enumerate() {
            this.step(index, step, names, subject)?;
        }
        if this.entries.len() > layout::MAX_ENTRIES || this.slots.len() > layout::MAX_SLOTS {
            return Err(format!("there are {} steps", steps.len()));
        }
        Ok(this)
    }

    /// Adds a stop at the end, at which a process stays.
    pub(crate) fn and_stay(mut self) -> Self {
        self.add(Origin::Preparation, layout::STOP, 0, &[]);
        self
    }

    pub(crate) fn entries(&self) -> &[[u64; layout::ENTRY]] {
        &self.entries
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    pub(crate) fn slots(&self) -> &[u64] {
        &self.slots
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// The number of the slot with this name.
    pub(crate) fn slot_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The syscall's number of an entry.
    pub(crate) fn syscall(&self, index: usize) -> i64 {
        self.entries.get(index).map_or(-1, |entry| entry[layout::NUMBER] as i64)
    }

    fn slot(&mut self, name: &str) -> usize {
        self.slot_of(name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.slots.push(layout::EMPTY);
            self.names.len() - 1
        })
    }

    fn fd(&mut self, name: &str) -> Arg {
        Arg::Slot(self.slot(name))
    }

    /// Puts bytes where every subject has them; returns the address.
    fn place(&mut self, bytes: &[u8]) -> u64 {
        let at = self.data.len();
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        (layout::BASE + layout::DATA + at) as u64
    }

    fn words(&mut self, words: &[u64]) -> u64 {
        let bytes: Vec<_> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.place(&bytes)
    }

    fn text(&mut self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.place(&bytes)
    }

    fn add(&mut self, origin: Origin, kind: u64, syscall: i64, arguments: &[Arg]) {
        let mut entry = [0; layout::ENTRY];
        entry[layout::KIND] = kind;
        entry[layout::NUMBER] = syscall as u64;
        for (at, argument) in arguments.iter().enumerate() {
            entry[layout::ARGUMENTS + at] = match argument {
                Arg::Value(value) => *value,
                Arg::Slot(slot) => {
                    entry[layout::FROM_SLOT] |= 1 << at;
                    *slot as u64
                }
            };
        }
        self.entries.push(entry);
        self.origins.push(origin);
    }

    /// The result of the last entry, or the descriptor at a place of the region, goes to a slot.
    fn bind(&mut self, name: &str, place: u64) {
        let slot = self.slot(name) as u64;
        if let Some(entry) = self.entries.last_mut() {
            entry[layout::BIND] = (slot + 1) | (place << 32);
        }
    }

    fn task(&mut self, task: &Task, names: &Names) -> Arg {
        match task {
            Task::Caller => number(0),
            Task::Every => number(-1),
            Task::Nobody => number(NOBODY),
            Task::Named(name) => match names.processes.iter().find(|(known, _)| known == name) {
                Some((_, pid)) => number((*pid).into()),
                None => self.fd(name),
            },
        }
    }

    fn step(
        &mut self,
        index: usize,
        step: &Step,
        names: &Names,
        subject: &Subject,
    ) -> Result<(), String> {
        let origin = Origin::Step(index);
        let buffer = Arg::Value((layout::BASE + layout::BUFFER) as u64);
        let room = |count: u32| number((count as usize).min(layout::BUFFER_ROOM) as i64);
        let call = |this: &mut Self, syscall: i64, arguments: &[Arg]| {
            this.add(origin, layout::CALL, syscall, arguments);
        };
        match step {
            Step::PerfEventOpen(open) => {
                let arguments = self.perf_event_open(open, names)?;
                call(self, libc::SYS_perf_event_open, &arguments);
                self.bind(&open.bind, 0);
            }
            Step::Ioctl(ioctl) => {
                let arguments = self.ioctl(ioctl, names)?;
                if ioctl.compat {
                    self.add(origin, layout::COMPAT, I386_IOCTL, &arguments);
                } else {
                    call(self, libc::SYS_ioctl, &arguments);
                }
            }
            Step::Read(read) => {
                let arguments = [self.fd(&read.fd), buffer, room(read.count)];
                call(self, libc::SYS_read, &arguments);
            }
            Step::Write(write) => {
                let text = Arg::Value(self.place(write.text.as_bytes()));
                let arguments = [self.fd(&write.fd), text, number(write.text.len() as i64)];
                call(self, libc::SYS_write, &arguments);
            }
            Step::Setexeccon(set) => {
                let context = subject.context_in(&set.domain);
                let text = Arg::Value(self.place(context.as_bytes()));
                let arguments = [self.fd(&set.fd), text, number(context.len() as i64)];
                call(self, libc::SYS_write, &arguments);
            }
            Step::Mmap(map) => {
                let sharing = if map.private { libc::MAP_PRIVATE } else { libc::MAP_SHARED };
                let length = number(i64::from(map.pages) * 4096);
                let access = number((libc::PROT_READ | libc::PROT_WRITE).into());
                let offset = map.aux.as_ref().map_or(0, |_| AUX_OFFSET);
                if let Some(buffer) = &map.aux {
                    self.poke(buffer, offset_of!(perf::perf_event_mmap_page, aux_offset), offset);
                    let size = u64::from(map.pages) * 4096;
                    self.poke(buffer, offset_of!(perf::perf_event_mmap_page, aux_size), size);
                }
                let fd = self.fd(&map.fd);
                let offset = Arg::Value(offset);
                let arguments = [number(0), length, access, number(sharing.into()), fd, offset];
                call(self, libc::SYS_mmap, &arguments);
                self.bind(&map.bind, 0);
            }
            Step::Munmap(unmap) => {
                let arguments = [self.fd(&unmap.map), number(i64::from(unmap.pages) * 4096)];
                call(self, libc::SYS_munmap, &arguments);
            }
            Step::Poll(poll) => {
                // struct pollfd: the descriptor, then `events` and `revents`.
                let events = u64::from(libc::POLLIN as u16) << 32;
                let at = self.words(&[events]);
                self.store(&poll.fd, at);
                call(self, libc::SYS_poll, &[Arg::Value(at), number(1), number(0)]);
                self.requires(&poll.fd);
            }
            Step::Close(close) => {
                let fd = self.fd(&close.fd);
                call(self, libc::SYS_close, &[fd]);
            }
            Step::Open(open) => {
                let path = names.processes.iter().fold(open.path.clone(), |path, (name, pid)| {
                    path.replace(&format!("{{{name}}}"), &pid.to_string())
                });
                let access = if open.write { libc::O_RDWR } else { libc::O_RDONLY };
                let path = Arg::Value(self.text(&path));
                call(self, libc::SYS_open, &[path, number(access.into()), number(0)]);
                self.bind(&open.bind, 0);
            }
            Step::Mount(mount) => {
                let arguments = self.mount(mount);
                call(self, libc::SYS_mount, &arguments);
            }
            Step::Sendmsg(send) => {
                let message = self.message();
                self.store(&send.send, layout::BASE as u64 + message.descriptor);
                let fd = self.fd(&send.fd);
                call(self, libc::SYS_sendmsg, &[fd, Arg::Value(message.header), number(0)]);
                self.requires(&send.send);
            }
            Step::Recvmsg(receive) => {
                let message = self.message();
                let fd = self.fd(&receive.fd);
                let flags = number(libc::MSG_DONTWAIT.into());
                call(self, libc::SYS_recvmsg, &[fd, Arg::Value(message.header), flags]);
                self.bind(&receive.bind, message.descriptor);
            }
            Step::Bpf(bpf) => {
                let arguments = self.bpf(bpf, names);
                call(self, libc::SYS_bpf, &arguments);
                if let Bpf::TaskFdQuery(query) = bpf {
                    self.requires(&query.fd);
                }
                if let Some(name) = step.binds() {
                    self.bind(name, 0);
                }
            }
            Step::Prctl(prctl) => {
                let arguments = self.prctl(prctl);
                call(self, libc::SYS_prctl, &arguments);
            }
            Step::Capset(set) => {
                let arguments = self.capset(set);
                call(self, libc::SYS_capset, &arguments);
            }
            Step::Setresuid(set) => {
                call(self, libc::SYS_setresuid, &[number(set.uid.into()); 3]);
            }
            Step::Unshare(unshare) => {
                let flags = unshare.flags.iter().fold(0, |flags, flag| {
                    flags
                        | match flag {
                            UnshareFlag::Newuser => libc::CLONE_NEWUSER,
                            UnshareFlag::Newns => libc::CLONE_NEWNS,
                            UnshareFlag::Newnet => libc::CLONE_NEWNET,
                            UnshareFlag::Fs => libc::CLONE_FS,
                        }
                });
                call(self, libc::SYS_unshare, &[number(flags.into())]);
            }
            Step::Clone(clone) => self.clone_task(origin, clone),
            Step::Execve(exec) => {
                let file = names.files.iter().find(|(known, _)| known == exec);
                let (_, path) = file.ok_or("an executable was not made")?;
                let path = self.text(path);
                let fd = self.text(&names.region.to_string());
                let arguments = self.words(&[path, fd, 0]);
                let environment = self.words(&[0]);
                let arguments = [path, arguments, environment].map(Arg::Value);
                self.add(origin, layout::EXEC, libc::SYS_execve, &arguments);
            }
            Step::PidfdOpen(open) => {
                let task = self.task(&open.pid, names);
                call(self, libc::SYS_pidfd_open, &[task, number(0)]);
                self.bind(&open.bind, 0);
            }
            Step::ProcessVmReadv(read) => {
                // Every subject has the region at the same place.
                let local = self.iovec(layout::BUFFER, read.count);
                let remote = self.iovec(layout::BUFFER, read.count);
                let task = self.task(&read.pid, names);
                let one = number(1);
                let arguments = [task, Arg::Value(local), one, Arg::Value(remote), one, number(0)];
                call(self, libc::SYS_process_vm_readv, &arguments);
            }
            Step::ProcessMadvise(advise) => {
                let memory = Arg::Value(self.iovec(layout::BUFFER, 4096));
                let advice = match advise.advice {
                    Advice::Cold => libc::MADV_COLD,
                    Advice::Pageout => libc::MADV_PAGEOUT,
                    Advice::Willneed => libc::MADV_WILLNEED,
                };
                let fd = self.fd(&advise.pidfd);
                let arguments = [fd, memory, number(1), number(advice.into()), number(0)];
                call(self, libc::SYS_process_madvise, &arguments);
            }
            Step::Agent(_) => self.add(Origin::Stop(index), layout::STOP, libc::SYS_kill, &[]),
        }
        Ok(())
    }

    /// The last entry is left out while a slot is empty that only a structure refers to.
    fn requires(&mut self, name: &str) {
        // No syscall that such a structure is passed to has a sixth argument.
        const UNUSED: usize = 5;
        let slot = self.slot(name) as u64;
        if let Some(entry) = self.entries.last_mut() {
            entry[layout::ARGUMENTS + UNUSED] = slot;
            entry[layout::FROM_SLOT] |= 1 << UNUSED;
        }
    }

    /// A 32-bit word at `address` becomes what the slot holds.
    fn store(&mut self, name: &str, address: u64) {
        let slot = self.fd(name);
        let offset = Arg::Value(address - layout::BASE as u64);
        self.add(Origin::Preparation, layout::STORE, 0, &[slot, offset]);
    }

    /// A word of the mapping with this name becomes `value`.
    fn poke(&mut self, map: &str, offset: usize, value: u64) {
        let arguments = [self.fd(map), number(offset as i64), Arg::Value(value)];
        self.add(Origin::Preparation, layout::POKE, 0, &arguments);
    }

    fn iovec(&mut self, offset: usize, count: u32) -> u64 {
        let count = (count as usize).min(layout::BUFFER_ROOM);
        self.words(&[(layout::BASE + offset) as u64, count as u64])
    }

    fn perf_event_open(&mut self, open: &PerfEventOpen, names: &Names) -> Result<[Arg; 5], String> {
        let attr = self.attr(&open.attr, names)?;
        let flags = open.flags.iter().fold(0, |flags, flag| {
            flags
                | u64::from(match flag {
                    OpenFlag::FdNoGroup => perf::PERF_FLAG_FD_NO_GROUP,
                    OpenFlag::FdOutput => perf::PERF_FLAG_FD_OUTPUT,
                    OpenFlag::PidCgroup => perf::PERF_FLAG_PID_CGROUP,
                    OpenFlag::FdCloexec => perf::PERF_FLAG_FD_CLOEXEC,
                })
        });
        let task = self.task(&open.pid, names);
        let group = open.group.as_deref().map_or(number(-1), |name| self.fd(name));
        Ok([Arg::Value(attr), task, number(open.cpu.into()), group, Arg::Value(flags)])
    }

    fn attr(&mut self, wanted: &perfsec_wire::PerfEventAttr, names: &Names) -> Result<u64, String> {
        let own = Own {
            variable: (layout::BASE + layout::BUFFER) as u64,
            path: "/proc/self/exe",
            // The magic of ELF: read as code it is a jump (7f 45), and nobody gets there.
            offset: 0,
        };
        let attr = attr(wanted, names, &own, &mut |bytes| self.place(bytes))?;
        Ok(self.place(crate::sys::bytes_of_attr(&attr)))
    }

    fn ioctl(&mut self, ioctl: &Ioctl, names: &Names) -> Result<[Arg; 3], String> {
        // `_IO('$', 0xff)`: no kernel gives it a meaning; perf_ioctl() answers ENOTTY after its hook.
        const UNKNOWN: u32 = (b'$' as u32) << 8 | 0xff;
        let request = match ioctl.request {
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
        let argument = match (ioctl.request, &ioctl.to, &ioctl.filter, &ioctl.attr) {
            (_, Some(to), _, _) => self.fd(to),
            (_, _, Some(filter), _) => Arg::Value(self.text(filter)),
            (_, _, _, Some(attr)) => Arg::Value(self.attr(attr, names)?),
            (Request::SetOutput, ..) => number(-1),
            (Request::Period, ..) => Arg::Value(self.words(&[ioctl.arg])),
            (Request::Id, ..) => Arg::Value(self.words(&[0])),
            // struct perf_event_query_bpf: room for four ids, how many there are, the ids.
            (Request::QueryBpf, ..) => Arg::Value(self.words(&[4, 0, 0])),
            _ => Arg::Value(ioctl.arg),
        };
        Ok([self.fd(&ioctl.fd), Arg::Value(request.into()), argument])
    }

    fn mount(&mut self, mount: &Mount) -> [Arg; 5] {
        let flags = mount.flags.iter().fold(0, |flags, flag| {
            flags
                | match flag {
                    MountFlag::Nosuid => libc::MS_NOSUID,
                    MountFlag::Nodev => libc::MS_NODEV,
                    MountFlag::Noexec => libc::MS_NOEXEC,
                }
        });
        let fstype = Arg::Value(self.text(&mount.fstype));
        let target = Arg::Value(self.text(&mount.target));
        [fstype, target, fstype, Arg::Value(flags), number(0)]
    }

    fn message(&mut self) -> Message {
        let iovec = self.iovec(layout::BUFFER, 1);
        // struct cmsghdr with room for one descriptor: cmsg_len, then cmsg_level and cmsg_type.
        let kind = (libc::SOL_SOCKET as u64) | (libc::SCM_RIGHTS as u64) << 32;
        let control = self.words(&[20, kind, layout::NO_VALUE.into()]);
        // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags.
        let header = self.words(&[0, 0, iovec, 1, control, 24, 0]);
        Message { header, descriptor: control + 16 - layout::BASE as u64 }
    }

    fn bpf(&mut self, bpf: &Bpf, names: &Names) -> [Arg; 3] {
        // `union bpf_attr`, as long as 5.10 knows it; what is newer is zero.
        const LENGTH: usize = 120;
        const BPF_MAP_CREATE: i64 = 0;
        const BPF_PROG_LOAD: i64 = 5;
        const BPF_TASK_FD_QUERY: i64 = 20;
        let (command, mut words) = match bpf {
            Bpf::ProgLoad(load) => (BPF_PROG_LOAD, self.prog_load(load)),
            Bpf::MapCreate(create) => {
                let (kind, key, value) = match create.map_type {
                    MapType::Hash => (1, 4, 8),
                    MapType::Array => (2, 4, 8),
                    MapType::PerfEventArray => (4, 4, 4),
                    MapType::StackTrace => (7, 4, 8),
                };
                (BPF_MAP_CREATE, vec![kind | key << 32, value | 1 << 32])
            }
            Bpf::TaskFdQuery(_) => (BPF_TASK_FD_QUERY, vec![0; 6]),
        };
        words.resize(LENGTH / 8, 0);
        let at = self.words(&words);
        if let Bpf::TaskFdQuery(query) = bpf {
            match self.task(&query.pid, names) {
                Arg::Value(pid) => {
                    let offset = at as usize - layout::BASE - layout::DATA;
                    // The number of the caller is known only to itself.
                    let pid = (pid as u32).to_ne_bytes();
                    self.data[offset..offset + 4].copy_from_slice(&pid);
                }
                Arg::Slot(_) => self.store(&query.pid.to_string(), at),
            }
            self.store(&query.fd, at + 4);
        }
        [number(command), Arg::Value(at), number(LENGTH as i64)]
    }

    fn prog_load(&mut self, load: &ProgLoad) -> Vec<u64> {
        const BPF_F_SLEEPABLE: u64 = 1 << 4;
        // enum bpf_prog_type (include/uapi/linux/bpf.h).
        let kind: u64 = match load.prog_type {
            ProgType::SocketFilter => 1,
            ProgType::Kprobe => 2,
            ProgType::SchedCls => 3,
            ProgType::Tracepoint => 5,
            ProgType::Xdp => 6,
            ProgType::PerfEvent => 7,
            ProgType::CgroupSkb => 8,
            ProgType::RawTracepoint => 17,
            ProgType::FlowDissector => 22,
            ProgType::CgroupSysctl => 23,
            ProgType::RawTracepointWritable => 24,
            ProgType::Syscall => 31,
        };
        // Another is refused by check_attach_btf_id(), before its instructions are looked at.
        let flags = if load.prog_type == ProgType::Syscall { BPF_F_SLEEPABLE } else { 0 };
        let code = instructions(load.program);
        let (count, code) = (code.len() as u64, self.words(&code));
        let license = self.text(&load.license);
        // prog_type, insn_cnt; insns; license; log_level, log_size; log_buf; kern_version, prog_flags.
        vec![kind | count << 32, code, license, 0, 0, flags << 32]
    }

    fn prctl(&mut self, prctl: &Prctl) -> [Arg; 5] {
        let one = |set: &CapSet| number(set.0.trailing_zeros().into());
        let none = number(0);
        let option = |option: i32| number(option.into());
        match prctl {
            Prctl::SetNoNewPrivs => {
                [option(libc::PR_SET_NO_NEW_PRIVS), number(1), none, none, none]
            }
            Prctl::CapbsetDrop(cap) => [option(libc::PR_CAPBSET_DROP), one(cap), none, none, none],
            Prctl::CapAmbientRaise(cap) => {
                let raise = option(libc::PR_CAP_AMBIENT_RAISE);
                [option(libc::PR_CAP_AMBIENT), raise, one(cap), none, none]
            }
            Prctl::SetSecurebits(bits) => {
                // include/uapi/linux/securebits.h
                let bits = bits.iter().fold(0, |all, bit| {
                    all | match bit {
                        Securebit::Noroot => 1 << 0,
                        Securebit::NoSetuidFixup => 1 << 2,
                        Securebit::KeepCaps => 1 << 4,
                        Securebit::NoCapAmbientRaise => 1 << 6,
                    }
                });
                [option(libc::PR_SET_SECUREBITS), number(bits), none, none, none]
            }
            Prctl::GetDumpable => [option(libc::PR_GET_DUMPABLE), none, none, none, none],
            Prctl::SetDumpable(value) => {
                [option(libc::PR_SET_DUMPABLE), number((*value).into()), none, none, none]
            }
            Prctl::SetName(name) => {
                let name = Arg::Value(self.text(name));
                [option(libc::PR_SET_NAME), name, none, none, none]
            }
        }
    }

    fn capset(&mut self, set: &Capset) -> [Arg; 2] {
        let header = self.words(&[layout::CAPABILITY_VERSION]);
        let sets = [set.effective, set.permitted, set.inheritable];
        let halves = sets.map(|set| set.0 as u32).into_iter();
        let halves = halves.chain(sets.map(|set| (set.0 >> 32) as u32));
        let bytes: Vec<_> = halves.flat_map(u32::to_ne_bytes).collect();
        let data = self.place(&bytes);
        [Arg::Value(header), Arg::Value(data)]
    }

    fn clone_task(&mut self, origin: Origin, clone: &Clone) {
        let flags = clone.flags.iter().fold(libc::SIGCHLD, |flags, flag| match flag {
            // What a thread leaves behind is nobody's child: it sends no signal.
            CloneFlag::Thread => {
                flags & !0xff
                    | libc::CLONE_VM
                    | libc::CLONE_FS
                    | libc::CLONE_FILES
                    | libc::CLONE_SIGHAND
                    | libc::CLONE_THREAD
            }
            CloneFlag::Fs => flags | libc::CLONE_FS,
        });
        self.add(origin, layout::CLONE, libc::SYS_clone, &[number(flags.into())]);
        self.bind(&clone.bind, 0);
    }
}
